//! Repair of an image that nobody has open (F6): what is damaged becomes sound, what nothing names
//! is given back.
//!
//! ```text
//! survey -> begin -> clear -> move tables -> copy data -> survey again -> declare -> give back
//! ```
//!
//! Every step is safe to crash in, and after a crash the next repair begins anew (C12, C18):
//!
//! - R1 What was read is stable before anything is changed (C1), and FREE_MAP and TABLES_VOUCHED
//!   are off, durably (C13).
//! - R2 Entries that name nothing, the header or the L1 table become 0, durably, before the file
//!   grows. A table that an L2 entry claims as data is not touched: perhaps it is the guest's.
//! - R3 Tables that overlap another one, or that are claimed, are written whole to new space, and
//!   sound; then the L1 entry follows (C11). What they leave is the data of whoever claimed it.
//! - R4 A cluster that is named again is copied to new space; then the later entry follows.
//! - R5 New space is never where any bad entry points: none becomes a reference by being overtaken.
//!   At worst, where a crash falls in between and its table is claimed, it names a hole.
//! - R6 NEED_CHECK goes, and TABLES_VOUCHED comes, when a second survey finds nothing.
//! - R7 Space is given back last, when no entry on the disk can name it (C14).

pub(crate) mod leaks;
pub(crate) mod normalise;
mod separate;
mod words;

use std::ops::Range;
use std::slice;

use crate::addr::FileOffset;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{
    AUTOCLEAR_FREE_MAP, AUTOCLEAR_KNOWN, AUTOCLEAR_TABLES_VOUCHED, FEATURE_NEED_CHECK, Header,
};
use crate::meta::rules::{Rule, Rules};
use crate::meta::scan::bounds::Bounds;
use crate::meta::scan::pieces::Pieces;
use crate::meta::scan::survey::Survey;
use crate::meta::scan::{GoOn, Scan, survey};
use crate::meta::space::refs::Refs;
use crate::meta::tables::header::HeaderBlock;
use crate::storage::Storage;

/// What is to be repaired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Bad entries; without it only leaks.
    pub entries: bool,
    /// New space that may be taken, in bytes.
    pub max_growth: u64,
    /// The rules that hold.
    pub rules: Rules,
}

/// Told which bytes of the file are about to change, before they do.
pub(crate) type Announce<'a> = dyn FnMut(&[Range<u64>]) -> Result<()> + 'a;

/// Repairs the image in `storage`; answers the leaked clusters that were given back. Nothing is
/// changed where nothing is wrong, nor where a table cannot be read: what it names is not known.
///
/// # Errors
/// The header is none, `go_on` says so, the repair would take too much space, a read, a write or a
/// sync failed. The image is then as sound as it was, or sounder.
pub(crate) fn repair(
    storage: &dyn Storage,
    extent: Extent,
    announce: &mut Announce<'_>,
    go_on: &mut GoOn<'_>,
) -> Result<u64> {
    let header = HeaderBlock::read(storage)?;
    let length = length_of(storage)?;
    header.get().check_writable()?;
    let rules = extent.rules;
    let mut desk = Desk { storage, header, length, rules, begun: false, announce, go_on };
    let (mut scan, mut survey) = desk.survey(extent.max_growth)?;
    if !scan.is_complete() {
        return Ok(0);
    }
    let bad = scan.dangling + scan.damage > 0;
    if extent.entries && (bad || desk.header.get().needs_check()) {
        desk.count_claimed_tables(&mut survey)?;
        desk.begin(AUTOCLEAR_TABLES_VOUCHED)?;
        if bad {
            desk.mend(&scan, &survey)?;
            scan = desk.survey(extent.max_growth)?.0;
        }
        desk.declare_sound(&scan)?;
    }
    desk.give_back(&scan)
}

/// What a repair works with.
struct Desk<'a, 'b> {
    storage: &'a dyn Storage,
    header: HeaderBlock,
    /// Bytes of the file.
    length: u64,
    rules: Rules,
    /// R1 is done.
    begun: bool,
    announce: &'a mut Announce<'b>,
    go_on: &'a mut GoOn<'b>,
}

impl Desk<'_, '_> {
    fn survey(&mut self, max_growth: u64) -> Result<(Scan, Survey)> {
        let header = self.header.get();
        let mut found = Survey::new(header.geometry, self.length, max_growth);
        let go_on = &mut |done, total| (self.go_on)(done, total);
        let scan = survey(self.storage, &header, self.length, &mut found, go_on)?;
        Ok((scan, found))
    }

