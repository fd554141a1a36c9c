//! Triggers as text, so that what goes wrong in a run can be written down and read back:
//! `write.sync metadata=1 fua=0 within=0..4096 nth=2 ever after`.

use super::trigger::{CallKind, Trigger};
use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

impl CallKind {
    /// The name in a trigger's text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ZeroRange => "zero-range",
            Self::Punch => "punch",
            Self::SetLen => "set-len",
            Self::Sync => "sync",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        f.write_str(&kinds.join("."))?;
        for (name, flag) in [("metadata", self.metadata), ("fua", self.fua)] {
            if let Some(flag) = flag {
                write!(f, " {name}={}", u8::from(flag))?;
            }
        }
        if let Some(range) = &self.range {
            write!(f, " within={}..{}", range.start, range.end)?;
        }
        if self.first != 1 {
            write!(f, " nth={}", self.first)?;
        }
        for (name, flag) in [("ever", self.for_ever), ("after", self.afterwards)] {
            if flag {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Trigger {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let mut words = text.split_whitespace();
            let kind = |name: &str| CallKind::ALL.into_iter().find(|kind| kind.name() == name);
            let kinds = words.next()?.split('.').map(kind).collect::<Option<Vec<_>>>()?;
            let mut trigger = Self::on_any(&kinds);
            for word in words {
                let flag = |value: &str| match value {
                    "0" => Some(false),
                    "1" => Some(true),
                    _ => None,
                };
                trigger = match word.split_once('=') {
                    Some(("metadata", value)) => trigger.metadata(flag(value)?),
                    Some(("fua", value)) => trigger.fua(flag(value)?),
                    Some(("nth", value)) => trigger.nth(value.parse().ok()?),
                    Some(("within", value)) => {
                        let (start, end) = value.split_once("..")?;
                        trigger.within(start.parse().ok()?..end.parse().ok()?)
                    }
                    None if word == "ever" => trigger.for_ever(),
                    None if word == "after" => trigger.afterwards(),
                    _ => return None,
                };
            }
            Some(trigger)
        };
        parse().ok_or_else(|| Error::invalid(format!("trigger {text:?} makes no sense")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_printed_and_parsed_back() {
        for text in [
            "write",
            "sync nth=3",
            "write.zero-range metadata=0 nth=2 ever",
            "write metadata=1 fua=0 within=512..4096 after",
        ] {
            let trigger: Trigger = text.parse().unwrap();
            assert_eq!(trigger.to_string(), text);
        }
        for text in ["", "fly", "write metadata=2", "write within=3", "write often"] {
            assert!(text.parse::<Trigger>().is_err(), "{text}");
        }
    }
}
