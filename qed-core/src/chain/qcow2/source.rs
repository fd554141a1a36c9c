//! A qcow2 image as the layer below another.

use super::{Qcow2Disk, Qcow2ExtentKind};
use crate::error::Result;
use crate::source::{Source, SourceExtent};

impl Source for Qcow2Disk {
    fn size(&self) -> u64 {
        Qcow2Disk::size(self)
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        Qcow2Disk::read(self, buffer, offset)
    }

    fn extent(&self, offset: u64, length: u64) -> Result<SourceExtent> {
        let extent = Qcow2Disk::extent(self, offset, length)?;
        let length = extent.length;
        Ok(match extent.kind {
            Qcow2ExtentKind::Data(_) | Qcow2ExtentKind::Compressed => {
                SourceExtent { length, zero: false }
            }
            Qcow2ExtentKind::Zero => SourceExtent { length, zero: true },
            Qcow2ExtentKind::Absent => match &self.below {
                Some(below) if offset < below.size() => {
                    below.extent(offset, length.min(below.size() - offset))?
                }
                _ => SourceExtent { length, zero: true },
            },
        })
    }
}
