//! The confusion matrix as SVG: rows are the truth, columns what was predicted.

use super::Confusion;
use super::html::escaped;

/// Side of a cell.
const CELL: usize = 30;
/// Room for a letter of a class name.
const LETTER: usize = 7;
/// The longest name that is shown whole.
const LETTERS: usize = 24;

/// Empty without classes.
pub(super) fn to_html(confusion: &Confusion) -> String {
    let n = confusion.classes.len();
    if n == 0 {
        return String::new();
    }
    let names: Vec<String> = confusion.classes.iter().map(|name| shortened(name)).collect();
    let room = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) * LETTER + 12;
    let side = n * CELL;
    let (width, height) = (room + side + 8, side + room * 3 / 4 + 8);
    let mut svg = format!(
        "<div class=scroll><svg viewBox=\"0 0 {width} {height}\" width={width} height={height} role=img \
         aria-label=\"confusion matrix\">\n"
    );
    for (truth, name) in names.iter().enumerate() {
        let counts = |predicted: usize| confusion.counts.get(truth).and_then(|row| row.get(predicted)).copied();
        let total: u64 = (0..n).filter_map(counts).sum();
        let y = truth * CELL;
        svg += &format!("<text class=label x={} y={} text-anchor=end>{}</text>\n", room - 8, y + 20, escaped(name));
        for predicted in 0..n {
            let count = counts(predicted).unwrap_or(0);
            svg += &cell(room + predicted * CELL, y, count, total, truth == predicted, || {
                let as_what = &confusion.classes[predicted];
                format!("{}, taken for {}: {count} of {total}", confusion.classes[truth], as_what)
            });
        }
    }
    for (predicted, name) in names.iter().enumerate() {
        let (x, y) = (room + predicted * CELL + CELL / 2 + 4, side + 12);
        let turn = format!("rotate(-45 {x} {y})");
        svg +=
            &format!("<text class=label x={x} y={y} text-anchor=end transform=\"{turn}\">{}</text>\n", escaped(name));
    }
    svg + "</svg></div>\n<p class=note>Rows: the true class. Columns: the predicted class. Shade: share of the row.</p>\n"
}

fn cell(x: usize, y: usize, count: u64, total: u64, diagonal: bool, title: impl Fn() -> String) -> String {
    let share = if total > 0 { count as f64 / total as f64 } else { 0.0 };
    let kind = if diagonal { "hit" } else { "miss" };
    // An error that happened once must be seen: shades begin at a quarter.
    let opacity = if count > 0 { 0.25 + 0.75 * share } else { 0.0 };
    let inner = CELL - 2;
    let mut svg = format!(
        "<g><title>{}</title><rect class=empty x={x} y={y} width={inner} height={inner} rx=3 />",
        escaped(&title())
    );
    if count > 0 {
        let ink = if opacity > 0.6 { "over" } else { "label" };
        svg += &format!(
            "<rect class={kind} x={x} y={y} width={inner} height={inner} rx=3 fill-opacity={opacity:.3} />\
             <text class={ink} x={} y={} text-anchor=middle>{count}</text>",
            x + inner / 2,
            y + 19
        );
    }
    svg + "</g>\n"
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LETTERS {
        return name.to_owned();
    }
    name.chars().take(LETTERS - 1).chain(['…']).collect()
}
