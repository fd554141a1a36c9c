//! Options of the operations that open more than one disk: whose each one is.

use super::{NamedOptions, Setting};
use crate::chain::OpenOptions;
use crate::error::Result;
use crate::ops::commit::CommitOptions;
use crate::ops::compact::CompactOptions;
use crate::ops::compare::CompareOptions;
use crate::ops::convert::ConvertOptions;
use crate::ops::create::CreateOptions;
use crate::ops::measure::MeasureOptions;
use crate::ops::rebase::RebaseOptions;
use crate::ops::stream::StreamOptions;

/// What [`convert`](crate::convert()) is to do, by paths.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConvertPlan {
    /// How the source is opened: read-only.
    pub source: OpenOptions,
    /// What the target is to be.
    pub target: CreateOptions,
    /// How one is copied to the other.
    pub how: ConvertOptions,
}

/// What [`compare`](crate::compare()) is to do, by paths.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ComparePlan {
    /// How the first disk is opened: read-only.
    pub a: OpenOptions,
    /// How the second one is opened: read-only.
    pub b: OpenOptions,
    /// How they are compared.
    pub how: CompareOptions,
}

/// What [`commit`](crate::commit()) is to do.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CommitPlan {
    /// How the image is opened.
    pub image: OpenOptions,
    /// How it is committed.
    pub how: CommitOptions,
}

/// What [`rebase`](crate::rebase()) is to do.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RebasePlan {
    /// How the image is opened.
    pub image: OpenOptions,
    /// What it is rebased to; the backing file's name is no option.
    pub how: RebaseOptions,
}

/// What [`measure`](crate::measure()) is to do, by a path.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MeasurePlan {
    /// How the source is opened: read-only.
    pub source: OpenOptions,
    /// The image that is measured.
    pub how: MeasureOptions,
}

impl NamedOptions {
    /// What [`commit`](crate::commit()) is to do.
    ///
    /// # Errors
    /// An option is set that committing does not have.
    pub fn to_commit(&self) -> Result<CommitPlan> {
        self.check_all_apply("commit", |calls| calls.commit)?;
        let mut plan = CommitPlan::default();
        for (_, setting) in self.set.values() {
            match setting {
                Setting::Base(path) => plan.how.base = Some(path.clone()),
                Setting::Keep(on) => plan.how.keep = *on,
                Setting::Rate(bytes) => plan.how.rate = Some(*bytes),
                open => open.apply_to_open(&mut plan.image),
            }
        }
        Ok(plan)
    }

    /// What [`rebase`](crate::rebase()) is to do.
    ///
    /// # Errors
    /// An option is set that rebasing does not have.
    pub fn to_rebase(&self) -> Result<RebasePlan> {
        self.check_all_apply("rebase", |calls| calls.rebase)?;
        let mut plan = RebasePlan::default();
        for (_, setting) in self.set.values() {
            match setting {
                Setting::BackingFormat(format) => plan.how.backing_format = Some(*format),
                Setting::NameOnly(on) => plan.how.name_only = *on,
                Setting::Rate(bytes) => plan.how.rate = Some(*bytes),
                open => open.apply_to_open(&mut plan.image),
            }
        }
        Ok(plan)
    }

    /// What [`convert`](crate::convert()) is to do. `format` and `cache` are the target's,
    /// `source_format` and `source_cache` the source's.
    ///
    /// # Errors
    /// An option is set that converting does not have.
    pub fn to_convert(&self) -> Result<ConvertPlan> {
        self.check_all_apply("convert", |calls| calls.convert)?;
        let mut plan = ConvertPlan::default();
        plan.source.image.read_only = true;
        for (_, setting) in self.set.values() {
            setting.apply_to_convert(&mut plan);
        }
        Ok(plan)
    }

