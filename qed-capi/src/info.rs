//! The facts of an image, in a structure that can grow: its first member says how much of it there
//! is.

use crate::arguments;
use crate::guard::{code, status};
use crate::handle;
use crate::image::qed_image;
use crate::probe::number;
use libc::ERANGE;
use qed_core::{DiskInfo, Error, Format, Result};
use std::ffi::{c_char, c_int};
use std::io;
use std::mem::size_of;
use std::ptr;

/// The functions qed_image_info and qed_image_backing_name are there.
pub const LIBQED_HAVE_INFO: c_int = 1;

/// The facts of an image. Later versions add members at the end, never between.
#[repr(C)]
pub struct qed_info {
    /// In: sizeof(qed_info). Out: the bytes that the library filled in, at most as many.
    pub struct_size: u64,
    /// Bytes of the guest's disk.
    pub virtual_size: u64,
    /// Bytes of a cluster.
    pub cluster_size: u64,
    /// Clusters in a table.
    pub table_size: u64,
    /// Clusters reserved for the header.
    pub header_size: u64,
    /// Incompatible features, as stored.
    pub features: u64,
    /// Compatible features, as stored.
    pub compat_features: u64,
    /// Autoclear features, as stored.
    pub autoclear_features: u64,
    /// Where the L1 table stands in the file, in bytes.
    pub l1_table_offset: u64,
    /// Bytes of the image file.
    pub file_length: u64,
    /// Bytes of disk that the image file occupies.
    pub disk_usage: u64,
    /// 1 where the image says that it needs a check, else 0.
    pub needs_check: u32,
    /// 1 where the image is open for reading alone, else 0.
    pub read_only: u32,
    /// Bytes of the backing file's name (qed_image_backing_name); 0 without a backing file.
    pub backing_name_length: u32,
    /// 1 where the backing file is a raw disk, never to be probed, else 0.
    pub backing_raw: u32,
    /// The format of the image file, one of QED_FORMAT_*. What a format does not have is 0: only
    /// QED images have tables and features here, raw disks have no clusters.
    pub format: u32,
    /// The format of the backing file where the image names it, else QED_FORMAT_UNKNOWN.
    pub backing_format: u32,
}

/// Fills *info in. Set info->struct_size to sizeof(qed_info) before the call, as in qed_info info =
/// { .struct_size = sizeof(info) }; members that this library does not know are left alone.
///
/// Ownership: *info is the caller's. Threads: any.
/// Errors: -EINVAL: struct_size is less than the first version of qed_info had; what the operating
/// system reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_info(image: *const qed_image, info: *mut qed_info) -> c_int {
    status("qed_image_info", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let image = unsafe { handle::get(image) }?;
        let place = arguments::place(info, "info")?;
        // SAFETY: the header's contract: struct_size is set, and so many bytes are the caller's.
        let room = unsafe { (*place).struct_size };
        if room < FIRST_SIZE {
            let text = format!("info->struct_size is {room}, not sizeof(qed_info)");
            return Err(Error::invalid(text));
        }
        let mut filled = to_c(&image.info()?);
        filled.struct_size = room.min(size_of::<qed_info>() as u64);
        let bytes = usize::try_from(filled.struct_size).unwrap_or(0);
        // SAFETY: not more than either structure has; two structures never overlap.
        unsafe { ptr::copy_nonoverlapping((&raw const filled).cast::<u8>(), place.cast(), bytes) };
        Ok(())
    })
}

/// Copies the backing file's name, as the image stores it, and a terminating NUL into buffer of
/// size bytes. Returns the name's length without the NUL; 0 without a backing file. A name has at
/// most 4095 bytes. With size 0 only the length is told.
///
/// Ownership: the buffer is the caller's. Threads: any.
/// Errors: -ERANGE: the name does not fit (nothing was copied); -EINVAL: buffer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_backing_name(
    image: *const qed_image,
    buffer: *mut c_char,
    size: usize,
) -> c_int {
    code("qed_image_backing_name", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let name = unsafe { handle::get(image) }?.info()?.backing.map(|b| b.name);
        let name = name.unwrap_or_default();
        let length = name_length(&name)?;
        if size == 0 {
            return Ok(length);
        }
        // SAFETY: the header's contract: size bytes that are the caller's to lend.
        let buffer = unsafe { arguments::buffer_mut(buffer.cast(), size) }?;
        let Some(place) = buffer.get_mut(..=name.len()) else {
            let text = format!("copying a name of {length} bytes and a NUL into {size} bytes");
            return Err(Error::io(&text, io::Error::from_raw_os_error(ERANGE)));
        };
        place[..name.len()].copy_from_slice(&name);
        place[name.len()] = 0;
        Ok(length)
    })
}

fn name_length(name: &[u8]) -> Result<c_int> {
    c_int::try_from(name.len()).map_err(|_| Error::invalid("the backing name has no C length"))
}

fn to_c(info: &DiskInfo) -> qed_info {
    let backing = info.backing.as_ref();
    let length = backing.map_or(0, |backing| backing.name.len());
    let qed = info.qed.as_ref();
    let backing_format = backing.and_then(|backing| backing.format);
    qed_info {
        struct_size: 0,
        virtual_size: info.virtual_size,
        cluster_size: info.cluster_size.unwrap_or(0),
        table_size: qed.map_or(0, |qed| qed.table_size),
        header_size: qed.map_or(0, |qed| qed.header_size),
        features: qed.map_or(0, |qed| qed.features),
        compat_features: qed.map_or(0, |qed| qed.compat_features),
        autoclear_features: qed.map_or(0, |qed| qed.autoclear_features),
        l1_table_offset: qed.map_or(0, |qed| qed.l1_table_offset),
        file_length: info.file_length,
        disk_usage: info.disk_usage,
        needs_check: info.needs_check.into(),
        read_only: info.read_only.into(),
        backing_name_length: u32::try_from(length).unwrap_or(u32::MAX),
        backing_raw: (backing_format == Some(Format::Raw)).into(),
        format: number(Some(info.format)).unsigned_abs(),
        backing_format: number(backing_format).unsigned_abs(),
    }
}

/// The structure's size in version 0.1, which programs built then go on to pass.
const FIRST_SIZE: u64 = 104;
const _: () = assert!(size_of::<qed_info>() as u64 >= FIRST_SIZE);
