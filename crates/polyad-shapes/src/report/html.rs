//! The frame of the page: head, style, sections, tables, escaping.

use super::Grid;
use std::fmt::Write;

pub(super) struct Page {
    text: String,
}

impl Page {
    pub fn new(title: &str) -> Self {
        let (title, style) = (escaped(title), include_str!("style.css"));
        let text = format!(
            "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
             <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
             <meta name=color-scheme content=\"light dark\">\n<title>{title}</title>\n<style>\n{style}</style>\n\
             </head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        );
        Page { text }
    }

    pub fn introduction(&mut self, text: &str) {
        if !text.is_empty() {
            self.add(format_args!("<p class=introduction>{}</p>\n", escaped(text)));
        }
    }

    /// Large values over small names.
    pub fn tiles(&mut self, values: &[(String, String)]) {
        if values.is_empty() {
            return;
        }
        let tile = |(name, value): &(String, String)| {
            format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(name), escaped(value))
        };
        let tiles: String = values.iter().map(tile).collect();
        self.add(format_args!("<dl class=tiles>\n{tiles}</dl>\n"));
    }

    /// A section of finished HTML; none where the content is empty.
    pub fn section(&mut self, title: &str, content: impl AsRef<str>, class: &str) {
        let content = content.as_ref();
        if !content.is_empty() {
            self.add(format_args!("<section class={class}>\n<h2>{}</h2>\n{content}</section>\n", escaped(title)));
        }
    }

    pub fn finish(mut self) -> String {
        self.text.push_str("</main>\n</body>\n</html>\n");
        self.text
    }

    fn add(&mut self, arguments: std::fmt::Arguments) {
        // Writing to a String cannot fail.
        let _ = self.text.write_fmt(arguments);
    }
}

/// Rows of name and value; empty without rows.
pub(super) fn table(rows: &[(String, String)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let row = |(name, value): &(String, String)| {
        format!("<tr><th scope=row>{}</th><td>{}</td></tr>\n", escaped(name), escaped(value))
    };
    format!("<table>\n{}</table>\n", rows.iter().map(row).collect::<String>())
}

/// A table with named columns; empty without rows.
pub(super) fn grid(grid: &Grid) -> String {
    if grid.rows.is_empty() {
        return String::new();
    }
    let heading: String = grid.columns.iter().map(|name| format!("<th scope=col>{}</th>", escaped(name))).collect();
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().enumerate().map(|(index, cell)| match index {
            0 => format!("<th scope=row>{}</th>", escaped(cell)),
            _ => format!("<td>{}</td>", escaped(cell)),
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let note = if grid.note.is_empty() { String::new() } else { format!("<p>{}</p>\n", escaped(&grid.note)) };
    let rows: String = grid.rows.iter().map(row).collect();
    format!("{note}<div class=scroll><table>\n<tr>{heading}</tr>\n{rows}</table></div>\n")
}

/// Text that is nothing but text, in an element or in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}
