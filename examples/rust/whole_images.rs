//! Every operation on whole images, one after the other, in a directory:
//!
//!     cargo run --example whole_images /tmp/somewhere

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use qed_core::{
    CheckOptions, CommitOptions, CompactOptions, CompareOptions, ConvertOptions, ConvertSource,
    ConvertTarget, CreateOptions, Disk, Flags, Format, MeasureOptions, OpenOptions, Preallocation,
    Reader, RebaseOptions, Repair, ResizeOptions, Result, SafetyOptions, StreamOptions,
    add_overlay, check, check_with, commit, compact, compare, convert, create, lint, measure,
    probe, rebase, safety_check, stream, undo_repair,
};

const MIB: u64 = 1 << 20;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    make(Path::new(&folder))?;
    copy(Path::new(&folder))?;
    move_between_layers(Path::new(&folder))?;
    work_beside_a_guest(Path::new(&folder))?;
    judge_and_repair(Path::new(&folder))
}

/// What hears how far a long operation is, and may break it off.
fn progress(_done: u64, _total: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// create, with all tables laid out; resize, while the disk is used; extents.
fn make(folder: &Path) -> Result<()> {
    let mut new = CreateOptions::default();
    (new.size, new.preallocation) = (Some(10 * MIB), Preallocation::Metadata);
    create(folder.join("base.qed"), &new)?;
    let disk = Disk::open(folder.join("base.qed"), &OpenOptions::default())?;
    disk.pwrite(&[7; 300_000], MIB, Flags::NONE)?;
    disk.resize(20 * MIB, ResizeOptions::default())?;
    for extent in disk.extents(0, disk.size())? {
        let extent = extent?;
        println!("{:?} from {} on: {} bytes", extent.kind, extent.offset, extent.length);
    }
    disk.close()
}

/// measure, convert, compare.
fn copy(folder: &Path) -> Result<()> {
    let disk = Disk::open(folder.join("base.qed"), &OpenOptions::default())?;
    println!("a copy takes {} bytes", measure(&disk, &MeasureOptions::default())?.required);
    let mut raw = CreateOptions::default();
    raw.format = Format::Raw;
    let (path, how) = (folder.join("copy.raw"), ConvertOptions::default());
    let target = ConvertTarget::New(&path, raw);
    convert(ConvertSource::Disks(vec![&disk]), target, &how, &mut progress)?;
    let mut as_raw = OpenOptions::default();
    as_raw.format = Format::Raw;
    let copy = Disk::open(&path, &as_raw)?;
    let differs = compare(&disk, &copy, &CompareOptions::default(), &mut progress)?;
    println!("the copy differs: {differs:?}");
    assert!(differs.is_none());
    disk.close()
}

/// An overlay, and commit and rebase, after which it reads the same.
fn move_between_layers(folder: &Path) -> Result<()> {
    let (over, open) = (folder.join("over.qed"), OpenOptions::default());
    let mut new = CreateOptions::default();
    new.backing = Some("base.qed".into());
    create(&over, &new)?;
    let disk = Disk::open(&over, &open)?;
    disk.pwrite(&[8; 512], 5 * MIB, Flags::NONE)?;
    disk.close()?;
    commit(&over, &open, &CommitOptions::default(), &mut progress)?;
    let mut onto = RebaseOptions::default();
    (onto.backing, onto.backing_format) = (Some("copy.raw".into()), Some(Format::Raw));
    rebase(&over, &open, &onto, &mut progress)?;
    let (disk, mut seen) = (Disk::open(&over, &open)?, [0; 512]);
    disk.pread(&mut seen, 5 * MIB)?;
    assert_eq!(seen, [8; 512]);
    disk.close()
}

/// An external snapshot, stream and compact, all of them while the disk is used; quiesce.
fn work_beside_a_guest(folder: &Path) -> Result<()> {
    let mut open = OpenOptions::default();
    open.image.copy_on_read = true;
    let disk = Disk::open(folder.join("over.qed"), &open)?;
    add_overlay(&disk, folder.join("snapshot.qed"), &CreateOptions::default())?;
    disk.pwrite(&[9; 512], 6 * MIB, Flags::NONE)?;
    stream(&disk, &StreamOptions::default(), &mut progress)?;
    let report = compact(&disk, &CompactOptions::default(), &mut progress)?;
    println!("compacted from {} to {} bytes", report.length_before, report.length_after);
    disk.quiesce()?;
    // At rest the file is whole, and nobody writes to it.
    let _ = fs::copy(folder.join("snapshot.qed"), folder.join("backup.qed"));
    disk.resume()?;
    disk.close()
}

/// probe, safety_check, lint; check, and repair with a way back.
fn judge_and_repair(folder: &Path) -> Result<()> {
    let (backup, open) = (folder.join("backup.qed"), OpenOptions::default());
    println!("it looks like {:?}", probe(&backup)?);
    assert!(safety_check(&backup, &SafetyOptions::default())?.is_safe());
    let report = lint(&backup, Reader::Qemu, false, &open, &mut progress)?;
    assert!(report.is_clean(), "{:?}", report.findings);
    assert!(check(&backup, &open)?.is_clean());
    let mut repair = CheckOptions::default();
    (repair.repair, repair.undo) = (Some(Repair::All), Some(folder.join("undo")));
    let report = check_with(&backup, &open, &repair, &mut progress)?;
    println!("{} mended, {} given back", report.corruptions_fixed, report.leaks_fixed);
    if folder.join("undo").exists() {
        undo_repair(&backup, folder.join("undo"), &open)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    /// Goal: the example works. Method: run it, in a directory of its own.
    #[test]
    fn it_runs_to_its_end() -> qed_core::Result<()> {
        let folder = std::env::temp_dir().join(format!("whole-images-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| qed_core::Error::io("a folder", error))?;
        let (made, copied) = (super::make(&folder), super::copy(&folder));
        let moved = super::move_between_layers(&folder);
        let (worked, judged) =
            (super::work_beside_a_guest(&folder), super::judge_and_repair(&folder));
        let _ = std::fs::remove_dir_all(&folder);
        made.and(copied).and(moved).and(worked).and(judged)
    }
}
