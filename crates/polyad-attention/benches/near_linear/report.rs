//! Sections with tables and plots, printed, and written as a page that stands alone and as numbers.

use crate::svg::{Plot, escaped};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::Path;

pub struct Table {
    pub title: String,
    pub header: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: impl Into<String>, header: &[&'static str]) -> Table {
        Table { title: title.into(), header: header.to_vec(), rows: Vec::new() }
    }

    fn print(&self) {
        let cells = |column: usize| self.rows.iter().map(move |row| row[column].chars().count());
        let widths: Vec<usize> = (0..self.header.len())
            .map(|c| cells(c).chain([self.header[c].chars().count()]).max().unwrap_or(0))
            .collect();
        let line = |cells: Vec<&str>| -> String {
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect::<Vec<_>>().join("  ")
        };
        println!("\n{}\n{}", self.title, line(self.header.clone()));
        self.rows.iter().for_each(|row| println!("{}", line(row.iter().map(String::as_str).collect())));
    }

    fn html(&self) -> String {
        let row = |cells: Vec<&str>, tag: &str| -> String {
            let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let body: String = self.rows.iter().map(|r| row(r.iter().map(String::as_str).collect(), "td")).collect();
        format!(
            "<table><caption>{}</caption>\n{}{body}</table>\n",
            escaped(&self.title),
            row(self.header.clone(), "th")
        )
    }

    fn numbers(&self) -> Value {
        json!({ "title": self.title, "header": self.header, "rows": self.rows })
    }
}

#[derive(Default)]
pub struct Section {
    pub title: &'static str,
    /// What was done, a paragraph.
    pub about: String,
    /// What came out, a sentence each.
    pub findings: Vec<String>,
    pub tables: Vec<Table>,
    pub plots: Vec<Plot>,
    /// What is in neither, and the findings' numbers.
    pub numbers: Map<String, Value>,
}

impl Section {
    pub fn print(&self) {
        println!("\n== {}\n{}", self.title, self.about);
        self.tables.iter().for_each(Table::print);
        println!();
        self.findings.iter().for_each(|finding| println!("- {finding}"));
    }

    fn html(&self) -> String {
        let mut html = format!("<h2>{}</h2>\n<p>{}</p>\n", escaped(self.title), escaped(&self.about));
        let findings = self.findings.iter().map(|finding| format!("<li>{}</li>\n", escaped(finding)));
        let _ = write!(html, "<ul>\n{}</ul>\n", findings.collect::<String>());
        self.plots.iter().for_each(|plot| html.push_str(&plot.svg()));
        self.tables.iter().for_each(|table| html.push_str(&table.html()));
        html
    }

    fn numbers(&self) -> Value {
        json!({
            "title": self.title,
            "numbers": self.numbers,
            "tables": self.tables.iter().map(Table::numbers).collect::<Vec<_>>(),
            "plots": self.plots.iter().map(Plot::numbers).collect::<Vec<_>>(),
        })
    }
}

const STYLE: &str = "body{font-family:sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222;\
                     background:#fff;line-height:1.45}svg{max-width:100%;height:auto;display:block;margin:1em 0}\
                     table{border-collapse:collapse;margin:1em 0;font-size:13px}caption{text-align:left;\
                     font-weight:bold;padding:.3em 0}td,th{text-align:right;padding:.15em .7em;border-bottom:1px \
                     solid #ddd}";

/// `report.html` and `numbers.json`.
pub fn write(folder: &Path, machine: &str, sections: &[Section]) -> std::io::Result<()> {
    let title = "Tensor attention in almost linear time";
    let body: String = sections.iter().map(Section::html).collect();
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n<p>{}</p>\n{body}</body></html>\n",
        escaped(machine)
    );
    let numbers = json!({
        "machine": machine,
        "sections": sections.iter().map(Section::numbers).collect::<Vec<_>>(),
    });
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("report.html"), html)?;
    std::fs::write(folder.join("numbers.json"), serde_json::to_string_pretty(&numbers)?)
}

/// Seconds, in a unit that suits them.
pub fn seconds(x: f64) -> String {
    match x {
        x if x < 1e-3 => format!("{:.3} ms", x * 1e3),
        x if x < 1.0 => format!("{:.2} ms", x * 1e3),
        x if x < 1e4 => format!("{x:.2} s"),
        x => format!("{:.1} h", x / 3600.0),
    }
}
