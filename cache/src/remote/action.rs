//! The cache action: the name under which a result is stored and looked up, the same for every build of the program and
//! every platform.

use super::digest::RemoteDigest;
use super::name::file_name;
use super::proto::{Action, Command, Directory, FileNode};
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeMap;

/// First argument of every command; a change of this form is a new word.
const FORM: &str = "ptq-action-v1";

/// What a rule is called with, apart from its inputs.
#[derive(Clone, Copy, Debug)]
pub struct RuleCall<'a> {
    /// Rule.
    pub rule: &'a str,
    /// Its version.
    pub version: u32,
    /// Version of the meaning that rules share.
    pub semantics: u32,
    /// Hash of the rules' sources, where they are not the released ones.
    pub sources: Option<&'a str>,
    /// Platform, where the result is a program's of the user and not a rule's.
    pub platform: Option<&'a str>,
    /// Canonical parameters.
    pub params: &'a str,
}

/// An action with everything that names it. Its blobs go to the server before its result.
#[derive(Clone, Debug)]
pub struct CacheAction {
    /// Digest of the action: the key.
    pub digest: RemoteDigest,
    /// The action's bytes.
    pub action: Bytes,
    /// The command's bytes.
    pub command: Bytes,
    /// Digest of the input root: a flat folder, inputs under [`file_name`] of their names.
    pub root_digest: RemoteDigest,
    /// The input root's bytes.
    pub root: Bytes,
}

impl CacheAction {
    /// The action of a call on inputs by name; the same for any order of inputs.
    pub fn new(call: RuleCall<'_>, inputs: impl IntoIterator<Item = (String, RemoteDigest)>) -> CacheAction {
        let root = input_root(inputs);
        let mut arguments = vec![
            FORM.to_owned(),
            call.rule.to_owned(),
            format!("--version={}", call.version),
            format!("--semantics={}", call.semantics),
            format!("--params={}", call.params),
        ];
        arguments.extend(call.sources.map(|hash| format!("--sources={hash}")));
        arguments.extend(call.platform.map(|name| format!("--platform={name}")));
        let command = Command { arguments, ..Command::default() }.encode_to_vec();
        let root_digest = RemoteDigest::of(&root);
        let action = Action {
            command_digest: Some(RemoteDigest::of(&command).to_proto()),
            input_root_digest: Some(root_digest.to_proto()),
            ..Action::default()
        }
        .encode_to_vec();
        let digest = RemoteDigest::of(&action);
        CacheAction { digest, action: action.into(), command: command.into(), root_digest, root: root.into() }
    }

    /// The blobs that the action consists of.
    pub fn blobs(&self) -> [(RemoteDigest, Bytes); 3] {
        [
            (RemoteDigest::of(&self.command), self.command.clone()),
            (self.root_digest, self.root.clone()),
            (self.digest, self.action.clone()),
        ]
    }
}

/// Bytes of a flat folder of inputs, sorted by file name as the API demands.
pub fn input_root(inputs: impl IntoIterator<Item = (String, RemoteDigest)>) -> Vec<u8> {
    let files: BTreeMap<String, RemoteDigest> = inputs.into_iter().map(|(n, d)| (file_name(&n), d)).collect();
    let node = |(name, digest): (String, RemoteDigest)| FileNode {
        name,
        digest: Some(digest.to_proto()),
        ..FileNode::default()
    };
    Directory { files: files.into_iter().map(node).collect(), ..Directory::default() }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> RuleCall<'static> {
        RuleCall { rule: "fuse", version: 3, semantics: 2, sources: None, platform: None, params: "{}" }
    }

    fn inputs() -> Vec<(String, RemoteDigest)> {
        vec![("b/c".into(), RemoteDigest::of(b"1")), ("a".into(), RemoteDigest::of(b"2"))]
    }

    #[test]
    fn every_field_names_the_action_and_order_does_not() {
        let base = CacheAction::new(call(), inputs()).digest;
        assert_eq!(CacheAction::new(call(), inputs().into_iter().rev()).digest, base);
        let calls = [
            RuleCall { rule: "fusee", ..call() },
            RuleCall { version: 4, ..call() },
            RuleCall { semantics: 3, ..call() },
            RuleCall { sources: Some("x"), ..call() },
            RuleCall { platform: Some("x"), ..call() },
            RuleCall { params: "{ }", ..call() },
        ];
        for other in calls {
            assert_ne!(CacheAction::new(other, inputs()).digest, base, "{other:?}");
        }
        let mut renamed = inputs();
        renamed[0].0 = "b.c".into();
        let mut changed = inputs();
        changed[0].1 = RemoteDigest::of(b"3");
        for other in [renamed, changed, Vec::new()] {
            assert_ne!(CacheAction::new(call(), other).digest, base);
        }
    }

    /// Old results stay of use only while the form stays; a change of it must be meant.
    #[test]
    fn the_form_is_pinned() {
        let hex = CacheAction::new(call(), inputs()).digest.hex();
        assert_eq!(hex, "2d630b6cfdca908b660225fca973551141ac95a56b2ed9debda3422e71682f1c");
    }
}
