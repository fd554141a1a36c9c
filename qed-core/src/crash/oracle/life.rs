//! The oracles that open a state: recovery, and life afterwards.

use super::case::Case;
use super::session::{Session, clusters, compare, guarded, storage, write_spare};
use super::subject::Subject;
use super::{Oracle, Verdict};
use crate::crash::guest::Initial;
use crate::crash::medium::{Medium, SECTOR};
use crate::crash::recording::GuestDisk;
use crate::storage::Storage;
use std::collections::BTreeSet;

/// The state opens read-only, with no byte changed, and writable, with nothing to be seen that was
/// not there; what a close leaves has a clean structure and NEED_CHECK clear, and recovering it
/// again changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Recovery;

impl Oracle for Recovery {
    fn name(&self) -> &str {
        "recovery"
    }

    fn judge(&self, case: &Case<'_>) -> Verdict {
        let before = case.disk()?;
        guarded(|| recover(case.subject, case.medium, before))
    }
}

fn recover(subject: &Subject, medium: &Medium, before: &GuestDisk) -> Verdict {
    let asked = clusters(subject, before);
    let file = storage(subject, medium);
    let image = Session::open(subject, file.clone(), true)?;
    compare(&image, before, &asked, subject.cluster).map_err(in_part("read-only"))?;
    drop(image);
    if file.changes() != 0 {
        return Err("a read-only open changed the file".to_owned());
    }
    let image = Session::open(subject, file.clone(), false)?;
    compare(&image, before, &asked, subject.cluster).map_err(in_part("recovered"))?;
    image.close()?;
    let once = file.medium();
    let after = GuestDisk::qed(once.clone(), subject.below()).map_err(in_part("recovered"))?;
    if after.shape().is_some_and(super::Shape::needs_check) {
        return Err("recovered: NEED_CHECK is set".to_owned());
    }
    same(before, &after, &asked, subject).map_err(in_part("recovered"))?;
    Session::open(subject, file.clone(), false)?.close()?;
    if file.medium().digest() == once.digest() {
        Ok(())
    } else {
        Err("recovering twice is not recovering once".to_owned())
    }
}

/// After recovery the guest writes into new clusters, flushes, closes: what was there and what is
/// new reads back, and the structure is clean.
#[derive(Clone, Copy, Debug)]
pub struct LifeGoesOn;

impl Oracle for LifeGoesOn {
    fn name(&self) -> &str {
        "life-goes-on"
    }

    fn judge(&self, case: &Case<'_>) -> Verdict {
        let before = case.disk()?;
        guarded(|| live(case.subject, case.medium, before))
    }
}

fn live(subject: &Subject, medium: &Medium, before: &GuestDisk) -> Verdict {
    let file = storage(subject, medium);
    let image = Session::open(subject, file.clone(), false)?;
    write_spare(subject, &image)?;
    image.flush().map_err(super::session::told("flushing afterwards"))?;
    check(subject, &file.medium(), before).map_err(in_part("flushed"))?;
    image.close()?;
    let left = file.medium();
    let after = check(subject, &left, before).map_err(in_part("closed"))?;
    let image = Session::open(subject, file as std::sync::Arc<dyn Storage>, true)?;
    compare(&image, &after, &clusters(subject, &after), subject.cluster)
        .map_err(in_part("reopened"))
}

/// What was there is there, and so is what was written since.
fn check(subject: &Subject, medium: &Medium, before: &GuestDisk) -> Result<GuestDisk, String> {
    let after = GuestDisk::qed(medium.clone(), subject.below())?;
    let spare: BTreeSet<u64> =
        subject.spare.iter().map(|(offset, _)| offset / subject.cluster).collect();
    let mut old = clusters(subject, before);
    old.retain(|cluster| !spare.contains(cluster));
    same(before, &after, &old, subject)?;
    for (offset, bytes) in &subject.spare {
        for (sector, bytes) in (offset / SECTOR..).zip(bytes.chunks(512)) {
            if after.digest(sector) != crate::crash::random::digest(bytes) {
                let mut found = [0; 512];
                after.read(sector, &mut found);
                let found = crate::crash::guest::identify(&found);
                return Err(format!("what was written at guest sector {sector} reads {found}"));
            }
        }
    }
    Ok(after)
}

/// These clusters read alike, sector by sector; pages that are shared are.
fn same(
    before: &GuestDisk,
    after: &GuestDisk,
    clusters: &BTreeSet<u64>,
    subject: &Subject,
) -> Verdict {
    let size = subject.cluster;
    for cluster in clusters {
        let entry = |disk: &GuestDisk| disk.tables.as_ref().map(|tables| tables.entry(*cluster));
        let pages = match (entry(before), entry(after)) {
            (Some(Some(super::Entry::Data(one))), Some(Some(super::Entry::Data(two)))) => {
                Some((one / 4096..(one + size) / 4096, two / 4096))
            }
            (one, two) if one == two => continue,
            _ => None,
        };
        if pages.is_some_and(|(one, two)| before.medium.shares(one, &after.medium, two)) {
            continue;
        }
        for sector in cluster * size / SECTOR..(cluster + 1) * size / SECTOR {
            if before.digest(sector) != after.digest(sector) {
                let (mut one, mut two) = ([0; 512], [0; 512]);
                before.read(sector, &mut one);
                after.read(sector, &mut two);
                let named = crate::crash::guest::identify;
                let (one, two) = (named(&one), named(&two));
                return Err(format!("guest sector {sector} reads {two} instead of {one}"));
            }
        }
    }
    Ok(())
}

fn in_part(part: &'static str) -> impl Fn(String) -> String {
    move |what| format!("{part}: {what}")
}
