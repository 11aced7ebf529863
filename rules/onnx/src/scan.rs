//! Checks the wire form of a file before it is decoded: every length, number and text, and how many objects decoding
//! would allocate. So hostile bytes cost no memory, and an error knows its byte and its field. Called by import.

use crate::proto::{FieldKind, message_fields};
use ptq_ir::Diagnostic;

/// Bounds on what is read.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages, texts and byte strings in the file together.
    pub max_objects: usize,
    /// Bytes of all constants together, of each activation, and of what unrolling adds (`memory_budget`).
    pub budget: usize,
    /// Whether nodes of quantized models are let through, for parse to turn them into float.
    pub quantized: bool,
    /// Whether operators of other domains are let through, for parse to find their declarations.
    pub foreign: bool,
}

/// The budget where the manifest states none: 1 GiB.
pub const DEFAULT_BUDGET: usize = 1 << 30;

impl Default for Limits {
    /// Two million objects (a node with its names is about ten) and [`DEFAULT_BUDGET`]; quantized nodes are refused.
    fn default() -> Limits {
        Limits { max_objects: 2_000_000, budget: DEFAULT_BUDGET, quantized: false, foreign: false }
    }
}

/// Deepest nesting of messages; less than what the decoder accepts.
const MAX_DEPTH: usize = 64;

/// Checks the bytes of a `ModelProto`.
///
/// # Errors
/// `ONNX01` with the first byte that does not fit, `ONNX02` when the file holds more than the limits allow.
pub(crate) fn scan(bytes: &[u8], limits: &Limits) -> Result<(), Diagnostic> {
    let mut scanner = Scanner { bytes, at: 0, objects: 0, max_objects: limits.max_objects, path: Vec::new() };
    scanner.message("ModelProto", bytes.len())
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: usize,
    max_objects: usize,
    path: Vec<(&'static str, usize)>,
}

impl Scanner<'_> {
    fn bad(&self, at: usize, why: &str) -> Diagnostic {
        let path: Vec<String> = self.path.iter().map(|(name, i)| format!("{name}[{i}]")).collect();
        let field = if path.is_empty() { "the model".to_owned() } else { path.join(".") };
        Diagnostic::error("ONNX01", format!("the file is not an ONNX model: byte {at}, in {field}: {why}"))
    }

    fn varint(&mut self, end: usize) -> Result<u64, Diagnostic> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            if self.at >= end {
                return Err(self.bad(start, "a number ends too early"));
            }
            let byte = self.bytes[self.at];
            self.at += 1;
            if shift == 63 && byte > 1 {
                return Err(self.bad(start, "a number is too long"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.bad(start, "a number is too long"))
    }

    fn skip(&mut self, count: u64, end: usize) -> Result<(), Diagnostic> {
        if count > (end - self.at) as u64 {
            return Err(self.bad(self.at, &format!("{count} bytes are announced, {} are left", end - self.at)));
        }
        self.at += count as usize;
        Ok(())
    }

    fn message(&mut self, name: &str, end: usize) -> Result<(), Diagnostic> {
        if self.path.len() > MAX_DEPTH {
            return Err(self.bad(self.at, "messages are nested too deeply"));
        }
        let fields = message_fields(name);
        let mut counts = vec![0usize; fields.len()];
        while self.at < end {
            let start = self.at;
            let key = self.varint(end)?;
            let (number, wire) = (key >> 3, (key & 7) as u8);
            if number == 0 || number > u64::from(u32::MAX >> 3) {
                return Err(self.bad(start, "field number out of range"));
            }
            match fields.iter().position(|f| u64::from(f.1) == number) {
                None => self.unknown(wire, end)?,
                Some(i) => {
                    self.path.push((fields[i].0, counts[i]));
                    counts[i] += 1;
                    self.field(fields[i].3, wire, start, end)?;
                    self.path.pop();
                }
            }
        }
        Ok(())
    }

    fn unknown(&mut self, wire: u8, end: usize) -> Result<(), Diagnostic> {
        match wire {
            0 => self.varint(end).map(drop),
            1 => self.skip(8, end),
            2 => {
                let len = self.varint(end)?;
                self.skip(len, end)
            }
            5 => self.skip(4, end),
            _ => Err(self.bad(self.at, &format!("wire type {wire} is not used by ONNX"))),
        }
    }

    fn field(&mut self, kind: FieldKind, wire: u8, start: usize, end: usize) -> Result<(), Diagnostic> {
        let own = match kind {
            FieldKind::Varint(_) => 0,
            FieldKind::Double => 1,
            FieldKind::Float => 5,
            FieldKind::Str | FieldKind::Bytes | FieldKind::Message(_) => 2,
        };
        if wire != own && wire != 2 {
            return Err(self.bad(start, &format!("wire type {wire} does not fit the field")));
        }
        if wire != 2 {
            return self.unknown(wire, end);
        }
        let len = self.varint(end)?;
        let from = self.at;
        self.skip(len, end)?;
        let to = self.at;
        match kind {
            FieldKind::Str => {
                self.count()?;
                std::str::from_utf8(&self.bytes[from..to])
                    .map(drop)
                    .map_err(|e| self.bad(from + e.valid_up_to(), "the text is not UTF-8"))
            }
            FieldKind::Bytes => self.count(),
            FieldKind::Message(name) => {
                self.count()?;
                self.at = from;
                self.message(name, to)
            }
            FieldKind::Varint(_) => {
                self.at = from;
                while self.at < to {
                    self.varint(to)?;
                }
                Ok(())
            }
            FieldKind::Float if len % 4 == 0 => Ok(()),
            FieldKind::Double if len % 8 == 0 => Ok(()),
            FieldKind::Float | FieldKind::Double => Err(self.bad(from, "packed numbers do not fill their record")),
        }
    }

    fn count(&mut self) -> Result<(), Diagnostic> {
        self.objects += 1;
        if self.objects > self.max_objects {
            let why = format!("the file holds more than {} messages and texts", self.max_objects);
            return Err(Diagnostic::error("ONNX02", why));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_byte_and_field() {
        // graph (7) of 4 bytes: node (1) of 2 bytes: input (1) that announces 9 bytes.
        let bytes = [0x3a, 4, 0x0a, 2, 0x0a, 9];
        let error = scan(&bytes, &Limits::default()).unwrap_err();
        assert!(error.message.contains("byte 6, in graph[0].node[0].input[0]"), "{error}");
        assert_eq!(error.code, "ONNX01");
    }

    #[test]
    fn many_tiny_messages_are_refused_before_decoding() {
        let mut graph = Vec::new();
        for _ in 0..100 {
            graph.extend([0x0a, 0]);
        }
        let mut bytes = vec![0x3a, 200, 1];
        bytes.extend(graph);
        let limits = Limits { max_objects: 50, ..Limits::default() };
        assert_eq!(scan(&bytes, &limits).unwrap_err().code, "ONNX02");
        assert!(scan(&bytes, &Limits::default()).is_ok());
    }
}
