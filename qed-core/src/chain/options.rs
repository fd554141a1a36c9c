//! How images are opened. Names and meanings are the same in every face.

use super::observe::Observer;
use super::policy::BackingPolicy;
use crate::image::ImageSettings;
use crate::source::Format;
use std::sync::Arc;

/// The default for [`OpenOptions::max_depth`].
pub const DEFAULT_MAX_DEPTH: u32 = 64;
/// The most that [`OpenOptions::max_depth`] may say: each layer takes some of the stack of whoever
/// reads through it.
pub const MAX_DEPTH: u32 = 256;

/// Whether the image and its backing files are locked against other processes (F7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockMode {
    /// As QEMU does it, so that neither opens what the other writes.
    #[default]
    On,
    /// No locks: the caller keeps others away.
    Off,
}

/// What [`open`](super::open()) and its siblings need to know beside the file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The format of the disk's own file. It is never guessed.
    pub format: Format,
    /// How the image behaves. Backing files take the same settings, but read-only.
    pub image: ImageSettings,
    /// Which backing files may be opened.
    pub backing: BackingPolicy,
    /// The most backing files below the image, up to [`MAX_DEPTH`].
    pub max_depth: u32,
    /// See [`LockMode`].
    pub lock: LockMode,
    /// The image itself may not be a symbolic link.
    pub no_follow: bool,
    /// The image and its backing files may be block devices, not regular files alone.
    pub block_devices: bool,
    /// Watches the [`Disk`](super::Disk) that is opened.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            format: Format::default(),
            image: ImageSettings::default(),
            backing: BackingPolicy::default(),
            max_depth: DEFAULT_MAX_DEPTH,
            lock: LockMode::default(),
            no_follow: false,
            block_devices: false,
            observer: None,
        }
    }
}
