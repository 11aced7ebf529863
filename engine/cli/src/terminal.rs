//! Colours and aligned tables.

use crate::args::{Color, Global};
use std::io::{IsTerminal as _, Write as _};

/// Writes to standard output; what nobody takes is lost.
pub(crate) fn say(text: std::fmt::Arguments<'_>) {
    let _ = std::io::stdout().lock().write_fmt(text);
}

/// Writes to standard error; what nobody takes is lost.
pub(crate) fn tell(text: std::fmt::Arguments<'_>) {
    let _ = std::io::stderr().lock().write_fmt(text);
}

/// Whether to colour what goes to standard error.
pub(crate) fn colors(global: &Global) -> bool {
    match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}

/// Prints an error text; its first words in red where colours are on.
pub(crate) fn error(global: &Global, text: &str) {
    if colors(global) {
        eprintln!("{}", text.replace("error", "\x1b[31;1merror\x1b[0m"));
    } else {
        eprintln!("{text}");
    }
}

/// Rows in columns, two spaces apart; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(s, &w)| format!("{s:<w$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
