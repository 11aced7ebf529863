//! Puts a table into a page, between `<!-- NAME -->` and `<!-- end NAME -->`.

use std::path::Path;

/// Replaces what stands between the markers of `name`.
///
/// # Errors
/// When the page cannot be read or written, or lacks the markers.
pub(crate) fn put(page: &Path, name: &str, table: &str) -> Result<(), String> {
    let fail = |e: std::io::Error| format!("{}: {e}", page.display());
    let text = std::fs::read_to_string(page).map_err(fail)?;
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- end {name} -->"));
    let lacks = || format!("{} lacks {} or {close}", page.display(), open.trim_end());
    let start = text.find(&open).ok_or_else(lacks)? + open.len();
    let end = start + text[start..].find(&close).ok_or_else(lacks)?;
    let new = format!("{}\n{}\n\n{}", &text[..start], table.trim(), &text[end..]);
    std::fs::write(page, new).map_err(fail)
}
