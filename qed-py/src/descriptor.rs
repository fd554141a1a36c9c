//! Descriptors that Python code passes as numbers.

use qed_core::{Error, Result};
use std::fs::File;
use std::os::fd::{BorrowedFd, RawFd};

/// A file of our own behind descriptor `number`: the caller keeps and closes the original.
pub(crate) fn duplicate(number: u64) -> Result<File> {
    let Ok(descriptor) = RawFd::try_from(number) else {
        return Err(Error::invalid(format!("{number} is not a descriptor")));
    };
    // SAFETY: the number is not negative, and the borrow ends in this expression. That it names an
    // open file is for the system to say: a closed one answers EBADF.
    let owned = unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned();
    owned.map(File::from).map_err(|e| Error::io(&format!("duplicating descriptor {number}"), e))
}
