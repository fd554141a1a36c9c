//! A workload in one line:
//! `cluster=4096 table=1 size=4194304 unit=512 punch=1 | write 0+4096; flush`.

use super::Workload;
use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, table, size, unit, punches, steps, .. } = self;
        let punch = u8::from(*punches);
        write!(f, "cluster={cluster} table={table} size={size} unit={unit} punch={punch}")?;
        if let Some(under) = self.under() {
            write!(f, " {under}")?;
        }
        if self.copy_on_read {
            f.write_str(" copy_on_read=1")?;
        }
        if self.length > 0 {
            write!(f, " length={}", self.length)?;
        }
        self.words.iter().try_for_each(|(offset, word)| write!(f, " put={offset}:{word}"))?;
        let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
        write!(f, " | {}", steps.join("; "))
    }
}

impl FromStr for Workload {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (head, steps) = text.split_once('|').unwrap_or((text, ""));
        let mut workload = Self::small(Vec::new());
        for word in head.split_whitespace() {
            let wrong = || Error::invalid(format!("{word:?} makes no sense in a workload"));
            let (name, value) = word.split_once('=').ok_or_else(wrong)?;
            if name == "put" || name == "hole" {
                let (first, second) = value.split_once(':').ok_or_else(wrong)?;
                let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
                let (first, second) = (number(first)?, number(second)?);
                match name {
                    "hole" if workload.backing.is_none() => return Err(wrong()),
                    "hole" => workload = workload.with_hole(first..second),
                    _ => workload.words.push((first, second)),
                }
                continue;
            }
            let value: u64 = value.parse().map_err(|_| wrong())?;
            match name {
                "length" => workload.length = value,
                "cluster" => workload.cluster = value,
                "table" => workload.table = value,
                "size" => workload.size = value,
                "unit" => workload.unit = value,
                "punch" => workload.punches = value != 0,
                "backing" => workload = workload.over(value),
                "lower" => workload.lower = Some(value),
                "copy_on_read" => workload.copy_on_read = value != 0,
                _ => return Err(wrong()),
            }
        }
        workload.check()?;
        let steps = steps.split(';').map(str::trim).filter(|step| !step.is_empty());
        workload.steps = steps.map(str::parse).collect::<Result<_>>()?;
        Ok(workload)
    }
}

impl Workload {
    /// Fails where the numbers describe no image.
    fn check(&self) -> Result<()> {
        let geometry = crate::format::Geometry::new(self.cluster, self.table)
            .map_err(|broken| Error::invalid(format!("a workload's image: {broken}")))?;
        let fits = self.size.is_multiple_of(512) && self.size <= geometry.max_image_size();
        let bytes = (self.cluster * (self.table + 1)).max(self.length);
        let bounded = bytes <= 1 << 28 && self.size <= super::MOST_BYTES;
        if self.lower.is_some() && self.backing.is_none() {
            return Err(Error::invalid("a lower file without a backing file above it"));
        }
        if fits && bounded && [512, 4096].contains(&self.unit) {
            return Ok(());
        }
        let Self { size, unit, .. } = self;
        Err(Error::invalid(format!("a workload's image of {size} bytes on units of {unit}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_printed_and_parsed_back() {
        // Goal: a line is a whole workload. Method: every kind of step there and back.
        let text = "cluster=65536 table=2 size=16777216 unit=4096 punch=0 backing=100864 \
                    hole=512:8192 lower=131072 copy_on_read=1 length=204800 put=16:7 | \
                    write 0+4096; try zero 512+512 fua; reopen; kill; fail [sync nth=2]; \
                    deny [punch ever]; \
                    shorten 512 [write metadata=0]; \
                    during [write after] {discard 0+4096, flush} write 8192+512 fill=07; flush; \
                    compact 4096; during [sync] {write 0+512} compact 8192; \
                    try compact 4096; read 0+8192; stream to lower";
        let workload: Workload = text.parse().unwrap();
        assert_eq!(workload.to_string(), text);
        assert_eq!(workload.steps.len(), 14);
        for text in [
            "cluster=1 | ",
            "cluster=4096 often",
            "hole=0:512 |",
            "backing=4096 hole=512 |",
            "size=100",
            "unit=1024",
            "| killed 1=2",
            "| try",
            "| compact",
            "lower=4096 | flush",
            "| stream to",
            "| try stream to nothing",
            "| during {flush} flush",
            "| shorten [write]",
        ] {
            assert!(text.parse::<Workload>().is_err(), "{text}");
        }
    }
}
