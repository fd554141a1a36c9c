//! Long work on an image in use, in stints: where somebody wants the disk at rest the work lets go
//! of it, and begins anew when the disk runs again. What is done already is found done.

use super::work::Job;
use crate::chain::{Disk, LayerName};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// What work that may have to let go looks at.
#[derive(Debug)]
pub(super) struct Stint<'a> {
    job: &'a Job,
    /// None where nobody can want the image at rest.
    disk: Option<&'a Disk>,
    let_go: AtomicBool,
}

impl<'a> Stint<'a> {
    /// A stint on an image that is nobody else's to bring to rest.
    pub(super) fn alone(job: &'a Job) -> Self {
        Self { job, disk: None, let_go: AtomicBool::new(false) }
    }

    /// Fails where the work is to end, for good or for now.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`], which gives way to what is the reason.
    pub(super) fn check(&self) -> Result<()> {
        self.job.check()?;
        if self.disk.is_some_and(Disk::is_called_to_rest) {
            self.let_go.store(true, SeqCst);
            return Err(Error::new(ErrorKind::Cancelled, "the disk is called to rest"));
        }
        Ok(())
    }

    /// The job that this is a stint of.
    pub(super) fn job(&self) -> &Job {
        self.job
    }

    /// Notes that `bytes` more are done.
    pub(super) fn advance(&self, bytes: u64) {
        self.job.advance(bytes);
    }
}

/// Does `work` on the image of `disk`, as often as it has to let go and once more. `verb` says what
/// is done to the disk.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a disk of another format than QED; [`ErrorKind::Busy`] where the
/// disk runs on another file when it runs again; what `work` reports.
pub(super) fn in_stints<R>(
    disk: &Disk,
    job: &Job,
    verb: &str,
    work: impl Fn(&Image, &Stint<'_>) -> Result<R>,
) -> Result<R> {
    let before = disk.layers();
    loop {
        let stint = Stint { job, disk: Some(disk), let_go: AtomicBool::new(false) };
        let result = disk.with_image(verb, |image| {
            check_same(&before, &disk.layers())?;
            work(image, &stint)
        });
        let cancelled = |error: &Error| error.kind() == ErrorKind::Cancelled;
        if !(stint.let_go.load(SeqCst) && result.as_ref().is_err_and(cancelled)) {
            return result;
        }
    }
}

fn check_same(before: &[LayerName], now: &[LayerName]) -> Result<()> {
    if before == now {
        return Ok(());
    }
    let text = "the disk runs on another file than when the work began";
    Err(Error::new(ErrorKind::Busy, text))
}
