//! Actions: one run of a rule on given inputs, named by the hash of exactly what the rule can see.

use ptq_cache::{Digest, Store};

/// Version of the key's own form.
const KEY_CONTEXT: &str = "ptq action key v1";
/// Hash of the rules' sources that this program was built from.
pub const RULES_SOURCES: &str = env!("PTQ_RULES_SOURCES");
/// The committed hash. Whoever changes the rules' sources renews it, after giving rules with other results a new version.
const COMMITTED_SOURCES: &str = include_str!("../../../rules/SOURCES");

/// Hash of this program's rules, where they are not the committed ones: then nobody else's results may be taken.
pub(crate) fn own_sources() -> Option<&'static str> {
    (RULES_SOURCES != COMMITTED_SOURCES.trim()).then_some(RULES_SOURCES)
}

/// How an input's digest is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputKind {
    /// One blob under the input's name.
    Blob,
    /// A tree whose entries appear under their own names.
    Tree,
}

/// One input of an action.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ActionInput {
    /// Name for the rule (blobs) or for people (trees).
    pub name: String,
    /// Digest of the blob or tree.
    pub digest: Digest,
    /// How to read it.
    pub kind: InputKind,
}

impl ActionInput {
    /// A single blob.
    pub fn blob(name: &str, digest: Digest) -> ActionInput {
        ActionInput { name: name.to_owned(), digest, kind: InputKind::Blob }
    }

    /// A tree of blobs.
    pub fn tree(name: &str, digest: Digest) -> ActionInput {
        ActionInput { name: name.to_owned(), digest, kind: InputKind::Tree }
    }

    /// A stage's tree blob by blob, without files that only people read.
    pub(crate) fn graph(store: &Store, tree: &Digest) -> Option<Vec<ActionInput>> {
        let used = store.tree(tree)?.into_iter().filter(|e| !e.name.ends_with(".json"));
        Some(used.map(|e| ActionInput::blob(&e.name, e.digest)).collect())
    }

    /// One entry of a tree as a blob of its own, so that its siblings do not count as read.
    pub(crate) fn part(store: &Store, tree: &Digest, name: &str) -> Option<ActionInput> {
        store.tree(tree)?.into_iter().find(|e| e.name == name).map(|e| ActionInput::blob(name, e.digest))
    }
}

/// A rule with its parameters and inputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ActionSpec {
    /// Name of the rule.
    pub rule: String,
    /// Version of the rule.
    pub version: u32,
    /// Canonical JSON parameters.
    pub params: String,
    /// Inputs, in the order that the caller gives; the key sorts them.
    pub inputs: Vec<ActionInput>,
}

impl ActionSpec {
    /// The action's name: every field with its length in front, so that no two actions read alike.
    pub fn key(&self) -> Digest {
        let mut bytes = Vec::new();
        let mut field = |part: &[u8]| {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        };
        field(KEY_CONTEXT.as_bytes());
        field(&ptq_rule::SEMANTICS.to_le_bytes());
        if let Some(sources) = own_sources() {
            field(sources.as_bytes());
        }
        field(self.rule.as_bytes());
        field(&self.version.to_le_bytes());
        field(self.params.as_bytes());
        let mut inputs: Vec<&ActionInput> = self.inputs.iter().collect();
        inputs.sort_by(|a, b| (&a.name, a.digest).cmp(&(&b.name, b.digest)));
        for input in inputs {
            // The name of a tree is for people only; its entries carry the names that a rule sees.
            let (kind, name): (u8, &[u8]) = match input.kind {
                InputKind::Blob => (0, input.name.as_bytes()),
                InputKind::Tree => (1, b""),
            };
            field(&[kind]);
            field(name);
            field(&input.digest.0);
        }
        Digest::of(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ActionSpec {
        ActionSpec {
            rule: "fuse".into(),
            version: 1,
            params: "{}".into(),
            inputs: vec![ActionInput::blob("ab", Digest::of(b"1")), ActionInput::blob("c", Digest::of(b"2"))],
        }
    }

    #[test]
    fn every_field_is_in_the_key_and_order_is_not() {
        let base = spec().key();
        let mut swapped = spec();
        swapped.inputs.reverse();
        assert_eq!(swapped.key(), base);
        let edits: [fn(&mut ActionSpec); 6] = [
            |s| s.rule.push('x'),
            |s| s.version = 2,
            |s| s.params = "{ }".into(),
            |s| s.inputs[0].name = "a".into(),
            |s| s.inputs[0].digest = Digest::of(b"3"),
            |s| s.inputs[0].kind = InputKind::Tree,
        ];
        for edit in edits {
            let mut other = spec();
            edit(&mut other);
            assert_ne!(other.key(), base);
        }
        let mut moved = spec();
        moved.inputs[0].name = "a".into();
        moved.inputs[1].name = "bc".into();
        assert_ne!(moved.key(), base);
    }
}
