//! The kernel's ring: entries go in, their results come out.
//!
//! One file is registered with it, in slot 0. Which memory an entry names is not known here.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, squeue};

/// The side on which entries go in. Whoever has it is the only one to put any in.
pub(super) struct Entries {
    ring: Arc<IoUring>,
}

/// The side on which results come out. Whoever has it is the only one to take any.
pub(super) struct Results {
    ring: Arc<IoUring>,
}

/// A ring for about `entries` requests at once.
///
/// # Errors
/// The system has none to give, or lacks what is needed here.
pub(super) fn ring(entries: usize) -> io::Result<(Entries, Results)> {
    let entries = u32::try_from(entries.next_power_of_two()).map_err(io::Error::other)?;
    let mut builder = IoUring::builder();
    // A child that touches the ring must not take its parent's completions.
    builder.dontfork().setup_clamp().setup_cqsize(2 * entries);
    let plain = builder.clone();
    // Completions need no interrupt of the owner: it, or its next timer tick, takes them in.
    builder.setup_coop_taskrun().setup_taskrun_flag();
    let ring = match builder.build(entries) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => plain.build(entries)?,
        built => built?,
    };
    let params = ring.params();
    if !params.is_feature_nodrop() || !params.is_feature_ext_arg() {
        return Err(io::Error::other("the kernel's io_uring is too old"));
    }
    let ring = Arc::new(ring);
    Ok((Entries { ring: Arc::clone(&ring) }, Results { ring }))
}

impl Entries {
    /// Registers `file` in slot 0.
    ///
    /// # Errors
    /// What the system reports.
    pub(super) fn register_file(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        self.ring.submitter().register_files(&[file.as_raw_fd()])
    }

    /// Registers `file` in slot 0, in place of what was there.
    ///
    /// # Errors
    /// What the system reports.
    pub(super) fn replace_file(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        self.ring.submitter().register_files_update(0, &[file.as_raw_fd()]).map(drop)
    }

    /// Lets go of the file in slot 0.
    pub(super) fn unregister_file(&self) {
        // Closing the ring does it as well, only later.
        let _ = self.ring.submitter().unregister_files();
    }

    /// Has `event` made readable at every completion.
    ///
    /// # Errors
    /// What the system reports.
    pub(super) fn register_event(&self, event: BorrowedFd<'_>) -> io::Result<()> {
        self.ring.submitter().register_eventfd(event.as_raw_fd())
    }

    /// Puts an entry in; false where it is full and nothing was done.
    ///
    /// # Safety
    /// What the entry names stays valid, and unused by anybody else, until its result has been
    /// taken out.
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: nobody else puts entries in; what this one names is the caller's promise.
        unsafe { self.ring.submission_shared().push(entry).is_ok() }
    }

    /// Entries that the kernel has not taken yet.
    pub(super) fn unsubmitted(&mut self) -> usize {
        // SAFETY: nobody else has this side.
        unsafe { self.ring.submission_shared().len() }
    }

    /// Whether [`enter`](Self::enter) has something to do, also without a wait.
    pub(super) fn has_work(&mut self) -> bool {
        // SAFETY: nobody else has this side.
        let entries = unsafe { self.ring.submission_shared() };
        !entries.is_empty() || entries.taskrun() || entries.cq_overflow()
    }

    /// Hands every entry to the kernel, then waits until `want` results are there to be taken out,
    /// at most as long as `timeout` says.
    ///
    /// # Errors
    /// What the system reports: ETIME where the time has passed.
    pub(super) fn enter(&mut self, want: usize, timeout: Option<Duration>) -> io::Result<()> {
        let submitter = self.ring.submitter();
        let entered = match timeout {
            Some(timeout) if want > 0 => {
                let timespec = Timespec::from(timeout);
                submitter.submit_with_args(want, &SubmitArgs::new().timespec(&timespec))
            }
            _ => submitter.submit_and_wait(want),
        };
        entered.map(drop)
    }
}

impl AsFd for Entries {
    /// Readable while results are there to be taken out.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is the ring's own, and open as long as that lives.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

impl Results {
    /// Takes results out as long as `each`, which is given tag and result, wants another.
    pub(super) fn harvest(&mut self, mut each: impl FnMut(u64, i32) -> bool) {
        // SAFETY: nobody else has this side.
        let completions = unsafe { self.ring.completion_shared() };
        for entry in completions {
            if !each(entry.user_data(), entry.result()) {
                return;
            }
        }
    }

    /// Whether a result is there to be taken out.
    pub(super) fn is_empty(&mut self) -> bool {
        // SAFETY: nobody else has this side.
        unsafe { self.ring.completion_shared().is_empty() }
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entries of ring {}", self.ring.as_raw_fd())
    }
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Results of ring {}", self.ring.as_raw_fd())
    }
}
