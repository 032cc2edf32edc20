//! Tables for people: aligned, two spaces between columns, numbers to the right.

use std::fmt::Write;

const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// Rows of cells under a heading.
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(heading: &[&'static str]) -> Self {
        Table { heading: heading.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, with as many cells as the heading.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text; colours are taken out later where they do not belong.
    pub fn text(&self) -> String {
        let columns = self.heading.len();
        let cell = |row: &'_ [String], column: usize| row.get(column).map_or(0, |text| width(text));
        let widths: Vec<usize> = (0..columns)
            .map(|c| self.rows.iter().map(|row| cell(row, c)).max().unwrap_or(0).max(width(self.heading[c])))
            .collect();
        let to_right: Vec<bool> = (0..columns)
            .map(|c| self.rows.iter().all(|row| row.get(c).is_none_or(|text| text == "-" || is_number(text))))
            .collect();
        let mut text = String::new();
        let heading: Vec<String> = self.heading.iter().map(|&name| name.to_owned()).collect();
        let _ = writeln!(text, "{BOLD}{}{PLAIN}", line(&heading, &widths, &to_right));
        for row in &self.rows {
            let _ = writeln!(text, "{}", line(row, &widths, &to_right));
        }
        text
    }
}

/// Pairs of a name and a value, one a line.
pub fn card(pairs: &[(&str, String)]) -> String {
    let widest = pairs.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    pairs.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:widest$}  {value}");
        text
    })
}

/// A number with three digits, or a dash where there is none.
pub fn ratio(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"))
}

/// A measure with five significant digits, without zeros that say nothing.
pub fn short(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-3..1e6).contains(&magnitude) {
        return format!("{value:.4e}");
    }
    let decimals = [10.0, 100.0, 1e3, 1e4].iter().filter(|&&bound| magnitude < bound).count();
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn line(cells: &[String], widths: &[usize], to_right: &[bool]) -> String {
    let padded = cells.iter().zip(widths).zip(to_right).map(|((text, &wide), &right)| {
        let gap = " ".repeat(wide.saturating_sub(width(text)));
        if right { format!("{gap}{text}") } else { format!("{text}{gap}") }
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_to_the_right_and_nothing_trails() {
        let mut table = Table::new(&["path", "triangles"]);
        table.row(["a.stl".to_owned(), "12".to_owned()]);
        table.row(["longer name.stl".to_owned(), "-".to_owned()]);
        let text = table.text().replace(BOLD, "").replace(PLAIN, "");
        assert_eq!(text, "path             triangles\na.stl                   12\nlonger name.stl          -\n");
    }
}