    /// What [`compare`](crate::compare()) is to do. `source_format` is the first disk's format,
    /// `format` the second one's; everything else is for both.
    ///
    /// # Errors
    /// An option is set that comparing does not have.
    pub fn to_compare(&self) -> Result<ComparePlan> {
        self.check_all_apply("compare", |calls| calls.compare)?;
        let mut plan = ComparePlan::default();
        (plan.a.image.read_only, plan.b.image.read_only) = (true, true);
        for (_, setting) in self.set.values() {
            match setting {
                Setting::SourceFormat(format) => plan.a.format = *format,
                Setting::Format(format) => plan.b.format = *format,
                Setting::Strict(on) => plan.how.strict = *on,
                Setting::Workers(workers) => plan.how.workers = *workers as usize,
                both => {
                    both.apply_to_open(&mut plan.a);
                    both.apply_to_open(&mut plan.b);
                }
            }
        }
        Ok(plan)
    }
}

impl NamedOptions {
    /// What [`measure`](crate::measure()) is to do. `format` is the new image's, `source_format`
    /// the source's.
    ///
    /// # Errors
    /// An option is set that measuring does not have.
    pub fn to_measure(&self) -> Result<MeasurePlan> {
        self.check_all_apply("measure", |calls| calls.measure)?;
        let mut plan = MeasurePlan::default();
        plan.source.image.read_only = true;
        for (_, setting) in self.set.values() {
            match setting {
                Setting::SourceFormat(format) => plan.source.format = *format,
                Setting::Format(format) => plan.how.format = *format,
                Setting::ClusterSize(bytes) => plan.how.cluster_size = Some(*bytes),
                Setting::TableSize(clusters) => plan.how.table_size = Some(*clusters),
                open => open.apply_to_open(&mut plan.source),
            }
        }
        Ok(plan)
    }

    /// How [`compact`](crate::compact()) goes about it.
    ///
    /// # Errors
    /// An option is set that compacting does not have.
    pub fn to_compact(&self) -> Result<CompactOptions> {
        self.check_all_apply("compact", |calls| calls.compact)?;
        let mut options = CompactOptions::default();
        for (_, setting) in self.set.values() {
            match setting {
                Setting::Batch(bytes) => options.batch = *bytes,
                _ => debug_assert!(false, "{setting:?} is none of compact's"),
            }
        }
        Ok(options)
    }

    /// How [`stream`](crate::stream()) goes about it.
    ///
    /// # Errors
    /// An option is set that streaming does not have.
    pub fn to_stream(&self) -> Result<StreamOptions> {
        self.check_all_apply("stream", |calls| calls.stream)?;
        let mut options = StreamOptions::default();
        for (_, setting) in self.set.values() {
            match setting {
                Setting::Base(path) => options.base = Some(path.clone()),
                Setting::Rate(bytes) => options.rate = Some(*bytes),
                _ => debug_assert!(false, "{setting:?} is none of stream's"),
            }
        }
        Ok(options)
    }
}

impl Setting {
    fn apply_to_convert(&self, plan: &mut ConvertPlan) {
        let ConvertPlan { source, target, how } = plan;
        match self {
            Self::SourceFormat(format) => source.format = *format,
            Self::SourceCache(cache) => source.image.cache = *cache,
            Self::Offset(bytes) => how.offset = *bytes,
            Self::Length(bytes) => how.length = Some(*bytes),
            Self::Workers(workers) => how.workers = *workers as usize,
            Self::InOrder(on) => how.in_order = *on,
            Self::SparseSize(bytes) => how.sparse_size = *bytes,
            Self::Salvage(on) => how.salvage = *on,
            Self::Lock(_) | Self::BlockDevices(_) => {
                self.apply_to_open(source);
                self.apply_to_create(target);
            }
            Self::Trust(_)
            | Self::L2CacheSize(_)
            | Self::BackingPolicy(_)
            | Self::MaxDepth(_)
            | Self::NoFollow(_)
            | Self::TolerateBadEntries(_) => self.apply_to_open(source),
            new => new.apply_to_create(target),
        }
    }
}
