//! A recording, understood once, as whoever explores it wants it: cut into shards that are the same
//! for any number of workers, judged, replayed, and opened state by state.
//!
//! Marks are boundaries here: an oracle of one's own may be stricter behind each of them, so what
//! was judged before a mark is judged again behind it.

use super::explore::{CrashState, Explorer, Report, Shard};
use super::guest::Initial;
use super::medium::{Medium, SECTOR};
use super::medium_storage::MediumStorage;
use super::oracle::{Oracle, Panel, Qemu, Subject, subject_by_qemu};
use super::random::{digest, to_usize};
use super::recording::{GuestDisk, Recording};
use super::states::{Mode, Plan};
use super::watched::Watched;
use crate::chain::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{ImageSettings, read_backing_info};
use crate::source::{Extent, ExtentKind, Format};
use crate::storage::Event;
use std::sync::Arc;

/// A recording and what is known of it.
#[derive(Debug)]
pub struct Study {
    subject: Subject,
}

/// One state, for whoever keeps it longer than the walk.
#[derive(Clone, Debug)]
pub struct ExploredState {
    /// Its name.
    pub name: String,
    /// What kind of disorder it is.
    pub mode: Mode,
    /// Operations that are out of order or torn.
    pub deviation: usize,
    /// The first crash point at which it is legal.
    pub t: usize,
    /// The content of the file.
    pub medium: Medium,
}

/// States of a shard: enough to be worth the way to another process.
const SHARD: usize = 2000;
/// Panels that run programs are slow: fewer states make a shard.
const SLOW_SHARD: usize = 64;

impl Study {
    /// Understands a recording.
    ///
    /// # Errors
    /// The log does not begin with an image that can be read.
    pub fn new(recording: Recording) -> Result<Self> {
        check_backing(&recording)?;
        let subject = match recording.format {
            Format::Qcow2 => of_qcow2(recording)?,
            Format::Qed | Format::Raw => Subject::new(recording)?,
        };
        Ok(Self { subject })
    }

    /// What is judged.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The walk through its states.
    ///
    /// # Errors
    /// A unit that no disk has, or no mode at all.
    pub fn explorer(&self, plan: Plan) -> Result<Explorer<'_>> {
        if ![512, 4096].contains(&plan.unit) {
            let text = format!("a unit of {} bytes: disks write 512 or 4096 as a whole", plan.unit);
            return Err(Error::invalid(text));
        }
        if plan.modes.is_empty() {
            return Err(Error::invalid("no mode is given: there are prefix, reorder and torn"));
        }
        let mut boundaries = self.subject.boundaries();
        boundaries.extend(self.marks().map(|(event, _)| event));
        boundaries.sort_unstable();
        boundaries.dedup();
        Ok(Explorer::new(&self.subject.recording.log, &boundaries, plan))
    }

    /// All its states, in shards that depend on the plan and the oracles' pace alone.
    ///
    /// # Errors
    /// As [`explorer`](Self::explorer).
    pub fn shards(&self, plan: &Plan, oracles: &[Arc<dyn Oracle>]) -> Result<Vec<Shard>> {
        let runs_programs = oracles.iter().any(|oracle| oracle.batch() > 1);
        let size = if runs_programs { SLOW_SHARD } else { SHARD };
        Ok(self.explorer(plan.clone())?.shards_of(size))
    }

    /// Judges a shard; `watch` is asked now and then whether to go on.
    ///
    /// # Errors
    /// The shard is another log's or seed's; an oracle cannot judge images of this format.
    pub fn run(
        &self,
        plan: &Plan,
        shard: &Shard,
        oracles: Vec<Arc<dyn Oracle>>,
        watch: &mut dyn FnMut() -> bool,
    ) -> Result<Report> {
        let mut panel = Watched { panel: self.panel(oracles)?, watch, stopped: false };
        self.explorer(plan.clone())?.run(shard, &mut panel)
    }

    /// Judges one state, by its name or a failure's word. The word says which unit it is of.
    ///
    /// # Errors
    /// It is no state of this log; an oracle cannot judge images of this format.
    pub fn replay(&self, word: &str, plan: Plan, oracles: Vec<Arc<dyn Oracle>>) -> Result<Report> {
        let plan = Plan { unit: unit_of(word).unwrap_or(plan.unit), ..plan };
        self.explorer(plan)?.replay(word, &mut self.panel(oracles)?)
    }

    /// The state of a name.
    ///
    /// # Errors
    /// It is no state of this log.
    pub fn state(&self, name: &str, plan: Plan) -> Result<ExploredState> {
        self.explorer(plan)?.with_state(name, ExploredState::of)
    }

    /// The states of the windows from `window` on until there are a few, and the next window.
    ///
    /// # Errors
    /// As [`explorer`](Self::explorer).
    pub fn states(
        &self,
        plan: &Plan,
        window: usize,
    ) -> Result<(Vec<ExploredState>, Option<usize>)> {
        let explorer = self.explorer(plan.clone())?;
        let (shard, count) = (explorer.whole(), explorer.windows().len());
        let mut states = Vec::new();
        let mut next = window;
        while next < count && states.len() < FEW {
            states.extend(explorer.with_states(next, &shard, ExploredState::of));
            next += 1;
        }
        Ok((states, (next < count).then_some(next)))
    }

    /// A state as a disk in memory, opened as the recording's was.
    ///
    /// # Errors
    /// What opening it finds.
    pub fn open(&self, medium: &Medium, read_only: bool) -> Result<Disk> {
        open(&self.subject.recording, medium, read_only)
    }

    /// A state as it comes back: open for writing, or read-only where it may not be written to
    /// before another program has repaired it (a qcow2 image that is marked dirty).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn recover(&self, medium: &Medium) -> Result<Disk> {
        match self.open(medium, false) {
            Err(error) if error.kind() == ErrorKind::Unsupported => self.open(medium, true),
            opened => opened,
        }
    }

    /// The texts of the marks that were made before a crash at `t`.
    #[must_use]
    pub fn marks_at(&self, t: usize) -> Vec<&str> {
        self.marks().take_while(|(event, _)| *event < t).map(|(_, text)| text).collect()
    }

    /// Whether the guest may read `bytes` at `offset`, a multiple of 512, after a crash at `t`:
    /// each sector as it was when it was last stable, or as any call has made it since.
    ///
    /// # Errors
    /// A range that is not made of whole sectors.
    pub fn allows(&self, offset: u64, bytes: &[u8], t: usize) -> Result<bool> {
        let first = whole_sectors(offset, bytes.len() as u64)?;
        let Subject { model, initial, .. } = &self.subject;
        let mut sectors = (first..).zip(bytes.chunks(512));
        Ok(sectors.all(|(sector, bytes)| model.judge(sector, digest(bytes), t, initial).is_none()))
    }

    /// Whether each sector of a range has one value alone that the guest may read after a crash at
    /// `t`.
    ///
    /// # Errors
    /// A range that is not made of whole sectors.
    pub fn is_stable(&self, offset: u64, length: u64, t: usize) -> Result<bool> {
        let first = whole_sectors(offset, length)?;
        let Subject { model, initial, .. } = &self.subject;
        let initial: &dyn Initial = initial;
        let mut sectors = first..first + length / SECTOR;
        Ok(sectors.all(|sector| model.stable(sector, t, initial).is_some()))
    }

    fn marks(&self) -> impl Iterator<Item = (usize, &str)> {
        self.subject.recording.log.events.iter().enumerate().filter_map(
            |(index, event)| match event {
                Event::Mark(text) => Some((index, text.as_str())),
                _ => None,
            },
        )
    }

    /// # Errors
    /// An oracle would be asked in vain: what was to be judged would not be.
    fn panel(&self, oracles: Vec<Arc<dyn Oracle>>) -> Result<Panel<'_>> {
        let format = self.subject.recording.format;
        if let Some(idle) = oracles.iter().find(|oracle| !oracle.serves(format)) {
            let (name, format) = (idle.name(), format.name());
            let text = format!("the oracle {name} cannot judge {format} images");
            return Err(Error::invalid(text));
        }
        Ok(Panel::new(&self.subject, oracles))
    }
}

