//! What another program would choke on, or harm, in an image that is right (F8); and the image
//! rewritten to a form that it takes, where there is one.
//!
//! Looks at the image's own file alone. A fix reads the same to the guest before, after and at any
//! crash in between.

mod readers;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use crate::chain::file::{Access, check_file as check_type, open_path};
use crate::chain::{OpenOptions, Purpose, directory_of, file_mode, lock_and_wrap};
use crate::error::{Error, ErrorKind, Result};
use crate::format::Header;
use crate::image::{BackingInfo, read_backing_info, read_header};
use crate::meta::Rules;
use crate::meta::repair::normalise::{Census, Rewrite, census, rewrite};
use crate::ops::check::{CheckOptions, Repair, check_storage, check_storage_with};
use crate::ops::work::{Progress, cancelled};
use crate::source::Format;
use crate::storage::Storage;

pub use readers::{LintFinding, LintRule, Reader, Severity};

/// What a lint found, and whether it was mended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LintReport {
    /// Whom the image is to suit.
    pub reader: Reader,
    /// What it would choke on or harm; after a fix what is left.
    pub findings: Vec<LintFinding>,
    /// What a fix has mended.
    pub fixed: Vec<LintFinding>,
}

impl LintReport {
    /// Whether the reader takes the image and does no harm to it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.rule.severity() == Severity::Note)
    }
}

/// Looks at the image at `path` for `reader`; with `fix` rewrites what can be.
///
/// # Errors
/// As [`check_with`](super::check_with); the header is none.
pub fn lint(
    path: impl AsRef<Path>,
    reader: Reader,
    fix: bool,
    options: &OpenOptions,
    progress: &mut Progress<'_>,
) -> Result<LintReport> {
    let path = path.as_ref();
    let access = Access {
        no_follow: options.no_follow,
        writable: fix,
        block_devices: options.block_devices,
    };
    let opened = open_path(path, access, "the image");
    let looked = opened.and_then(|file| {
        let itself = file.metadata().map_err(|error| Error::io("asking about the file", error))?;
        let names_itself = |name: &BackingInfo| {
            let named = directory_of(path).join(readers::path_of(&name.name));
            fs::metadata(named)
                .is_ok_and(|other| (other.dev(), other.ino()) == (itself.dev(), itself.ino()))
        };
        lint_open(file, reader, fix, options, &names_itself, progress)
    });
    looked.map_err(|error| error.in_file(path))
}

/// Looks at the image in `file`, as [`lint`] does.
///
/// # Errors
/// As there.
pub fn lint_file(
    file: File,
    reader: Reader,
    fix: bool,
    options: &OpenOptions,
    progress: &mut Progress<'_>,
) -> Result<LintReport> {
    lint_open(file, reader, fix, options, &|_| false, progress)
}

fn lint_open(
    file: File,
    reader: Reader,
    fix: bool,
    options: &OpenOptions,
    names_itself: &dyn Fn(&BackingInfo) -> bool,
    progress: &mut Progress<'_>,
) -> Result<LintReport> {
    if options.format != Format::Qed {
        let text = format!("the format {} is not linted", options.format);
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    let access = Access { block_devices: options.block_devices, ..Access::default() };
    check_type(&file, access, "the image")?;
    let purpose = if fix { Purpose::Write } else { Purpose::Look };
    let mode = file_mode(options.image.cache, fix);
    let storage = lock_and_wrap(file, mode, purpose, options.lock)?;
    look_and_mend(&storage, reader, fix, options.image.rules, names_itself, progress)
}

/// Looks at the image in `storage`, as [`lint`] does; a fix goes by `rules`.
///
/// # Errors
/// As there.
pub fn lint_storage(
    storage: &Arc<dyn Storage>,
    reader: Reader,
    fix: bool,
    rules: Rules,
    progress: &mut Progress<'_>,
) -> Result<LintReport> {
    look_and_mend(storage, reader, fix, rules, &|_| false, progress)
}

fn look_and_mend(
    storage: &Arc<dyn Storage>,
    reader: Reader,
    fix: bool,
    rules: Rules,
    names_itself: &dyn Fn(&BackingInfo) -> bool,
    progress: &mut Progress<'_>,
) -> Result<LintReport> {
    let look = |progress: &mut Progress<'_>| {
        let mut facts = Facts::of(&**storage, progress)?;
        facts.names_itself = facts.backing.as_ref().is_some_and(names_itself);
        Ok::<_, Error>(readers::judge(reader, &facts))
    };
    let found = look(progress)?;
    if !fix || found.iter().all(|finding| !finding.fixable) {
        return Ok(LintReport { reader, findings: found, fixed: Vec::new() });
    }
    mend(storage, reader, &found, rules, progress)?;
    let left = look(progress)?;
    let mended = |finding: &LintFinding| !left.iter().any(|other| other.rule == finding.rule);
    let fixed = found.into_iter().filter(mended).collect();
    Ok(LintReport { reader, findings: left, fixed })
}

/// What readers are judged by.
struct Facts {
    header: Header,
    backing: Option<BackingInfo>,
    names_itself: bool,
    length: u64,
    /// Bad entries and tables that cannot be read.
    damage: u64,
    census: Census,
}

impl Facts {
    fn of(storage: &dyn Storage, progress: &mut Progress<'_>) -> Result<Self> {
        let report = check_storage(storage)?;
        let damage = report.corruptions + report.check_errors;
        let mut go_on = go_on(progress);
        Ok(Self {
            header: read_header(storage)?,
            backing: read_backing_info(storage)?,
            names_itself: false,
            length: storage.len().map_err(|cause| Error::io("asking the file's length", cause))?,
            damage,
            // Of damaged tables nothing is known.
            census: if damage == 0 { census(storage, &mut go_on)? } else { Census::default() },
        })
    }
}

fn mend(
    storage: &Arc<dyn Storage>,
    reader: Reader,
    found: &[LintFinding],
    rules: Rules,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let has = |rule| found.iter().any(|finding| finding.rule == rule && finding.fixable);
    let renames = has(LintRule::StrayName) || has(LintRule::ProtocolName);
    let name = match read_backing_info(&**storage)?.filter(|_| renames) {
        Some(backing) => Some(readers::plain_name(reader, &backing.name)),
        None => None,
    };
    let nothing = &mut |_: &[std::ops::Range<u64>]| Ok(());
    if name.is_some() {
        let what = Rewrite { name, rules, ..Rewrite::default() };
        rewrite(&**storage, &what, nothing, &mut go_on(progress))?;
    }
    if has(LintRule::Damage) || has(LintRule::NeedCheck) {
        let how = CheckOptions { repair: Some(Repair::All), rules, ..CheckOptions::default() };
        check_storage_with(Arc::clone(storage), &how, progress)?;
    }
    // What a repair made readable may hold more of these.
    let facts = Facts::of(&**storage, progress)?;
    let left = readers::judge(reader, &facts);
    let has = |rule| left.iter().any(|finding| finding.rule == rule && finding.fixable);
    let what = Rewrite {
        zero_clusters: has(LintRule::ZeroClusters),
        past_size: has(LintRule::EntriesPastSize),
        name: None,
        rules,
    };
    if what.zero_clusters || what.past_size {
        rewrite(&**storage, &what, nothing, &mut go_on(progress))?;
    }
    Ok(())
}

fn go_on<'a>(progress: &'a mut Progress<'_>) -> impl FnMut(u64, u64) -> Result<()> + 'a {
    |done, total| if progress(done, total).is_break() { Err(cancelled()) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
