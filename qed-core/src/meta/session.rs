//! What a writable session does before its first change (C1, C12, C13), and repair at open (F5).
//!
//! ```text
//! open --> unchanged --begin_changes--> FREE_MAP cleared, one sync, tables sound --> changing
//! ```
//!
//! Until then the file is as it was found. What was read of it may have been written by a killed
//! process and stand in the page cache alone; the sync makes it stable, and only then may anything
//! be allocated, freed, repaired or vouched for.

use super::Meta;
use super::ranges::RangeSet;
use super::rules::Rule;
use super::scan::{BadEntry, EntryPlace, Scan, scan};
use super::settings::Trust;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{AUTOCLEAR_FREE_MAP, AUTOCLEAR_TABLES_VOUCHED};
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};
use crate::sync::{Mutex, Rank};

/// Entries repaired between two flushes, so that repair takes bounded memory.
const REPAIRS_AT_ONCE: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Session {
    changing: AtomicBool,
    /// What is known of the tables when the session begins to change things.
    gate: Mutex<Gate>,
}

#[derive(Debug)]
struct Gate {
    /// The free map found at open, believed until it is used.
    free_map: Option<RangeSet>,
    /// The first damage a scan found: allocation stops (C12a).
    damage: Option<String>,
}

/// What a scan found wrong.
#[derive(Default)]
struct Findings {
    dangling: Vec<EntryPlace>,
    damage: Vec<BadEntry>,
    damaged: u64,
}

impl Session {
    pub(crate) fn new(free_map: Option<RangeSet>) -> Self {
        let gate = Gate { free_map, damage: None };
        Self { changing: AtomicBool::new(false), gate: Mutex::new(Rank::Session, gate) }
    }
}

impl Meta {
    /// Whether the session has changed tables.
    pub(crate) fn has_changes(&self) -> bool {
        self.session.changing.load(SeqCst)
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
            return Err(damaged(damage));
        }
        let rules = self.settings.rules;
        if !rules.breaks(Rule::ClearFreeMapFirst) {
            self.header.update(&*self.storage, |header| {
                header.autoclear_features &= !AUTOCLEAR_FREE_MAP;
            })?;
        }
        if !rules.breaks(Rule::FirstSync) {
            self.clock.sync_now()?;
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

    /// Passes the gate before any write at all, where the image is not trusted.
    ///
    /// # Errors
    /// As [`begin_changes`](Self::begin_changes).
    pub(crate) fn begin_write(&self) -> Result<()> {
        match self.settings.trust {
            Trust::Untrusted => self.begin_changes(),
            Trust::Normal | Trust::Damaged => self.check_writable(),
        }
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
            if let Some(free) = gate.free_map.take() {
                return self.space.adopt(free);
            }
            // Nothing dangles; what is free may be found out later, beside the requests.
            if self.settings.background {
                return Ok(());
            }
        }
        let found = self.scan_and_repair()?;
        self.space.adopt(found)?;
        self.header.update(&*self.storage, |header| {
            header.autoclear_features |= AUTOCLEAR_TABLES_VOUCHED;
        })
    }

    /// Scans all tables, sets dangling entries to 0, durably, and gives what nobody references.
    pub(super) fn scan_and_repair(&self) -> Result<RangeSet> {
        loop {
            let mut findings = Findings::default();
            let scanned = self.scan(&mut findings)?;
            if let Some(first) = findings.damage.first()
                && self.settings.trust != Trust::Damaged
                && !self.settings.rules.breaks(Rule::DamageStopsAllocation)
            {
                let count = findings.damaged;
                return Err(damaged(&format!("{} (one of {count} faults)", first.fault)));
            }
            if scanned.unreadable > 0 {
                return Err(damaged("tables of the image cannot be read"));
            }
            let more = findings.dangling.len() == REPAIRS_AT_ONCE;
            self.repair(&findings.dangling)?;
            if !more {
                return Ok(self.unreferenced(&scanned));
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
            } else {
                findings.damaged += 1;
                if findings.damage.is_empty() {
                    findings.damage.push(bad);
                }
            }
            Ok(())
        })
    }

    /// What a later scan beside the requests found: adopted where nothing is damaged.
    pub(super) fn scan_in_background(&self) -> Result<()> {
        let length_at_open = self.length_at_open;
        let header = self.header.get();
        let mut suspects = Vec::new();
        let scanned = scan(&*self.storage, &header, length_at_open, &mut |bad: BadEntry| {
            // The session's own new clusters lie past the end found at open: they only look
            // dangling.
            if !bad.is_dangling() {
                suspects.push(bad);
            }
            Ok(())
        })?;
        if !suspects.is_empty() || scanned.unreadable > 0 {
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
