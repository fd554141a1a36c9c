//! An independent reading of small QED images, by `docs/format.md` alone: which guest clusters are
//! mapped by entries that nothing is wrong with, and what stands there.

use qed_core::Image;
use std::collections::BTreeMap;

pub(crate) struct Reading {
    bytes: Vec<u8>,
    cluster: u64,
    /// Clusters of a table.
    table: u64,
    l1: u64,
    header_end: u64,
    usable: u64,
    size: u64,
    /// Guest clusters and what their entries name, of tables that may be tables.
    entries: Vec<(u64, u64)>,
    /// How often each cluster of the file is named, and by whatever.
    named: BTreeMap<u64, u32>,
    bad: u64,
    /// An entry for data names a table: perhaps that is no table.
    claims: bool,
}

impl Reading {
    /// Of bytes whose header is one.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut reading = Self {
            bytes: bytes.to_vec(),
            cluster: 0,
            table: 0,
            l1: 0,
            header_end: 0,
            usable: 0,
            size: 0,
            entries: Vec::new(),
            named: BTreeMap::new(),
            bad: 0,
            claims: false,
        };
        let half = |at| reading.word(at) & 0xffff_ffff;
        let (cluster, table, header) = (half(4), half(8), half(12));
        let length = bytes.len() as u64;
        reading.usable = length.div_ceil(512) * 512 / cluster * cluster;
        (reading.cluster, reading.table) = (cluster, table);
        (reading.l1, reading.size) = (reading.word(40), reading.word(48));
        reading.header_end = header * cluster;
        reading.name(0, header);
        reading.name(reading.l1, table);
        reading.walk();
        reading
    }

    pub(crate) fn word(&self, at: u64) -> u64 {
        let at = usize::try_from(at).unwrap();
        self.bytes.get(at..at + 8).map_or(0, |word| u64::from_le_bytes(word.try_into().unwrap()))
    }

    fn walk(&mut self) {
        let per_table = self.table * self.cluster / 8;
        let mut tables = Vec::new();
        for index in 0..per_table {
            let word = self.word(self.l1 + 8 * index);
            if word == 0 {
                continue;
            }
            if self.may_lie(word, self.table) {
                self.name(word, self.table);
                tables.push((index, word));
            } else {
                self.bad += 1;
            }
        }
        let in_tables = self.named.clone();
        for (index, table) in tables {
            for entry in 0..per_table {
                let word = self.word(table + 8 * entry);
                if word < 2 {
                    continue;
                }
                if self.may_lie(word, 1) {
                    self.name(word, 1);
                    self.claims |= in_tables.contains_key(&(word / self.cluster));
                    self.entries.push((index * per_table + entry, word));
                } else {
                    self.bad += 1;
                }
            }
        }
    }

    fn may_lie(&self, word: u64, clusters: u64) -> bool {
        let end = word.checked_add(clusters * self.cluster);
        let l1 = self.l1..self.l1 + self.table * self.cluster;
        let last = word.saturating_add((clusters - 1) * self.cluster);
        word.is_multiple_of(self.cluster)
            && word >= self.header_end
            && end.is_some_and(|end| end <= self.usable)
            && !l1.contains(&word)
            && !l1.contains(&last)
    }

    fn name(&mut self, offset: u64, clusters: u64) {
        let first = offset / self.cluster;
        for cluster in first..first + clusters {
            *self.named.entry(cluster).or_default() += 1;
        }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.bad == 0 && self.named.values().all(|count| *count == 1)
    }

    /// Whether an entry for data names a table.
    pub(crate) fn has_claimed_tables(&self) -> bool {
        self.claims
    }

    /// Guest clusters and the places that their entries name, of entries nothing is wrong with.
    pub(crate) fn entries(&self) -> &[(u64, u64)] {
        &self.entries
    }

    /// The guest clusters that the disk has and that any entry maps.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = u64> {
        let end = self.size / self.cluster;
        self.entries.iter().map(|(guest, _)| *guest).filter(move |guest| *guest < end)
    }

    /// The bytes of a guest cluster that is mapped by an entry which names a place in the file; of
    /// several such entries (tables may be one) the first.
    pub(crate) fn any_content(&self, cluster: u64) -> Option<&[u8]> {
        let (_, word) = self.entries.iter().find(|(guest, _)| *guest == cluster)?;
        let at = usize::try_from(*word).unwrap();
        // A last sector that is there in part reads as if it were whole.
        self.bytes.get(at..(at + usize::try_from(self.cluster).unwrap()).min(self.bytes.len()))
    }

    /// The bytes of a guest cluster whose entry nothing is wrong with: it may be named by others,
    /// and tables may be named by others or claimed as data, but it stays what it is.
    pub(crate) fn content(&self, cluster: u64) -> Option<Vec<u8>> {
        let mut content = self.any_content(cluster)?.to_vec();
        content.resize(usize::try_from(self.cluster).unwrap(), 0);
        Some(content)
    }
}

/// A guest cluster as an open image reads it.
pub(crate) fn guest(image: &Image, cluster: u64) -> Vec<u8> {
    let size = image.info().unwrap().cluster_size;
    let mut content = vec![0; usize::try_from(size).unwrap()];
    image.pread(&mut content, cluster * size).unwrap();
    content
}