/// [`Study::states`] answers with at least so many, where there are.
const FEW: usize = 256;

impl ExploredState {
    fn of(state: CrashState<'_>) -> Self {
        Self {
            name: state.frame.name(&state.state),
            mode: state.state.mode(),
            deviation: state.state.deviation(),
            t: state.t,
            medium: state.medium,
        }
    }
}

/// # Errors
/// The image names a backing file and none is given: what it holds would be missed in every state.
fn check_backing(recording: &Recording) -> Result<()> {
    if recording.backing.is_some() || recording.format != Format::Qed {
        return Ok(());
    }
    let storage = MediumStorage::new(Medium::new(&recording.log.base), recording.log.limits);
    // What is no image at all is told by who reads it.
    let Ok(Some(named)) = read_backing_info(&storage) else { return Ok(()) };
    let name = String::from_utf8_lossy(&named.name);
    Err(Error::invalid(format!("the image has a backing file, {name:?}, and none is given")))
}

/// A qcow2 image's run, with the guest's disk as it read at first: to libqed, or to QEMU's tools
/// where a feature is none of libqed's.
fn of_qcow2(recording: Recording) -> Result<Subject> {
    match guest_of(&recording) {
        Ok(guest) => Ok(Subject::with_initial(recording, GuestDisk::raw(guest))),
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            subject_by_qemu(recording, &Qemu::default())
        }
        Err(error) => Err(error),
    }
}

fn guest_of(recording: &Recording) -> Result<Medium> {
    let disk = open(recording, &Medium::new(&recording.log.base), true)?;
    let mut guest = Medium::default();
    guest.set_length(disk.size());
    for extent in disk.map(0, disk.size())? {
        let Extent { offset, length, kind: ExtentKind::Data { .. }, .. } = extent? else {
            continue;
        };
        for start in (offset..offset + length).step_by(PIECE) {
            let mut piece = vec![0; PIECE.min(to_usize(offset + length - start))];
            disk.pread(&mut piece, start)?;
            guest.write(start, &piece);
        }
    }
    Ok(guest)
}

/// Bytes that are read at once.
const PIECE: usize = 1 << 16;

fn open(recording: &Recording, medium: &Medium, read_only: bool) -> Result<Disk> {
    let Recording { log, backing, settings, format, .. } = recording;
    let storage = Arc::new(MediumStorage::new(medium.clone(), log.limits));
    let copy_on_read = settings.copy_on_read && !read_only;
    let settings = ImageSettings { read_only, copy_on_read, ..settings.clone() };
    let below = match format {
        Format::Qed => recording.below(&*storage),
        Format::Raw | Format::Qcow2 => backing.clone(),
    };
    Disk::from_storage(storage, *format, below, settings)
}

/// The unit that a failure's word says: `log/unit/state`.
fn unit_of(word: &str) -> Option<u64> {
    word.split('/').nth(1)?.parse().ok()
}

fn whole_sectors(offset: u64, length: u64) -> Result<u64> {
    let end = offset.checked_add(length);
    if !offset.is_multiple_of(SECTOR) || !length.is_multiple_of(SECTOR) || end.is_none() {
        let text = format!("{length} bytes at {offset} are not whole sectors of 512");
        return Err(Error::invalid(text));
    }
    Ok(offset / SECTOR)
}
