//! Lock ranks: the order in which a thread may take the engine's locks.

/// The engine's locks, outermost first. A thread holding one takes only later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Rank {
    /// What the workers of a whole-disk operation share: its next piece, its turns, its outcome.
    Work,
    /// A queue's requests on their way: jobs, what is done, what is in its ring.
    Queue,
    /// Quiescing a disk, and what is needed to open it again.
    Quiesce,
    /// Waiting at a turnstile.
    Turnstile,
    /// The gate before the session's first change.
    Session,
    /// The file's growth: one `set_len` at a time.
    Extend,
    /// Guest clusters whose mapping is being changed.
    Claims,
    /// The lines of one set of the slice cache.
    Cache,
    /// A slice of the L1 table that is being read.
    Loading,
    /// The versions of one slice's entries.
    Slice,
    /// Which clusters hold tables.
    Tables,
    /// The list of slices that are not stable.
    Unstable,
    /// Free space, the frontier, the quarantine.
    Space,
    /// The header's sector.
    Header,
    /// Who syncs, and what the last sync covered.
    Clock,
    /// Orders for the background thread.
    Background,
    /// The first change and the close of a qcow2 image.
    Qcow2Session,
    /// A qcow2 image's tables: shared, or alone where clusters are freed.
    Qcow2Tables,
    /// The order between a qcow2 image's tables and syncs.
    Qcow2Order,
    /// Where a qcow2 image's tables stand, and how long its file is.
    Qcow2Layout,
    /// What a repair has kept of what it overwrites.
    Journal,
    /// Locks inside a storage.
    Storage,
}

#[cfg(debug_assertions)]
mod checked {
    use super::Rank;
    use std::cell::RefCell;

    // Under shuttle many tasks share one thread of the operating system.
    #[cfg(feature = "shuttle")]
    use shuttle::thread_local;

    thread_local! {
        static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) };
    }

    /// Notes that this thread holds a lock of a rank.
    #[derive(Debug)]
    pub(crate) struct Held(Rank);

    impl Held {
        pub(crate) fn take(rank: Rank) -> Self {
            HELD.with(|held| {
                let mut held = held.borrow_mut();
                let last = held.iter().max();
                debug_assert!(
                    last.is_none_or(|last| *last < rank),
                    "lock of rank {rank:?} taken while holding {held:?}"
                );
                held.push(rank);
            });
            Self(rank)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            HELD.with(|held| {
                let mut held = held.borrow_mut();
                if let Some(at) = held.iter().rposition(|rank| *rank == self.0) {
                    held.remove(at);
                }
            });
        }
    }
}

#[cfg(not(debug_assertions))]
mod unchecked {
    use super::Rank;

    /// Nothing in release builds.
    #[derive(Debug)]
    pub(crate) struct Held;

    impl Held {
        pub(crate) fn take(_rank: Rank) -> Self {
            Self
        }
    }
}

#[cfg(debug_assertions)]
pub(crate) use checked::Held;
#[cfg(not(debug_assertions))]
pub(crate) use unchecked::Held;
