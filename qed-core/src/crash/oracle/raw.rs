//! The oracles that read a state as it lies there: structure, durable, no foreign data.

use super::case::Case;
use super::{Oracle, Shape, Verdict};
use crate::crash::guest::Wrong;
use crate::crash::recording::Writer;
use crate::source::Format;

/// The header is what it was but for the disk's size and the L1 table's place, every entry is
/// aligned, inside the file and referenced once, and no metadata is named as data. NEED_CHECK never
/// comes in an image of libqed's; where another program set it, data entries may dangle.
#[derive(Clone, Copy, Debug)]
pub struct Structure;

impl Oracle for Structure {
    fn name(&self) -> &str {
        "structure"
    }

    fn judge(&self, case: &Case<'_>) -> Verdict {
        let disk = case.disk()?;
        let (Some(found), Some(expected)) = (disk.shape(), case.subject.shape()) else {
            return Ok(());
        };
        let expected = &Shape { size: found.size, l1: found.l1, ..expected.clone() };
        let flag = match case.subject.recording.writer {
            Writer::Libqed => {
                let recording = &case.subject.recording;
                let lower = recording.lower.as_ref().map(|lower| lower.name.clone());
                let is_lower = lower.is_some() && found.backing_name(case.medium) == lower;
                let over_lower = expected.over_that_of(found);
                [expected, &expected.without_check(), &expected.without_backing()].contains(&found)
                    || is_lower && *found == over_lower
            }
            Writer::Foreign => found.without_check() == expected.without_check(),
        };
        if flag { Ok(()) } else { Err(format!("the header is another one: {found:?}")) }
    }
}

/// The disk has a size that it was given; what was stable reads back; what was not reads, sector by
/// sector, as old or new.
#[derive(Clone, Copy, Debug)]
pub struct Durable;

impl Oracle for Durable {
    fn name(&self) -> &str {
        "durable"
    }

    fn depends_on_time(&self) -> bool {
        true
    }

    fn judge(&self, case: &Case<'_>) -> Verdict {
        case.wrong(Wrong::Lost).map_or(Ok(()), |what| Err(what.to_owned()))
    }
}

/// No sector reads as another address's bytes, as half of something, or, where zeroes were stable,
/// as the backing file.
#[derive(Clone, Copy, Debug)]
pub struct NoForeignData;

impl Oracle for NoForeignData {
    fn name(&self) -> &str {
        "no-foreign-data"
    }

    fn depends_on_time(&self) -> bool {
        true
    }

    fn judge(&self, case: &Case<'_>) -> Verdict {
        case.wrong(Wrong::Foreign).map_or(Ok(()), |what| Err(what.to_owned()))
    }
}

/// The backing file is byte for byte what it was when the run began to be judged.
#[derive(Clone, Copy, Debug)]
pub struct BackingUntouched;

impl BackingUntouched {
    fn digest(subject: &super::Subject) -> Result<u64, String> {
        let Some(source) = &subject.recording.backing else { return Ok(0) };
        let mut sum = source.size();
        let mut buffer = vec![0; 1 << 16];
        let mut offset = 0;
        while offset < source.size() {
            let length = (source.size() - offset).min(1 << 16);
            let piece = &mut buffer[..super::to_usize(length)];
            source.read(piece, offset).map_err(|error| format!("reading it: {error}"))?;
            let digest = crate::crash::random::digest(piece);
            sum = sum.wrapping_add(crate::crash::random::mix(digest ^ offset));
            offset += length;
        }
        Ok(sum)
    }
}

impl Oracle for BackingUntouched {
    fn name(&self) -> &str {
        "backing-untouched"
    }

    fn begin(&self, subject: &super::Subject) -> Verdict {
        let now = Self::digest(subject)?;
        if *subject.backing_before.get_or_init(|| now) == now {
            Ok(())
        } else {
            Err("the backing file has changed".to_owned())
        }
    }

    fn judge(&self, _: &Case<'_>) -> Verdict {
        Ok(())
    }

    fn finish(&self, subject: &super::Subject) -> Verdict {
        self.begin(subject)
    }

    fn serves(&self, _: Format) -> bool {
        true
    }
}
