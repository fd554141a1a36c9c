//! Long work on an image in use, in stints: where somebody wants the disk at rest the work lets go
//! of it, and begins anew when the disk runs again. What is done already is found done. A stint
//! that was called off before it had moved anything is followed by one that first does: so the work
//! comes to its end beside somebody who brings the disk to rest again and again.

use super::work::Job;
use crate::chain::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// What work that may have to let go looks at.
#[derive(Debug)]
pub(super) struct Stint<'a> {
    job: &'a Job,
    /// None where nobody can want the image at rest.
    disk: Option<&'a Disk>,
    /// It does not let go before it has moved something.
    insists: bool,
    moved: AtomicBool,
    let_go: AtomicBool,
}

impl<'a> Stint<'a> {
    /// A stint on an image that is nobody else's to bring to rest.
    pub(super) fn alone(job: &'a Job) -> Self {
        Self::new(job, None, false)
    }

    fn new(job: &'a Job, disk: Option<&'a Disk>, insists: bool) -> Self {
        let (moved, let_go) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { job, disk, insists, moved, let_go }
    }

    /// Fails where the work is to end, for good or for now.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`], which gives way to what is the reason.
    pub(super) fn check(&self) -> Result<()> {
        if self.insists && !self.moved.load(SeqCst) {
            return self.job.check();
        }
        self.check_idle()
    }

    /// As [`check`](Self::check), for work that does nothing but wait: it lets go at once.
    ///
    /// # Errors
    /// As there.
    pub(super) fn check_idle(&self) -> Result<()> {
        self.job.check()?;
        if self.disk.is_some_and(Disk::is_called_to_rest) {
            self.let_go.store(true, SeqCst);
            return Err(Error::new(ErrorKind::Cancelled, "the disk is called to rest"));
        }
        Ok(())
    }

    /// Notes that something has been moved for good.
    pub(super) fn note_moved(&self) {
        self.moved.store(true, SeqCst);
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
    let before = disk.path();
    let mut insists = false;
    loop {
        let stint = Stint::new(job, Some(disk), insists);
        let result = disk.with_image(verb, |image| {
            if disk.path() != before {
                let text = "the disk runs on another file than when the work began";
                return Err(Error::new(ErrorKind::Busy, text));
            }
            work(image, &stint)
        });
        let cancelled = |error: &Error| error.kind() == ErrorKind::Cancelled;
        if !(stint.let_go.load(SeqCst) && result.as_ref().is_err_and(cancelled)) {
            return result;
        }
        insists = !stint.moved.load(SeqCst);
    }
}
