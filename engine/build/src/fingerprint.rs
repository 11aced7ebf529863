//! What a variant is made from, as bytes of which none can be taken for another's: every part has its kind and its length in front.

use ptq_cache::Digest;

/// The bytes so far.
#[derive(Default)]
pub(crate) struct Bytes(Vec<u8>);

impl Bytes {
    /// The digest of all.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// Adds bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Bytes {
        self.part(b'b', bytes)
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Bytes {
        self.part(b's', text.as_bytes())
    }

    /// Adds a setting of the manifest.
    pub(crate) fn setting(&mut self, path: &[String], value: &toml::Value) {
        self.count(b'p', path.len());
        for part in path {
            self.text(part);
        }
        self.value(value);
    }

    fn value(&mut self, value: &toml::Value) -> &mut Bytes {
        use toml::Value;
        match value {
            Value::String(text) => self.text(text),
            Value::Integer(i) => self.part(b'i', &i.to_le_bytes()),
            Value::Float(f) => self.part(b'f', &f.to_bits().to_le_bytes()),
            Value::Boolean(b) => self.part(b'o', &[u8::from(*b)]),
            Value::Datetime(at) => self.part(b'd', at.to_string().as_bytes()),
            Value::Array(list) => list.iter().fold(self.count(b'a', list.len()), |bytes, v| bytes.value(v)),
            Value::Table(table) => {
                table.iter().fold(self.count(b't', table.len()), |bytes, (key, v)| bytes.text(key).value(v))
            }
        }
    }

    fn part(&mut self, kind: u8, bytes: &[u8]) -> &mut Bytes {
        self.count(kind, bytes.len());
        self.0.extend_from_slice(bytes);
        self
    }

    fn count(&mut self, kind: u8, count: usize) -> &mut Bytes {
        self.0.push(kind);
        self.0.extend_from_slice(&(count as u64).to_le_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_settings_have_the_same_bytes() {
        let values = [
            "1",
            "1.0",
            "\"1\"",
            "true",
            "[1]",
            "[[1]]",
            "[1, 1]",
            "[]",
            "{}",
            "{ a = 1 }",
            "\"\"",
            "[\"1\"]",
            "1979-05-27",
        ];
        let paths: [&[&str]; 4] = [&["a"], &["a", "b"], &["a.b"], &[]];
        let mut seen = BTreeSet::new();
        for path in paths {
            let path: Vec<String> = path.iter().map(|p| (*p).to_owned()).collect();
            for value in values {
                let table: toml::Table = toml::from_str(&format!("v = {value}")).expect("a value");
                let mut bytes = Bytes::default();
                bytes.setting(&path, &table["v"]);
                assert!(seen.insert(bytes.digest()), "{path:?} = {value}");
            }
        }
    }
}
