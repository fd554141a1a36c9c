//! Block traces as text: one request a line, `OP first_sector sector_count`.

use super::plan::{Kind, Request};
use crate::error::{Error, Result};

/// Bytes of a trace's sector.
const SECTOR: u64 = 512;

/// The requests of `text`, none of which passes the end of a disk of `disk` bytes.
pub(super) fn parse(text: &[u8], disk: u64) -> Result<Vec<Request>> {
    let mut requests = Vec::new();
    for (number, line) in (1_u64..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let named = |what: String| Error::invalid(format!("line {number}: {what}"));
        let request = request(line).map_err(named)?;
        let end = request.offset.checked_add(request.length);
        if end.is_none_or(|end| end > disk) {
            let Request { offset, length, .. } = request;
            return Err(named(format!(
                "{length} bytes at {offset} pass the end of the disk, {disk} bytes"
            )));
        }
        requests.push(request);
    }
    if requests.is_empty() {
        return Err(Error::invalid("the trace names no request"));
    }
    Ok(requests)
}

/// The request that a line names, or why it names none.
fn request(line: &[u8]) -> std::result::Result<Request, String> {
    let shown = || String::from_utf8_lossy(line.get(..line.len().min(60)).unwrap_or(line));
    let text = str::from_utf8(line).map_err(|_| format!("{:?} is no request", shown()))?;
    let mut words = text.split_ascii_whitespace();
    let (Some(operation), Some(first), Some(count), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(format!("{:?} is not \"OP first_sector sector_count\"", shown()));
    };
    let kind = match operation {
        "R" => Kind::Read,
        "W" => Kind::Write { fua: false },
        "WA" => Kind::Write { fua: true },
        "Z" => Kind::WriteZeroes,
        "D" => Kind::Discard,
        "F" => Kind::Flush,
        _ => {
            return Err(format!(
                "the operation is none of R, W, WA, Z, D and F: {:?}",
                operation.get(..operation.len().min(20)).unwrap_or("?")
            ));
        }
    };
    let bytes = |sectors: &str| {
        let sectors: Option<u64> = sectors.parse().ok();
        sectors.and_then(|sectors| sectors.checked_mul(SECTOR))
    };
    match (bytes(first), bytes(count)) {
        (Some(0), Some(0)) if kind == Kind::Flush => Ok(Request::FLUSH),
        (Some(offset), Some(length)) if kind != Kind::Flush && length > 0 => {
            Ok(Request { kind, offset, length })
        }
        _ => Err(format!("{:?} names no sectors that {operation} could have", shown())),
    }
}
