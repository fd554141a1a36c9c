//! Work on a whole image as a step of a workload: guest calls may be made in its midst.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use super::Workload;
use super::backing::LOWER_NAME;
use crate::error::{Error, Result};
use crate::image::{BackingInfo, Image};
use crate::ops::{CompactOptions, StreamBase, compact_image, stream_image, stream_image_to};
use crate::source::Format;

/// An operation on a whole image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Clusters are brought into the guest's order, so many bytes at once.
    Compact(u64),
    /// What lies below is brought in, and the backing file dropped.
    Stream,
    /// What lies between the image and the lower of two files is brought in, and the lower one
    /// becomes the backing file.
    StreamToLower,
}

impl Work {
    /// Does it. What a guest reads is what it was.
    pub(super) fn perform(self, image: &Image, workload: &Workload) -> Result<()> {
        let mut go_on = |_, _| ControlFlow::Continue(());
        match self {
            Self::Stream => stream_image(image, &mut go_on),
            Self::StreamToLower => {
                let name = image.info()?.backing.map(|backing| backing.name);
                let lower = workload.lower.filter(|_| name.is_some_and(|name| name != LOWER_NAME));
                // It is the backing file already, or there is none any more.
                let Some(size) = lower else { return Ok(()) };
                let info = BackingInfo { name: LOWER_NAME.to_vec(), format: Some(Format::Raw) };
                stream_image_to(
                    image,
                    &StreamBase { depth: 1, size, info, source: None },
                    &mut go_on,
                )
            }
            Self::Compact(batch) => {
                let options = CompactOptions { batch };
                compact_image(image, &options, &mut go_on).map(drop)
            }
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream => f.write_str("stream"),
            Self::StreamToLower => f.write_str("stream to lower"),
            Self::Compact(batch) => write!(f, "compact {batch}"),
        }
    }
}

impl FromStr for Work {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("{text:?} is no work on an image"));
        let (verb, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        match verb {
            "stream" if rest.is_empty() => Ok(Self::Stream),
            "stream" if rest.trim() == "to lower" => Ok(Self::StreamToLower),
            "compact" => rest.trim().parse().map(Self::Compact).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}
