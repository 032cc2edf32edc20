//! `report.html`: what a training came to, as one page that stands alone.
//!
//! Plain values in, text out. The page loads nothing: style is inline, charts are SVG, pictures are data URIs. It follows
//! the reader's choice of light or dark, and every text that comes from outside is escaped.

mod charts;
mod html;
mod matrix;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use html::{Page, escaped};

pub use charts::{Chart, Curve, Scale};

/// A report. Parts that are empty leave no trace on the page.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The heading, and the name of the page.
    pub title: String,
    /// A sentence or two under the heading.
    pub introduction: String,
    /// The main results: name and value, as text.
    pub summary: Vec<(String, String)>,
    /// Line charts: losses and accuracies by epoch, precision by recall.
    pub charts: Vec<Chart>,
    /// Which class was taken for which.
    pub confusion: Option<Confusion>,
    /// Queries and what they found.
    pub neighbours: Vec<NeighbourRow>,
    /// Tables with a heading each.
    pub tables: Vec<Grid>,
    /// Pictures in rows.
    pub sheets: Vec<Sheet>,
    /// How it was made: name and value, as text. Settings, machine, times.
    pub details: Vec<(String, String)>,
}

/// A confusion matrix to be drawn.
#[derive(Debug, Clone, Default)]
pub struct Confusion {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// `counts[truth][predicted]`; what is missing counts as 0.
    pub counts: Vec<Vec<u64>>,
}

/// A table: numbers to the right, as the reader's eye wants them.
#[derive(Debug, Clone, Default)]
pub struct Grid {
    /// Over the table.
    pub title: String,
    /// A sentence under the title, or nothing.
    pub note: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows of cells, the first of which names its row.
    pub rows: Vec<Vec<String>>,
}

/// Rows of pictures.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// Over the pictures.
    pub title: String,
    /// From top to bottom.
    pub rows: Vec<Vec<Thumbnail>>,
}

/// A query and its neighbours.
#[derive(Debug, Clone)]
pub struct NeighbourRow {
    /// What was looked for.
    pub query: Thumbnail,
    /// What was found, nearest first.
    pub neighbours: Vec<Thumbnail>,
}

/// A picture with its caption.
#[derive(Debug, Clone)]
pub struct Thumbnail {
    /// A PNG file.
    pub png: Vec<u8>,
    /// The name under it.
    pub name: String,
    /// A second line: a class, a cosine.
    pub note: String,
    /// Whether it is what was looked for; `None` where nobody knows.
    pub right: Option<bool>,
}

impl Report {
    /// The page.
    pub fn to_html(&self) -> String {
        let mut page = Page::new(&self.title);
        page.introduction(&self.introduction);
        page.tiles(&self.summary);
        page.section("Curves", self.charts.iter().map(Chart::to_html).collect::<String>(), "charts");
        if let Some(confusion) = &self.confusion {
            page.section("Confusion", matrix::to_html(confusion), "matrix");
        }
        page.section("Neighbours", self.neighbours.iter().map(row).collect::<String>(), "rows");
        for grid in &self.tables {
            page.section(&grid.title, html::grid(grid), "figures");
        }
        for sheet in &self.sheets {
            let of = |row: &Vec<Thumbnail>| {
                let figures: String = row.iter().map(thumbnail).collect();
                format!("<div class=row>\n{figures}</div>\n")
            };
            page.section(&sheet.title, sheet.rows.iter().map(of).collect::<String>(), "sheet");
        }
        page.section("Details", html::table(&self.details), "details");
        page.finish()
    }
}

fn row(row: &NeighbourRow) -> String {
    let found: String = row.neighbours.iter().map(thumbnail).collect();
    let query = thumbnail(&row.query);
    format!("<div class=row><div class=query>{query}</div><div class=found>{found}</div></div>\n")
}

fn thumbnail(t: &Thumbnail) -> String {
    // The mark is a sign as well as a colour, for readers who see no red or green.
    let (class, mark) = match t.right {
        Some(true) => ("right", "<b title=right>✓</b>"),
        Some(false) => ("wrong", "<b title=wrong>✗</b>"),
        None => ("unknown", ""),
    };
    let (name, note) = (escaped(&t.name), escaped(&t.note));
    let data = STANDARD.encode(&t.png);
    format!(
        "<figure class={class}><img src=\"data:image/png;base64,{data}\" alt=\"{name}\">{mark}\
         <figcaption title=\"{name}\">{name}<small>{note}</small></figcaption></figure>\n"
    )
}
