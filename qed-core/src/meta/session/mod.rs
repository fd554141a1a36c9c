//! What a writable session does before its first change (C1, C12, C13), and repair at open (F5).
//!
//! ```text
//! open --> unchanged --begin_changes--> FREE_MAP cleared, one sync, tables sound --> changing
//! ```
//!
//! Until then the file is as it was found. What was read of it may have been written by a killed
//! process and stand in the page cache alone; the sync makes it stable, and only then may anything
//! be allocated, freed, repaired or vouched for.

pub(crate) mod close;
pub(crate) mod open;
mod rename;
mod reset;
mod saved;
pub(crate) mod settings;

use std::collections::BTreeSet;

use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::format::{AUTOCLEAR_FREE_MAP, AUTOCLEAR_TABLES_VOUCHED, L1Entry};
use crate::meta::Meta;
use crate::meta::rules::Rule;
use crate::meta::scan::{BadEntry, EntryPlace, Scan, scan, scan_while};
use crate::meta::session::settings::Trust;
use crate::meta::space::ranges::RangeSet;
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};
use crate::sync::{Mutex, Rank};

/// Entries repaired between two flushes, so that repair takes bounded memory.
const REPAIRS_AT_ONCE: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Session {
    changing: AtomicBool,
    /// All that says where tables are has been read.
    tables_found: AtomicBool,
    /// What is known of the tables when the session begins to change things.
    gate: Mutex<Gate>,
}

#[derive(Debug)]
struct Gate {
    /// The header announced a free map at open, which nobody has used yet.
    has_map: bool,
    /// The first damage a scan found: allocation stops (C12a).
    damage: Option<String>,
}

/// What a scan found wrong.
#[derive(Default)]
struct Findings {
    dangling: Vec<EntryPlace>,
    /// The first damage, and how much there is.
    damage: Option<String>,
    damaged: u64,
    /// Offsets of metadata that entries name.
    disputed: BTreeSet<u64>,
}

impl Session {
    pub(crate) fn new(has_map: bool) -> Self {
        let gate = Gate { has_map, damage: None };
        Self {
            changing: AtomicBool::new(false),
            tables_found: AtomicBool::new(false),
            gate: Mutex::new(Rank::Session, gate),
        }
    }
}

impl Meta {
    /// Whether the session has changed tables.
    pub(crate) fn has_changes(&self) -> bool {
        self.session.changing.load(SeqCst)
    }

    /// Whether the session may have written anything.
    pub(crate) fn has_written(&self) -> bool {
        self.session.tables_found.load(SeqCst)
    }

    /// Passes the gate before a change of tables.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`]; [`ErrorKind::Damaged`] where the scan finds what no repair at this
    /// point can mend; a failed read, write or sync.
    pub(crate) fn begin_changes(&self) -> Result<()> {
        if self.session.changing.load(SeqCst) {
            return Ok(());
        }
        self.check_writable()?;
        let mut gate = self.session.gate.lock();
        if self.session.changing.load(SeqCst) {
            return Ok(());
        }
        if let Some(damage) = &gate.damage {
            return Err(Error::new(ErrorKind::Damaged, damage.clone()));
        }
        self.find_tables_once()?;
        let rules = self.settings.rules;
        if !rules.breaks(Rule::ClearFreeMapFirst) {
            self.header.update(&*self.storage, |header| {
                header.autoclear_features &= !AUTOCLEAR_FREE_MAP;
            })?;
        }
        if !rules.breaks(Rule::FirstSync) {
            self.first_sync()?;
        }
        if let Err(damage) = self.establish(&mut gate) {
            if damage.kind() == ErrorKind::Damaged {
                gate.damage = Some(damage.to_string());
            }
            return Err(damage);
        }
        self.session.changing.store(true, SeqCst);
        drop(gate);
        self.start_background();
        Ok(())
    }

    /// The sync after which all that was read is stable (C1), and the map's bit gone (C13).
    fn first_sync(&self) -> Result<()> {
        if !self.settings.rules.breaks(Rule::ClearedBitIsStable) {
            return self.clock.sync_now();
        }
        self.clock.pretend_syncs(true);
        let synced = self.clock.sync_now();
        self.clock.pretend_syncs(false);
        synced
    }

    /// Passes the gate before any write at all, where the image is not trusted.
    ///
    /// # Errors
    /// As [`begin_changes`](Self::begin_changes).
    pub(crate) fn begin_write(&self) -> Result<()> {
        match self.settings.trust {
            Trust::Untrusted => self.begin_changes(),
            Trust::Normal | Trust::Damaged => self.check_writable(),
        }?;
        if self.session.tables_found.load(SeqCst) {
            return Ok(());
        }
        let _gate = self.session.gate.lock();
        self.find_tables_once()
    }

    /// Whether [`begin_write`](Self::begin_write) has nothing left to do.
    pub(crate) fn may_write_now(&self) -> bool {
        let trusted = self.settings.trust != Trust::Untrusted || self.has_changes();
        !self.settings.read_only && trusted && self.session.tables_found.load(SeqCst)
    }

    /// Learns where tables are, before the session's first write. Called behind the gate, or while
    /// the image is opened.
    ///
    /// # Errors
    /// A part of the L1 table cannot be read.
    pub(crate) fn find_tables_once(&self) -> Result<()> {
        if !self.session.tables_found.load(SeqCst) {
            self.find_tables(self.image_size())?;
            self.session.tables_found.store(true, SeqCst);
        }
        Ok(())
    }

