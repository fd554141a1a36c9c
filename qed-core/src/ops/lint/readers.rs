//! The other programs, and what each of them does with an image (F8, and measured on QEMU 10.0.2).

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Facts;

/// A program that an image is to suit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reader {
    /// QEMU's qed driver.
    Qemu,
    /// VirtualBox.
    VirtualBox,
}

impl Reader {
    /// The word for it in every face.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::VirtualBox => "virtualbox",
        }
    }

    /// The reader of a name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Qemu, Self::VirtualBox].into_iter().find(|reader| reader.name() == name)
    }
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Severity {
    /// The reader does not open the image.
    Refuses,
    /// The reader loses or leaks data.
    Harms,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refuses => "refuses",
            Self::Harms => "harms",
            Self::Note => "note",
        }
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident $name:literal $severity:ident,)*) => {
        /// What a lint looks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum LintRule { $($(#[$doc])* $rule,)* }

        impl LintRule {
            /// The rule's stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)* }
            }

            /// What the reader does.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$rule => Severity::$severity,)* }
            }
        }
    };
}

rules! {
    /// Entries are bad, or tables cannot be read.
    Damage "damage" Harms,
    /// NEED_CHECK is set.
    NeedCheck "need-check" Harms,
    /// Cluster and table sizes that it cannot open.
    Geometry "geometry" Refuses,
    /// One request can span a whole table, and then links a cluster too many.
    LargeRequests "large-requests" Harms,
    /// Zero clusters that it mistakes.
    ZeroClusters "zero-clusters" Harms,
    /// The backing name stands past the header clusters.
    StrayName "stray-name" Refuses,
    /// The backing name looks like a protocol's.
    ProtocolName "protocol-name" Harms,
    /// The backing file is the image itself.
    NamesItself "names-itself" Harms,
    /// The backing file is raw by declaration. No fix takes that back, whatever the file holds: one
    /// that looks like an image is read as its raw bytes, and has to be.
    NoProbe "no-probe" Refuses,
    /// Compatible features that it drops.
    CompatFeatures "compat-features" Note,
    /// Entries past the image's size, which come into view when it grows the disk.
    EntriesPastSize "entries-past-size" Note,
    /// Its check finds leaks that are none.
    FalseLeaks "false-leaks" Note,
    /// Its map aborts on long runs.
    LongRuns "long-runs" Note,
}

/// One thing that the reader would choke on or harm.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LintFinding {
    /// Which.
    pub rule: LintRule,
    /// The sentence for people.
    pub text: String,
    /// Whether a fix can rewrite it.
    pub fixable: bool,
}

impl fmt::Display for LintFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.rule.severity().name(), self.rule.name(), self.text)
    }
}

/// What `reader` would make of the image.
pub(super) fn judge(reader: Reader, facts: &Facts) -> Vec<LintFinding> {
    let mut found = Findings(Vec::new());
    if facts.damage > 0 {
        let count = facts.damage;
        found.fixable(LintRule::Damage, format!("{count} faults in its tables: see qed check"));
    }
    match reader {
        Reader::Qemu => judge_for_qemu(facts, &mut found),
        Reader::VirtualBox => judge_for_virtualbox(facts, &mut found),
    }
    found.0
}

fn judge_for_qemu(facts: &Facts, found: &mut Findings) {
    let header = &facts.header;
    let geometry = header.geometry;
    let (cluster, table) = (geometry.cluster_size(), geometry.table_clusters());
    if header.needs_check() {
        let text = "NEED_CHECK is set: it clears the bit before it has repaired anything";
        found.fixable(LintRule::NeedCheck, text);
    }
    if !qemu_opens(cluster, table) {
        let text = format!(
            "clusters of {cluster} bytes with tables of {table}: convert the image to other sizes"
        );
        found.add(LintRule::Geometry, text);
    }
    // A request of C-1 clusters that lie in one table, in at most the 2 GiB that it takes at once.
    let longest = cluster.saturating_mul(cluster - 1);
    if geometry.table_entries() >= cluster - 1 && longest <= 1 << 31 {
        let text = format!(
            "a request of {longest} bytes links one cluster too many: convert the image to larger \
             clusters or smaller tables"
        );
        found.add(LintRule::LargeRequests, text);
    }
    if facts.census.zero_clusters > 0 && header.has_backing_file() {
        let count = facts.census.zero_clusters;
        let text = format!(
            "{count} zero clusters over a backing file: a write to part of one brings the backing \
             file's data back into the rest"
        );
        found.fixable(LintRule::ZeroClusters, text);
    }
    judge_name_for_qemu(facts, found);
    judge_limits_of_qemu(facts, found);
}

