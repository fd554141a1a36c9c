//! Which images can be served, and what is said of the others.

use super::header::Qcow2Header;
use super::info::{KNOWN_INCOMPATIBLE, Qcow2Compression, Qcow2Encryption};
use crate::error::{Error, ErrorKind, Result};
use crate::image::BackingInfo;
use crate::source::Format;

impl Qcow2Header {
    /// The backing file, in the chain's words.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the image names a format that is not built in.
    pub(super) fn backing(&self) -> Result<Option<BackingInfo>> {
        let Some(backing) = &self.info.backing else { return Ok(None) };
        let format = match &backing.format {
            None => None,
            Some(name) => {
                let name = String::from_utf8_lossy(name);
                let known = Format::from_name(&name).ok_or_else(|| {
                    let message = format!("backing format {name:?} is not supported");
                    Error::new(ErrorKind::Unsupported, message)
                });
                Some(known?)
            }
        };
        Ok(Some(BackingInfo { name: backing.name.clone(), format }))
    }

    /// Refuses what cannot be served, by name.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], and [`ErrorKind::Damaged`] where writing would make damage
    /// worse.
    pub(super) fn check_supported(&self, writable: bool) -> Result<()> {
        let refused = |what: &str| {
            Err(Error::new(
                ErrorKind::Unsupported,
                format!("qcow2 images {what} are not supported"),
            ))
        };
        let info = &self.info;
        let unknown = info.incompatible_features & !KNOWN_INCOMPATIBLE;
        if unknown != 0 {
            let message = format!("unknown incompatible qcow2 features {unknown:#x}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        match info.encryption {
            Some(Qcow2Encryption::Aes) => return refused("with AES encryption"),
            Some(Qcow2Encryption::Luks) => return refused("with LUKS encryption"),
            None => {}
        }
        if info.has_data_file() {
            return refused("with an external data file");
        }
        if info.has_extended_l2() {
            return refused("with extended L2 entries (subclusters)");
        }
        match info.compression {
            Qcow2Compression::Zlib => {}
            Qcow2Compression::Zstd => return refused("with zstd compression"),
            Qcow2Compression::Unknown(kind) => {
                return refused(&format!("with compression type {kind}"));
            }
        }
        if writable { self.check_writable() } else { Ok(()) }
    }

    fn check_writable(&self) -> Result<()> {
        let info = &self.info;
        let (kind, message) = if info.version < 3 {
            (
                ErrorKind::Unsupported,
                "writing to qcow2 images of version 2 (compat 0.10) is not supported, for they \
                 cannot say that a writer was interrupted; qemu-img amend -o compat=v3 makes \
                 version 3 of it",
            )
        } else if info.is_corrupt() {
            (ErrorKind::Damaged, "the qcow2 image is marked corrupt; it can only be read")
        } else if info.is_dirty() {
            (
                ErrorKind::Unsupported,
                "writing to a dirty qcow2 image, one whose last writer was interrupted, is not \
                 supported; qemu-img check -r all repairs it",
            )
        } else {
            return Ok(());
        };
        Err(Error::new(kind, message))
    }
}
