//! Lines inside brackets and quotes, moved to where a strict parser wants them. Called by `yaml`.
//!
//! By the letter of YAML each line of a `{..}`, a `[..]` or a quoted text stands farther to the right than the key that it
//! belongs to. The readers that Horizon's files are written for do not look at that, and a closing brace below its key is common.
//! Such lines get spaces in front, so that lines keep their numbers. White space there means nothing: it only separates. So does
//! the space that a comment right behind a quote, a bracket or a comma lacks.

/// Most spaces that are added to a text, so that a hostile one stays small.
const MAX_ADDED: usize = 1 << 20;

/// The text with such lines moved to the right and such comments apart; `None` where nothing has to change.
pub(super) fn indented(text: &str) -> Option<String> {
    let mut scan = Scan::default();
    let mut out = String::with_capacity(text.len());
    let mut added = 0;
    for line in text.split_inclusive('\n') {
        let missing = scan.missing(line);
        if added + missing <= MAX_ADDED {
            out.extend(std::iter::repeat_n(' ', missing));
            added += missing;
        }
        let comment = scan.line(line.as_bytes()).filter(|_| added < MAX_ADDED);
        let (value, comment) = line.split_at(comment.unwrap_or(line.len()));
        out.push_str(value);
        if !comment.is_empty() {
            out.push(' ');
            added += 1;
        }
        out.push_str(comment);
    }
    (added > 0).then_some(out)
}

/// What is open at the beginning of a line.
#[derive(Default)]
struct Scan {
    /// Brackets.
    depth: usize,
    /// The quote character of a text.
    quote: Option<u8>,
    /// Column of the bracket or quote that began it.
    from: usize,
    /// Column of the key or dash of a text after `|` or `>`, whose lines stand farther to the right.
    block: Option<usize>,
}

impl Scan {
    /// How many spaces a line lacks.
    fn missing(&self, line: &str) -> usize {
        let inside = self.depth > 0 || self.quote.is_some();
        if inside && !line.trim().is_empty() { self.from.saturating_sub(indent(line.as_bytes())) } else { 0 }
    }

    /// Goes over a line. Returns where a comment begins that has no space in front of it.
    fn line(&mut self, line: &[u8]) -> Option<usize> {
        if let Some(column) = self.block {
            let blank = line.iter().all(|&b| is_space(b));
            if blank || indent(line) > column {
                return None;
            }
            self.block = None;
        }
        let mut at = Place { fresh: self.quote.is_none(), ..Place::default() };
        while let Some(&byte) = line.get(at.i) {
            let next = line.get(at.i + 1).copied().unwrap_or(b'\n');
            match self.quote {
                Some(quote) => self.quoted(quote, byte, next, &mut at),
                None if byte == b'#' && (at.i == 0 || is_space(line[at.i - 1])) => return None,
                None if byte == b'#' && (at.closed || (self.depth > 0 && b",{[".contains(&line[at.i - 1]))) => {
                    return Some(at.i);
                }
                None if is_space(byte) => {}
                None if self.depth > 0 => self.flow(byte, next, &mut at),
                None => self.outside(line, byte, next, &mut at),
            }
            at.i += 1;
        }
        None
    }

    /// One character of a quoted text.
    fn quoted(&mut self, quote: u8, byte: u8, next: u8, at: &mut Place) {
        let escaped = (quote == b'"' && byte == b'\\') || (quote == b'\'' && byte == b'\'' && next == b'\'');
        if escaped {
            at.i += 1;
        } else if byte == quote {
            self.quote = None;
            (at.fresh, at.closed) = (false, true);
        }
    }

    /// One character inside brackets.
    fn flow(&mut self, byte: u8, next: u8, at: &mut Place) {
        let closed = std::mem::take(&mut at.closed);
        match byte {
            b'{' | b'[' => (self.depth, at.fresh) = (self.depth + 1, true),
            b'}' | b']' => {
                self.depth -= 1;
                (at.fresh, at.closed) = (false, true);
            }
            b',' => at.fresh = true,
            // A text in quotes needs no space behind its colon.
            b':' if is_space(next) || closed => at.fresh = true,
            b'"' | b'\'' if at.fresh => self.quote = Some(byte),
            _ => at.fresh = false,
        }
    }

    /// One character outside of brackets and quotes.
    fn outside(&mut self, line: &[u8], byte: u8, next: u8, at: &mut Place) {
        at.closed = false;
        match byte {
            b':' if is_space(next) => (at.parent, at.fresh) = (at.token, true),
            _ if !at.fresh => {}
            b'-' | b'?' if is_space(next) => at.parent = at.i,
            b'{' | b'[' => (self.depth, self.from) = (1, at.i),
            b'"' | b'\'' => (self.quote, self.from, at.token) = (Some(byte), at.i, at.i),
            b'|' | b'>' => {
                self.block = Some(at.parent);
                at.i = line.len();
            }
            // A tag, an anchor or an alias: what follows still begins a value.
            b'!' | b'&' | b'*' => at.i += line[at.i..].iter().take_while(|&&b| !is_space(b)).count() - 1,
            _ => (at.token, at.fresh) = (at.i, false),
        }
    }
}

/// A place in a line.
#[derive(Default)]
struct Place {
    i: usize,
    /// Whether a value may begin here: elsewhere brackets and quotes are letters.
    fresh: bool,
    /// Whether a quote or bracket was closed just before.
    closed: bool,
    /// Column of the last text that began, a key if a colon follows.
    token: usize,
    /// Column of the last key or dash.
    parent: usize,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn indent(line: &[u8]) -> usize {
    line.iter().take_while(|&&b| b == b' ').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_brackets_and_quotes_move_right_of_where_they_began() {
        for (text, moved) in [
            ("a:\n  b: {\n  c: d\n}\ne: f\n", "a:\n  b: {\n     c: d\n     }\ne: f\n"),
            ("a: [ 'x]',\n]\nb: 1\n", "a: [ 'x]',\n   ]\nb: 1\n"),
            ("a: \"x\\\"\ny\" # {\nb: 1\n", "a: \"x\\\"\n   y\" # {\nb: 1\n"),
            ("a: {\"b\":\"}\", # }\n\n# c\n}\n", "a: {\"b\":\"}\", # }\n\n   # c\n   }\n"),
            ("- a: |\n    {\n  b: {\n}\n", "- a: |\n    {\n  b: {\n     }\n"),
            ("a: 'b'#c {\nd: [e,#é]\nf]# g\n", "a: 'b' #c {\nd: [e, #é]\n   f] # g\n"),
        ] {
            assert_eq!(indented(text).as_deref(), Some(moved), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_bracket_or_quote_is_left_alone() {
        for text in [
            "a: x{y\nb: it's\nc: 1\n",
            "a: '{'\nb: \"[\"\nc: 'it''s {'\nd: 1\n",
            "a: >-\n  {\n  '\nb: 1\n",
            "# {\na: 1 # [\nb: 2\n",
            "a: b#c\nd: [e#f]\n",
            "a: !x {b: c}\nd: 1\n",
            "",
            "\r\n\t\n",
        ] {
            assert_eq!(indented(text), None, "{text}");
        }
    }

    #[test]
    fn a_hostile_text_stays_small() {
        let text = format!("{}{{\n{}", " ".repeat(300_000), "x\n".repeat(300_000));
        assert!(indented(&text).is_some_and(|t| t.len() <= text.len() + MAX_ADDED));
        for text in ["}\n]\n", "a: '\\", "a: \"\\", "!", "&", "a: |", "'", "{", "\u{feff}{"] {
            let _ = indented(text);
        }
    }
}