fn judge_name_for_qemu(facts: &Facts, found: &mut Findings) {
    if facts.header.has_stray_name() {
        let text = "the backing name stands past the header clusters";
        found.fixable(LintRule::StrayName, text);
    }
    let Some(backing) = &facts.backing else { return };
    if is_protocol(&backing.name) {
        let shown = String::from_utf8_lossy(&backing.name);
        let text = format!("the backing name {shown:?} is a protocol's to it, not a file's");
        found.fixable(LintRule::ProtocolName, text);
    }
    if facts.names_itself {
        let text = "the backing file is the image itself: it opens the chain without end";
        found.add(LintRule::NamesItself, text);
    }
}

fn judge_limits_of_qemu(facts: &Facts, found: &mut Findings) {
    let geometry = facts.header.geometry;
    let counted = geometry.cluster_size().saturating_mul(geometry.cluster_size() - 1);
    past_size(facts, found);
    if facts.length > counted {
        let text = format!("its check miscounts leaks in files of more than {counted} bytes");
        found.add(LintRule::FalseLeaks, text);
    }
    if geometry.l2_span() >= 1 << 32 && facts.header.image_size >= 1 << 32 {
        let text = "qemu-img map aborts on a run of 4 GiB, which one table can hold here";
        found.add(LintRule::LongRuns, text);
    }
}

fn judge_for_virtualbox(facts: &Facts, found: &mut Findings) {
    let header = &facts.header;
    if header.needs_check() {
        let text = "NEED_CHECK is set: repaired here, it has nothing to repair";
        found.fixable(LintRule::NeedCheck, text);
    }
    if facts.census.zero_clusters > 0 {
        let count = facts.census.zero_clusters;
        let text = format!("{count} zero clusters: a write to one overwrites the header");
        found.fixable(LintRule::ZeroClusters, text);
    }
    if header.backing_is_raw() {
        let text = "the backing file is raw by declaration (NO_PROBE), and has to be: without it \
                    the file would be probed, and be what a guest has made its first bytes say; \
                    convert the backing file to QED, or the image to one without a backing file";
        found.add(LintRule::NoProbe, text);
    }
    if header.compat_features != 0 {
        let bits = header.compat_features;
        let text = format!("it drops the compatible features {bits:#x}");
        found.add(LintRule::CompatFeatures, text);
    }
    past_size(facts, found);
}

fn past_size(facts: &Facts, found: &mut Findings) {
    let count = facts.census.past_size;
    if count > 0 {
        let text = format!("{count} entries past the disk's end come into view when it grows");
        found.fixable(LintRule::EntriesPastSize, text);
    }
}

/// The sizes that QEMU can open (F8).
fn qemu_opens(cluster: u64, table: u64) -> bool {
    const M: u64 = 1 << 20;
    let most = match cluster {
        0..=M => 16,
        c if c == 2 * M => 8,
        c if c == 4 * M => 2,
        _ => 0,
    };
    table >= 2 && table <= most
}

/// Whether QEMU takes a name for a protocol's: there is a colon before any slash.
fn is_protocol(name: &[u8]) -> bool {
    let end = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
    name[..end].contains(&b':')
}

/// The same file's name as `reader` takes it for one.
pub(super) fn plain_name(reader: Reader, name: &[u8]) -> Vec<u8> {
    if reader == Reader::Qemu && is_protocol(name) {
        return [b"./", name].concat();
    }
    name.to_vec()
}

pub(super) fn path_of(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

struct Findings(Vec<LintFinding>);

impl Findings {
    fn add(&mut self, rule: LintRule, text: impl Into<String>) {
        self.0.push(LintFinding { rule, text: text.into(), fixable: false });
    }

    fn fixable(&mut self, rule: LintRule, text: impl Into<String>) {
        self.0.push(LintFinding { rule, text: text.into(), fixable: true });
    }
}
