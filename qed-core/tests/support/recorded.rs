//! The logs that were recorded from QEMU's drivers, by `tests/data/crash/record.py`.
//!
//! Each suite includes this file by its path.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used)]

use qed_core::crash::log::{LoadOptions, parse_workload};
use qed_core::crash::{Medium, Recording, Writer};
use qed_core::source::{Extent, ExtentKind, Source};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A backing file full of one byte.
#[derive(Debug)]
struct Filled(u64, u8);

impl Source for Filled {
    fn size(&self) -> u64 {
        self.0
    }

    fn read(&self, buffer: &mut [u8], _: u64) -> qed_core::Result<()> {
        buffer.fill(self.1);
        Ok(())
    }

    fn extent(&self, offset: u64, length: u64) -> qed_core::Result<Extent> {
        let kind = ExtentKind::Data { file_offset: Some(offset) };
        Ok(Extent { offset, length, kind, depth: 0 })
    }
}

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/crash").join(name)
}

/// A recording of QEMU's.
pub fn recorded(name: &str) -> Recording {
    let calls = std::fs::read_to_string(data(&format!("{name}.calls"))).unwrap();
    let options = LoadOptions {
        base: Some(Arc::new(Medium::load(&data(&format!("{name}.base"))).unwrap().to_base())),
        workload: parse_workload(&calls).unwrap(),
        ..LoadOptions::default()
    };
    let mut recording = Recording::load(&data(&format!("{name}.log")), &options).unwrap();
    assert_eq!(recording.writer, Writer::Foreign);
    assert_eq!(recording.calls.len(), calls.lines().count());
    if name.contains("backing") {
        recording.backing = Some(Arc::new(Filled(32768, 1)));
    }
    recording
}
