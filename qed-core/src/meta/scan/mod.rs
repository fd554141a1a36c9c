//! The one walk over all tables: for checking, for repair at opening, for finding free space (F6).
//!
//! First the header, the L1 table and every L2 table it names are marked, then every data cluster,
//! so that an entry into a table is seen whichever comes first. What an entry names is marked also
//! where the entry is damage: such a cluster is in nobody's free set (C15). A table is read once
//! and only where it is legal. Nothing is changed here; bad entries are handed to the caller as
//! they are found.
//!
//! Two kinds of bad entry: dangling ones name nothing that a table or cluster could be, a crash of
//! another writer leaves them (F5), and 0 repairs them; damage names what is in use already, and no
//! rule says which of the two references is right (C12a).

pub(crate) mod bounds;
pub(crate) mod owners;
pub(crate) mod pieces;
pub(crate) mod repair;
pub(crate) mod survey;
mod walk;

use crate::addr::GuestCluster;
use crate::error::{Corruption, Error, Result};
use crate::format::Header;
use crate::meta::scan::bounds::Bounds;
use crate::meta::scan::survey::Survey;
use crate::meta::scan::walk::Walk;
use crate::meta::space::refs::Refs;
use crate::storage::Storage;

pub(crate) use walk::GoOn;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryPlace {
    /// The L1 table's entry of this index.
    L1(u64),
    /// The L2 entry of this guest cluster.
    L2(GuestCluster),
}

/// An entry that breaks the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadEntry {
    pub place: EntryPlace,
    pub fault: Corruption,
}

impl BadEntry {
    /// Whether the entry names nothing, so that 0 repairs it.
    pub(crate) fn is_dangling(&self) -> bool {
        matches!(self.fault, Corruption::L1Entry { .. } | Corruption::L2Entry { .. })
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Every cluster that the header, the tables or an entry takes.
    pub refs: Refs,
    /// Those of them that are header clusters or tables.
    pub metadata: Refs,
    /// L2 entries that are neither 0 nor 1, bad ones included.
    pub allocated: u64,
    /// Of these, the ones not directly behind the one before them in the same table.
    pub fragmented: u64,
    /// Bad entries that 0 repairs.
    pub dangling: u64,
    /// Bad entries that nothing repairs.
    pub damage: u64,
    /// Tables that could not be read, whole or in part: what they name is missing here.
    pub unreadable: u64,
    /// Why the first of them could not be read.
    pub first_unreadable: Option<Error>,
    /// The highest referenced cluster of the file + 1.
    pub end: u64,
}

impl Scan {
    /// Whether every table was read: only then is what `refs` leaves out free.
    pub(crate) fn is_complete(&self) -> bool {
        self.unreadable == 0
    }
}

/// Walks all tables of the image in `storage`, whose file has `file_length` bytes.
///
/// # Errors
/// [`Corruption::L1Offset`] where the L1 table does not lie inside the file, and whatever `visit`
/// answers: that ends the walk. A table that cannot be read is counted and does not end it.
pub(crate) fn scan(
    storage: &dyn Storage,
    header: &Header,
    file_length: u64,
    visit: &mut dyn FnMut(BadEntry) -> Result<()>,
) -> Result<Scan> {
    scan_while(storage, header, file_length, &mut |_, _| Ok(()), visit)
}

/// The same walk, with `go_on` asked before each piece of a table: its error ends the walk.
pub(crate) fn scan_while<'a>(
    storage: &dyn Storage,
    header: &Header,
    file_length: u64,
    go_on: &'a mut GoOn<'a>,
    visit: &'a mut dyn FnMut(BadEntry) -> Result<()>,
) -> Result<Scan> {
    let bounds = Bounds::new(header, file_length);
    let walk = Walk { bounds, found: Scan::default(), survey: None, go_on, visit };
    walk.run(storage, header)
}

/// The same walk on behalf of a repair: it goes on where a check stops, and fills in `survey`.
///
/// # Errors
/// As [`scan`]; [`ErrorKind::Refused`](crate::ErrorKind::Refused) where the repair would take more
/// new space than it may.
pub(crate) fn survey<'a>(
    storage: &dyn Storage,
    header: &Header,
    file_length: u64,
    survey: &'a mut Survey,
    go_on: &'a mut GoOn<'a>,
) -> Result<Scan> {
    let bounds = Bounds::new(header, file_length);
    let visit = &mut |_| Ok(());
    let walk = Walk { bounds, found: Scan::default(), survey: Some(survey), go_on, visit };
    walk.run(storage, header)
}

#[cfg(test)]
mod tests;
