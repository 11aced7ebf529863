//! YAML as a tree with lines, within bounds. Called by the importer.
//!
//! The file is untrusted: its size and depth are bounded, and aliases, which can make a small file large, are refused. A text that
//! the parser finds wrong is read again as `flow` puts it, since usual readers are less strict about lines inside brackets.

use super::flow;
use ptq_ir::Diagnostic;
use saphyr_parser::{Event, Parser, ScalarStyle};

/// Most bytes of a file.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting.
const MAX_DEPTH: usize = 16;

/// A value and the line on which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) value: Value,
}

/// A value of a YAML file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Text, a number, a flag or nothing; `quoted` when it stood in quotes.
    Scalar { text: String, quoted: bool },
    /// A list.
    List(Vec<Node>),
    /// Keys in the order of the file.
    Map(Vec<(String, u32, Node)>),
}

impl Node {
    /// The text of a scalar; `None` for lists and maps, and for an empty or `None` value.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, quoted } => {
                let nothing = text.is_empty() || (!quoted && matches!(text.as_str(), "~" | "null" | "None"));
                (!nothing).then_some(text.as_str())
            }
            _ => None,
        }
    }

    /// Whether nothing stands behind the key.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.value, Value::Scalar { .. }) && self.text().is_none()
    }
}

/// Reads one document.
///
/// # Errors
/// `IMPORT01` with the line: too large, too deep, an alias, a key twice, several documents, or no YAML.
pub(super) fn read(text: &str) -> Result<Node, Diagnostic> {
    if text.len() > MAX_BYTES {
        return Err(Diagnostic::error(
            "IMPORT01",
            format!("is {} bytes long, at most {MAX_BYTES} are read", text.len()),
        ));
    }
    document(text).or_else(|first| match flow::indented(text) {
        // Of two problems, the one farther down stands behind what is not really one.
        Some(moved) => document(&moved).map_err(|d| if d.place.line > first.place.line { d } else { first }),
        None => Err(first),
    })
}

/// The only document of a text that holds something.
fn document(text: &str) -> Result<Node, Diagnostic> {
    let mut reader = Reader { parser: Parser::new_from_str(text), line: 1 };
    let mut found: Option<Node> = None;
    while let Some(event) = reader.next()? {
        if matches!(
            event,
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing
        ) {
            continue;
        }
        let node = reader.node(event, 0)?;
        match &found {
            _ if node.is_empty() => {}
            Some(first) => {
                let why = format!("holds a second document, the first is on line {}", first.line);
                return Err(Diagnostic::error("IMPORT01", why).line(node.line).hint("keep one of them, without ---"));
            }
            None => found = Some(node),
        }
    }
    found.ok_or_else(|| {
        Diagnostic::error("IMPORT01", "holds nothing").line(1).hint("begin with model_parameters: and its keys")
    })
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    line: u32,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<Event<'a>>, Diagnostic> {
        match self.parser.next() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                self.line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
                Ok(Some(event))
            }
            Some(Err(e)) => {
                let line = u32::try_from(e.marker().line()).unwrap_or(u32::MAX);
                let hint = "a value with a colon, a brace or a quote in it needs quotes around it";
                Err(Diagnostic::error("IMPORT01", format!("is no YAML: {}", e.info())).line(line).hint(hint))
            }
        }
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Node, Diagnostic> {
        let line = self.line;
        let bad = |why: String| Diagnostic::error("IMPORT01", why).line(line);
        if depth > MAX_DEPTH {
            return Err(bad(format!("is nested more than {MAX_DEPTH} deep")));
        }
        let value = match event {
            Event::Scalar(text, style, ..) => {
                Value::Scalar { text: text.trim().to_owned(), quoted: style != ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        Some(Event::SequenceEnd) | None => break Value::List(list),
                        Some(event) => list.push(self.node(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map: Vec<(String, u32, Node)> = Vec::new();
                loop {
                    let key = match self.next()? {
                        Some(Event::MappingEnd) | None => break Value::Map(map),
                        Some(event) => self.node(event, depth + 1)?,
                    };
                    let Value::Scalar { text, .. } = &key.value else {
                        return Err(Diagnostic::error("IMPORT01", "a key must be text").line(key.line));
                    };
                    if let Some((_, first, _)) = map.iter().find(|(k, ..)| k == text) {
                        let why = format!("key {text} stands here and on line {first}");
                        return Err(Diagnostic::error("IMPORT01", why).line(key.line).hint("keep one of them"));
                    }
                    let Some(event) = self.next()? else { return Err(bad("ends inside a mapping".into())) };
                    map.push((text.clone(), key.line, self.node(event, depth + 1)?));
                }
            }
            Event::Alias(_) => return Err(bad("aliases are not read".into()).hint("write the value out")),
            _ => Value::Scalar { text: String::new(), quoted: false },
        };
        Ok(Node { line, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keys_and_empty_values_are_kept() {
        let node = read("a:\n  b: 'x'\n  c: \n  d: [1, 2]\n").expect("YAML");
        let Value::Map(top) = node.value else { panic!("a map") };
        let Value::Map(inner) = &top[0].2.value else { panic!("a map") };
        assert_eq!((inner[0].1, inner[0].2.text()), (2, Some("x")));
        assert!(inner[1].2.is_empty());
        assert!(matches!(&inner[2].2.value, Value::List(l) if l.len() == 2));
    }

    #[test]
    fn what_usual_readers_take_is_taken() {
        for text in [
            "\u{feff}a:\r\n  b: {c: d,}\r\n",
            "---\na:\n  b: {\n    c: 'd', # {\n}\n...\n",
            "%YAML 1.1\n---\na:\n  b: {\nc: d\n  }",
            "---\na:\n  b: {'c':d}#名\n---\n",
            "a:\n  b: {c: 'd'#名\n\n}\n# 名",
            "a:\t\n  b: {c: d}\t\n",
        ] {
            let node = read(text).unwrap_or_else(|d| panic!("{text}: {d}"));
            let Value::Map(top) = node.value else { panic!("{text}") };
            let Value::Map(inner) = &top[0].2.value else { panic!("{text}") };
            assert!(
                inner[0].0 == "b" && matches!(&inner[0].2.value, Value::Map(m) if m[0].0.starts_with('c')),
                "{text}"
            );
        }
    }

    #[test]
    fn of_a_text_that_stays_wrong_the_true_place_is_named() {
        for (text, line) in [("a: {\nb: c\n}\nd: {\n", 5), ("a: {\n}\nb: 1\n c: 2\n", 4), ("a: 1\n---\nb: 2\n", 3)] {
            assert_eq!(read(text).expect_err(text).place.line, Some(line), "{text}");
        }
    }

    #[test]
    fn hostile_files_are_refused_with_a_line() {
        let deep = "[".repeat(100_000);
        let bomb = "a: &a [1, 1]\nb: [*a, *a, *a]\n";
        for (text, word) in
            [(deep.as_str(), "recursion"), (bomb, "aliases"), ("a: 1\na: 2\n", "line 1"), ("a: 'x\n", "no YAML")]
        {
            let d = read(text).expect_err(word);
            assert!(d.message.contains(word) && d.place.line.is_some(), "{word}: {d}");
        }
        assert!(read(&"#".repeat(MAX_BYTES + 1)).is_err());
    }
}
