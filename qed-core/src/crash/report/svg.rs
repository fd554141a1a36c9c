//! The timeline as an SVG document: one row a line, fates as colours.

use super::timeline::{Fate, Timeline};
use std::fmt::Write;

const ROW: usize = 18;
const GUEST: usize = 340;
const DISK: usize = 360;
const FATE: usize = 240;

pub(super) fn draw(timeline: &Timeline) -> String {
    let extra = timeline.rows.iter().filter(|row| row.missing).count();
    let height = (timeline.rows.len() + extra + 3) * ROW;
    let width = GUEST + DISK + FATE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"monospace\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    text(&mut svg, 8, ROW, "#555555", "guest");
    text(&mut svg, GUEST, ROW, "#555555", "disk");
    let mut y = 2 * ROW;
    for row in &timeline.rows {
        if row.missing {
            band(&mut svg, y, "#fff0c0");
            text(&mut svg, GUEST, y, "#a06000", "a sync is missing here");
            y += ROW;
        }
        if row.barrier {
            band(&mut svg, y, "#e0e8f0");
        }
        text(&mut svg, 8, y, "#000000", &row.guest);
        text(&mut svg, GUEST, y, "#000000", &row.disk);
        let fate = if row.barrier { "barrier".to_owned() } else { row.fate.to_string() };
        text(&mut svg, GUEST + DISK, y, colour(&row.fate), &fate);
        y += ROW;
    }
    band(&mut svg, y, "#f8d0d0");
    text(&mut svg, GUEST, y, "#a00000", "power fails");
    svg.push_str("</svg>\n");
    svg
}

fn colour(fate: &Fate) -> &'static str {
    match fate {
        Fate::Settled | Fate::Nothing => "#888888",
        Fate::Persists => "#207020",
        Fate::Lost => "#a00000",
        Fate::Early => "#c05000",
        Fate::Torn(..) => "#8000a0",
    }
}

fn band(svg: &mut String, y: usize, colour: &str) {
    let top = y - ROW + 5;
    let _ = writeln!(
        svg,
        "<rect x=\"0\" y=\"{top}\" width=\"100%\" height=\"{ROW}\" fill=\"{colour}\"/>"
    );
}

fn text(svg: &mut String, x: usize, y: usize, colour: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let safe = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let safe: String = safe.chars().filter(|c| !c.is_control()).take(160).collect();
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{safe}</text>");
}
