//! Streams: descriptors that are read or written once, from front to back.
//!
//! Pipes, sockets, terminals, or files from where they stand. Neither a writer that says nothing
//! nor a reader that takes nothing keeps a job from being stopped. A reader that has gone is an
//! error (EPIPE); the signal SIGPIPE reaches nobody, for workers take no signals.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use super::super::work::{Job, TICK};
use crate::chain::sys;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Target;
use crate::sync::{Mutex, Rank};

/// A stream that is read.
#[derive(Debug)]
pub(super) struct PipeReader {
    file: File,
}

impl PipeReader {
    pub(super) fn new(file: File) -> Self {
        sys::enlarge_pipe(&file, PIPE_BYTES);
        Self { file }
    }

    /// Reads until `buffer` is full or the stream ends; how many bytes have come.
    ///
    /// # Errors
    /// What the operating system reports; [`ErrorKind::Cancelled`] where the job stops.
    pub(super) fn fill(&self, buffer: &mut [u8], job: &Job) -> Result<usize> {
        let failed = |error| Error::io("reading the stream", error);
        let mut done = 0;
        while done < buffer.len() {
            job.check()?;
            if !sys::poll(&self.file, libc::POLLIN, tick_ms()).map_err(failed)? {
                continue;
            }
            match (&self.file).read(&mut buffer[done..]) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(done)
    }

    /// The error of a stream that ended after `received` of `size` bytes.
    pub(super) fn too_short(&self, received: u64, size: u64) -> Error {
        let text = format!("the stream ended after {received} of {size} bytes");
        Error::new(ErrorKind::Io, text)
    }
}

/// A stream that is written, as the target of a copy that keeps the order and writes everything.
pub(super) struct PipeWriter<'a> {
    file: File,
    size: u64,
    /// Bytes handed over at once, so that no call waits for the reader.
    most: usize,
    at: Mutex<u64>,
    job: &'a Job,
}

impl<'a> PipeWriter<'a> {
    /// A writer of `size` bytes to `file`.
    pub(super) fn new(file: File, size: u64, job: &'a Job) -> Self {
        let is_pipe = file.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
        let at = Mutex::new(Rank::Work, 0);
        if !is_pipe {
            return Self { file, size, most: usize::MAX, at, job };
        }
        sys::enlarge_pipe(&file, PIPE_BYTES);
        // Whoever holds the same open file does not expect it to become non-blocking: a pipe is
        // opened anew, where this process may do that. Else no more than surely fits is written.
        let own = File::options()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        match own {
            Ok(own) => Self { file: own, size, most: usize::MAX, at, job },
            Err(_) => Self { file, size, most: libc::PIPE_BUF, at, job },
        }
    }

    fn put(&self, mut rest: &[u8]) -> Result<()> {
        let failed = |error| Error::io("writing the stream", error);
        while !rest.is_empty() {
            self.job.check()?;
            if !sys::poll(&self.file, libc::POLLOUT, tick_ms()).map_err(failed)? {
                continue;
            }
            match (&self.file).write(&rest[..rest.len().min(self.most)]) {
                Ok(0) => return Err(failed(io::ErrorKind::WriteZero.into())),
                Ok(count) => rest = &rest[count..],
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PipeWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeWriter").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Target for PipeWriter<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn granule(&self) -> u64 {
        1
    }

    fn write(&self, buffer: &[u8], offset: u64) -> Result<()> {
        // The copy takes turns: the lock is never waited for.
        let mut at = self.at.lock();
        if *at != offset {
            let text = format!("a stream at {} cannot be written at {offset}", *at);
            return Err(Error::new(ErrorKind::Internal, text));
        }
        self.put(buffer)?;
        *at += buffer.len() as u64;
        Ok(())
    }

    fn write_zeroes(&self, offset: u64, length: u64) -> Result<()> {
        let zeroes = [0; ZEROES];
        let mut done = 0;
        while done < length {
            let left = usize::try_from(length - done).unwrap_or(ZEROES).min(ZEROES);
            self.write(&zeroes[..left], offset + done)?;
            done += left as u64;
        }
        Ok(())
    }

    /// What a stream's reader makes of the bytes is the reader's business.
    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

fn tick_ms() -> i32 {
    i32::try_from(TICK.as_millis()).unwrap_or(i32::MAX)
}

/// As many as an unprivileged process may ask for.
const PIPE_BYTES: i32 = 1 << 20;
const ZEROES: usize = 1 << 16;
