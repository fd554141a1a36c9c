//! How long the file of a converted disk will be, before it is there.

use crate::arguments;
use crate::guard::status;
use crate::options::{self, qed_options};
use qed_core::{Disk, Measured, Result, measure, measure_size};
use std::ffi::{c_char, c_int};

/// The qed_measure* functions are there.
pub const LIBQED_HAVE_MEASURE: c_int = 1;

/// Measures what a copy of the disk at source, with its backing files, takes: *required is set to
/// the bytes of file that qed_convert needs for it, *fully_allocated to those once every cluster of
/// the new image has been written. Of the options, "format", "cluster_size" and "table_size" are
/// the new image's, "source_format" ("qed") is the source's; the others are for opening the source.
/// What the source calls data counts, also where it is zeroes, which qed_convert leaves out.
///
/// Ownership: options may be NULL and is not kept. Threads: any.
/// Errors: as qed_image_open; -EINVAL: no such image can be created.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_measure(
    source: *const c_char,
    options: *const qed_options,
    required: *mut u64,
    fully_allocated: *mut u64,
) -> c_int {
    status("qed_measure", || {
        // SAFETY: the header's contract: NULL or a C string.
        let source = unsafe { arguments::named_path(source, "source") }?;
        let places = Places::of(required, fully_allocated)?;
        // SAFETY: the header's contract: NULL or a handle.
        let plan = unsafe { options::to_measure(options) }?;
        let measured = measure(&Disk::open(source, &plan.source)?, &plan.how)?;
        places.fill(measured);
        Ok(())
    })
}

/// qed_measure for a new disk of size bytes, to which nothing is written. Nothing is opened.
///
/// Ownership: options may be NULL and is not kept. Threads: any.
/// Errors: -EINVAL: no such image can be created.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_measure_size(
    size: u64,
    options: *const qed_options,
    required: *mut u64,
    fully_allocated: *mut u64,
) -> c_int {
    status("qed_measure_size", || {
        let places = Places::of(required, fully_allocated)?;
        // SAFETY: the header's contract: NULL or a handle.
        let plan = unsafe { options::to_measure(options) }?;
        places.fill(measure_size(size, &plan.how)?);
        Ok(())
    })
}

/// Where the results go.
struct Places {
    required: *mut u64,
    fully_allocated: *mut u64,
}

impl Places {
    fn of(required: *mut u64, fully_allocated: *mut u64) -> Result<Self> {
        let required = arguments::place(required, "required")?;
        let fully_allocated = arguments::place(fully_allocated, "fully_allocated")?;
        Ok(Self { required, fully_allocated })
    }

    fn fill(self, measured: Measured) {
        // SAFETY: not NULL, aligned, and the caller's to write.
        unsafe {
            self.required.write(measured.required);
            self.fully_allocated.write(measured.fully_allocated);
        }
    }
}