    /// Fails for images that were opened read-only.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`].
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.settings.read_only {
            return Err(Error::new(ErrorKind::ReadOnly, "the image was opened read-only"));
        }
        Ok(())
    }

    /// Makes sure that no entry dangles, and learns what is free where that costs nothing more.
    fn establish(&self, gate: &mut Gate) -> Result<()> {
        if self.space.is_scanned() {
            return Ok(());
        }
        let vouched = self.header.get().autoclear_features & AUTOCLEAR_TABLES_VOUCHED != 0;
        let trusted = self.settings.trust != Trust::Untrusted;
        if vouched && trusted {
            let announced = std::mem::take(&mut gate.has_map);
            let saved = if announced { self.read_free_map()? } else { None };
            let saved = match saved {
                Some(saved) if saved.complete => return self.space.adopt(saved.free),
                saved => saved,
            };
            // Nothing dangles; what is free in a large image is found out beside the requests, and
            // until then there is what the map could hold. In a small one it is known at once, or
            // short sessions that crash would each leave the space behind that they extended the
            // file by.
            let tables = self.l1.words(self.image_size())?.filter(|word| *word != 0).count() as u64;
            let bytes = tables.saturating_mul(self.geometry.table_bytes());
            if self.settings.background && bytes > self.settings.scan_limit {
                return saved.map_or(Ok(()), |saved| self.space.adopt_some(saved.free));
            }
        }
        let (unused, sound) = self.scan_and_repair()?;
        if !sound {
            return Ok(());
        }
        self.space.adopt(unused)?;
        self.header.update(&*self.storage, |header| {
            header.autoclear_features |= AUTOCLEAR_TABLES_VOUCHED;
        })
    }

    /// Scans all tables and sets dangling entries to 0, durably. Gives what nobody references, and
    /// whether the tables are sound now: with the caller's consent, damage stays as it is.
    pub(crate) fn scan_and_repair(&self) -> Result<(RangeSet, bool)> {
        loop {
            let mut findings = Findings::default();
            let scanned = self.scan(&mut findings)?;
            let consented = self.settings.trust == Trust::Damaged
                || self.settings.rules.breaks(Rule::DamageStopsAllocation);
            if let Some(first) = findings.damage.as_ref().filter(|_| !consented) {
                let count = findings.damaged;
                return Err(damaged(&format!("{first} (one of {count} faults)")));
            }
            if !scanned.is_complete() {
                return Err(damaged("tables of the image cannot be read"));
            }
            let more = findings.dangling.len() == REPAIRS_AT_ONCE;
            findings.dangling.retain(|place| !self.is_disputed(*place, &findings.disputed));
            self.repair(&findings.dangling)?;
            if !more || findings.dangling.is_empty() {
                return Ok((self.unreferenced(&scanned), findings.damaged == 0));
            }
        }
    }

    fn scan(&self, findings: &mut Findings) -> Result<Scan> {
        let header = self.header.get();
        let length = self.file_length()?;
        scan(&*self.storage, &header, length, &mut |bad: BadEntry| {
            if bad.is_dangling() {
                if findings.dangling.len() < REPAIRS_AT_ONCE {
                    findings.dangling.push(bad.place);
                }
                return Ok(());
            }
            findings.damaged += 1;
            if let Corruption::NamesMetadata { value, .. } = bad.fault {
                findings.disputed.insert(value);
            }
            findings.damage.get_or_insert_with(|| bad.fault.to_string());
            Ok(())
        })
    }

    /// Whether `place` stands in a table that an entry claims as data: perhaps it is the guest's,
    /// and what looks like a dangling entry is not one.
    fn is_disputed(&self, place: EntryPlace, disputed: &BTreeSet<u64>) -> bool {
        let EntryPlace::L2(cluster) = place else { return false };
        match self.l1.entry(self.geometry.l1_index(cluster)) {
            Ok(L1Entry::Table(table)) => {
                let end = table.get() + self.geometry.table_bytes();
                disputed.range(table.get()..end).next().is_some()
            }
            _ => !disputed.is_empty(),
        }
    }

    /// What a later scan beside the requests found: adopted where nothing is damaged.
    pub(crate) fn scan_in_background(&self) -> Result<()> {
        let length_at_open = self.length_at_open;
        let header = self.header.get();
        let mut suspects = 0;
        let mut go_on = |_, _| self.background.go_on();
        let mut visit = |bad: BadEntry| {
            // The session's own new clusters lie past the end found at open: they only look
            // dangling.
            suspects += u64::from(!bad.is_dangling());
            Ok(())
        };
        let scanned = scan_while(&*self.storage, &header, length_at_open, &mut go_on, &mut visit)?;
        if suspects > 0 || !scanned.is_complete() {
            // A cluster that moved from one guest cluster to another meanwhile looks like a
            // duplicate. Without certainty nothing below the end found at open is handed out.
            return Ok(());
        }
        self.space.adopt(self.unreferenced(&scanned))
    }

    fn unreferenced(&self, scanned: &Scan) -> RangeSet {
        let usable = self.geometry.usable_length(self.length_at_open);
        let clusters = usable / self.geometry.cluster_size();
        let mut unused = RangeSet::new();
        for (start, count) in scanned.refs.gaps(0..clusters) {
            unused.insert(start, count);
        }
        unused
    }
}

fn damaged(what: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!(
            "the image needs a repair (see qed check): {what}; trust=damaged writes all the same"
        ),
    )
}
