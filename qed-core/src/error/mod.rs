//! One error for every layer and every face of libqed.
//!
//! An [`Error`] has three readers: its [`ErrorKind`] is stable and meant for programs (the same
//! kinds are the C codes and the Python classes), its text is one sentence for people that names
//! the file and the offset, and its source keeps the operating system's own error for debugging.

mod corruption;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use corruption::Corruption;

/// The result of every fallible call in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, for programs. Few, stable, and the same in Rust, C and Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system failed a read, a write or a sync.
    Io,
    /// The image breaks a clause of the format; [`Error::corruption`] has the numbers.
    Corrupt,
    /// The image, the file or the machine lacks what the call needs (an unknown incompatible
    /// feature, a format that is not built in).
    Unsupported,
    /// The caller's argument makes no sense: out of range, misaligned, unknown name.
    InvalidArgument,
    /// A change was asked of something opened or mounted read-only.
    ReadOnly,
    /// The disk, a quota or the image's own address space is full.
    NoSpace,
    /// Another process holds the image.
    Locked,
    /// A policy of the caller forbids it: a backing file that may not be opened.
    Refused,
    /// An earlier sync or metadata write failed: nothing may claim to be stable any more.
    Latched,
    /// No such file.
    NotFound,
    /// The file exists and overwriting was not asked for.
    AlreadyExists,
    /// The operating system's permissions forbid it.
    PermissionDenied,
    /// The bytes are not a QED image at all.
    NotQed,
    /// The structure is damaged beyond what opening may repair; reads go on, allocation stops.
    Damaged,
    /// The caller's progress callback asked to stop.
    Cancelled,
    /// A bug inside the library, caught at its boundary.
    Internal,
    /// It cannot be done now: a queue is full, the disk is quiesced, something still uses it.
    Busy,
}

impl ErrorKind {
    /// Every kind, in the order of the C codes.
    pub const ALL: [Self; 17] = [
        Self::Io,
        Self::Corrupt,
        Self::Unsupported,
        Self::InvalidArgument,
        Self::ReadOnly,
        Self::NoSpace,
        Self::Locked,
        Self::Refused,
        Self::Latched,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::NotQed,
        Self::Damaged,
        Self::Cancelled,
        Self::Internal,
        Self::Busy,
    ];

    /// The kind's stable name, as Python shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::InvalidArgument => "invalid-argument",
            Self::ReadOnly => "read-only",
            Self::NoSpace => "no-space",
            Self::Locked => "locked",
            Self::Refused => "refused",
            Self::Latched => "latched",
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::PermissionDenied => "permission-denied",
            Self::NotQed => "not-qed",
            Self::Damaged => "damaged",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
            Self::Busy => "busy",
        }
    }

    /// The errno a C caller gets where the operating system gave none.
    #[must_use]
    pub fn errno(self) -> i32 {
        match self {
            Self::Io | Self::Latched | Self::Internal => libc::EIO,
            Self::Corrupt | Self::Damaged => libc::EUCLEAN,
            Self::Unsupported => libc::ENOTSUP,
            Self::InvalidArgument | Self::NotQed => libc::EINVAL,
            Self::ReadOnly => libc::EROFS,
            Self::NoSpace => libc::ENOSPC,
            Self::Locked => libc::EAGAIN,
            Self::Refused | Self::PermissionDenied => libc::EACCES,
            Self::NotFound => libc::ENOENT,
            Self::AlreadyExists => libc::EEXIST,
            Self::Cancelled => libc::ECANCELED,
            Self::Busy => libc::EBUSY,
        }
    }
}

/// What failed, where, and why.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
    detail: Box<Detail>,
}

#[derive(Debug, Default)]
struct Detail {
    message: String,
    file: Option<PathBuf>,
    offset: Option<u64>,
    corruption: Option<Corruption>,
    source: Option<io::Error>,
}

impl Error {
    /// An error of `kind` whose sentence is `message` (lower-case start, no full stop).
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, detail: Box::new(Detail { message: message.into(), ..Detail::default() }) }
    }

    /// A caller's mistake.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// The operating system failed while doing `operation` ("reading a table").
    #[must_use]
    pub fn io(operation: &str, source: io::Error) -> Self {
        let mut error = Self::new(kind_of(&source), operation);
        error.detail.source = Some(source);
        error
    }

    /// The same error, naming the file, unless a deeper layer already named one.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        self.detail.file.get_or_insert_with(|| file.to_path_buf());
        self
    }

    /// The same error, naming the byte offset it happened at, unless one is named already.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.detail.offset.get_or_insert(offset);
        self
    }

    /// The stable kind, for programs.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file the error is about, where known.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.detail.file.as_deref()
    }

    /// The byte offset the error is about: of the guest for requests, of the file for metadata.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.detail.offset
    }

    /// The clause of the format that is broken, with its numbers.
    #[must_use]
    pub fn corruption(&self) -> Option<&Corruption> {
        self.detail.corruption.as_ref()
    }

    /// The operating system's error number, or the one that stands for the kind.
    #[must_use]
    pub fn errno(&self) -> i32 {
        let os = self.detail.source.as_ref().and_then(io::Error::raw_os_error);
        os.unwrap_or_else(|| self.kind.errno())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = &*self.detail;
        if let Some(file) = &detail.file {
            write!(f, "{}: ", file.display())?;
        }
        f.write_str(&detail.message)?;
        if let Some(offset) = detail.offset {
            write!(f, " at offset {offset}")?;
        }
        if let Some(source) = &detail.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl From<Corruption> for Error {
    fn from(corruption: Corruption) -> Self {
        let kind = match corruption {
            Corruption::BadMagic { .. } => ErrorKind::NotQed,
            Corruption::UnknownFeatures { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::Corrupt,
        };
        let mut error = Self::new(kind, corruption.to_string());
        error.detail.corruption = Some(corruption);
        error
    }
}

/// A storage that has latched says so through an `io::Error` that carries this mark.
#[derive(Debug, thiserror::Error)]
#[error("an earlier sync or metadata write failed ({first}); reopen the image to go on")]
pub struct LatchedMark {
    /// What failed first.
    pub first: String,
}

fn kind_of(source: &io::Error) -> ErrorKind {
    if source.get_ref().is_some_and(|inner| inner.is::<LatchedMark>()) {
        return ErrorKind::Latched;
    }
    match source.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => return ErrorKind::NoSpace,
        Some(libc::EROFS) => return ErrorKind::ReadOnly,
        _ => {}
    }
    match source.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_file_offset_and_cause() {
        let cause = io::Error::from_raw_os_error(libc::EIO);
        let error = Error::io("reading a table", cause).at(65536).in_file(Path::new("a.qed"));
        assert_eq!(error.kind(), ErrorKind::Io);
        let text = error.to_string();
        assert!(text.starts_with("a.qed: reading a table at offset 65536: "), "{text}");
        assert_eq!(error.errno(), libc::EIO);
    }

    #[test]
    fn the_deepest_layer_names_the_file() {
        let error = Error::invalid("x").in_file(Path::new("base")).in_file(Path::new("top"));
        assert_eq!(error.file(), Some(Path::new("base")));
    }

    #[test]
    fn a_latched_storage_is_recognised_by_its_mark() {
        let mark = LatchedMark { first: "sync: disk on fire".into() };
        let error = Error::io("writing", io::Error::other(mark));
        assert_eq!(error.kind(), ErrorKind::Latched);
    }

    #[test]
    fn kinds_have_distinct_names() {
        let names: std::collections::HashSet<_> =
            ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