    /// R1, and what only holds while others keep away: bits that nobody here knows (F1).
    fn begin(&mut self, cleared: u64) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        self.update_header(|header| {
            header.autoclear_features &= AUTOCLEAR_KNOWN & !AUTOCLEAR_FREE_MAP & !cleared;
        })?;
        self.sync_unless(Rule::FirstSync)
    }

    /// R2 to R4.
    fn mend(&mut self, scan: &Scan, survey: &Survey) -> Result<()> {
        self.clear(survey)?;
        let avoids = !self.rules.breaks(Rule::NewSpaceIsNotNamed);
        let mut space = separate::NewSpace::new(scan.end, self.length, survey, avoids);
        self.move_tables(survey, &mut space)?;
        self.copy_data(&mut space)?;
        self.sync_unless(Rule::SwitchAfterSync)
    }

    /// R6.
    fn declare_sound(&mut self, scan: &Scan) -> Result<()> {
        if scan.dangling + scan.damage + scan.unreadable > 0 {
            let text = "the repair is not complete: somebody else changes the file, or it cannot \
                        be read";
            return Err(Error::new(ErrorKind::Damaged, text));
        }
        self.sync_unless(Rule::SwitchAfterSync)?;
        self.update_header(|header| {
            header.features &= !FEATURE_NEED_CHECK;
            header.autoclear_features |= AUTOCLEAR_TABLES_VOUCHED;
        })?;
        self.sync()
    }

    /// A claimed table moves: that takes space as well.
    fn count_claimed_tables(&mut self, survey: &mut Survey) -> Result<()> {
        let bounds = self.bounds();
        let mut placed = Refs::new();
        self.each_table(&bounds, |_, _, table| {
            let overlaps = !separate::take(&mut placed, bounds.clusters_of(table));
            if !overlaps && separate::is_claimed(survey, bounds.clusters_of(table)) {
                survey.add_move()?;
            }
            Ok(())
        })
    }

    /// R2.
    fn clear(&mut self, survey: &Survey) -> Result<()> {
        let bounds = self.bounds();
        let l1 = self.header.get().l1_table_offset;
        self.rewrite(
            &bounds,
            l1,
            |word| {
                if word != 0 && bounds.table(word).is_err() { 0 } else { word }
            },
        )?;
        self.each_table(&bounds, |desk, _, table| {
            let claimed = separate::is_claimed(survey, bounds.clusters_of(table));
            if claimed && !desk.rules.breaks(Rule::ClaimedTablesStay) {
                return Ok(());
            }
            desk.rewrite(&bounds, table, |word| cleared(&bounds, word))
        })?;
        self.sync_unless(Rule::RepairBeforeGrowth)
    }

    /// Calls `visit` with the index and the place of every L2 table that may be one.
    fn each_table(
        &mut self,
        bounds: &Bounds,
        mut visit: impl FnMut(&mut Self, u64, FileOffset) -> Result<()>,
    ) -> Result<()> {
        let header = self.header.get();
        let mut pieces = Pieces::new(self.storage);
        pieces.start(header.l1_table_offset, header.geometry.table_bytes());
        while let Some(piece) = pieces.next() {
            let piece = piece?;
            for (index, word) in (piece.first..).zip(piece.words) {
                let word = u64::from_le_bytes(*word);
                if let Some(table) = bounds.table(word).ok().filter(|_| word != 0) {
                    visit(self, index, table)?;
                }
            }
        }
        Ok(())
    }

    fn bounds(&self) -> Bounds {
        Bounds::new(&self.header.get(), self.length)
    }

    fn update_header(&mut self, change: impl FnOnce(&mut Header)) -> Result<()> {
        (self.announce)(slice::from_ref(&(0..self.storage.limits().atomic_unit)))?;
        self.header.update(self.storage, change)
    }

    /// A sync that a rule is about.
    fn sync_unless(&mut self, rule: Rule) -> Result<()> {
        if self.rules.breaks(rule) { Ok(()) } else { self.sync() }
    }

    fn sync(&mut self) -> Result<()> {
        self.storage.sync().map_err(|error| Error::io("syncing the image", error))
    }
}

/// What R2 makes of an L2 entry.
fn cleared(bounds: &Bounds, word: u64) -> u64 {
    if word > 1 && bounds.data(word).is_err() { 0 } else { word }
}

fn length_of(storage: &dyn Storage) -> Result<u64> {
    storage.len().map_err(|error| Error::io("asking the file's length", error))
}
