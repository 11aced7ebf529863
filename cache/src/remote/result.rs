//! Results on their way to and from servers: one value format for every back end, an encoded REAPI `ActionResult`.

use super::digest::RemoteDigest;
use super::error::{ErrorKind, RemoteError};
use super::name::{file_name, name_of_file};
use super::proto::{self, Any, ExecutedActionMetadata, OutputFile, Timestamp};
use crate::action_result::{Output, tree_bytes, tree_entries};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Type of the entry that holds the store's own tree: names, BLAKE3 digests and sizes.
pub(crate) const TREE_TYPE: &str = "ptq/tree-v1";
/// Largest blob that is taken from a server.
pub const MAX_BLOB: u64 = 4 << 30;
/// Most bytes of all blobs of one result.
pub const MAX_RESULT: u64 = 16 << 30;
/// Most outputs of one result.
const MAX_OUTPUTS: usize = 1_000_000;

/// One output of a remote result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteOutput {
    /// Name, unique in its result.
    pub name: String,
    /// Digest that the server knows it by.
    pub digest: RemoteDigest,
    /// The store's digest, where the result says it; checked when the bytes are here.
    pub local: Option<crate::Digest>,
}

/// Who made a result, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Who.
    pub worker: String,
    /// How long the rule ran.
    pub took: Option<Duration>,
    /// When it was done.
    pub at: Option<SystemTime>,
}

/// A result as a message, without a signature.
pub fn to_message(outputs: &[RemoteOutput], made: &Provenance) -> proto::ActionResult {
    let mut sorted: Vec<&RemoteOutput> = outputs.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let file = |o: &&RemoteOutput| OutputFile {
        path: file_name(&o.name),
        digest: Some(o.digest.to_proto()),
        ..OutputFile::default()
    };
    let entry = |o: &&RemoteOutput| Some(Output { name: o.name.clone(), digest: o.local?, size: o.digest.size });
    let tree: Option<Vec<Output>> = sorted.iter().map(entry).collect();
    let auxiliary_metadata =
        tree.map(|t| Any { type_url: TREE_TYPE.into(), value: tree_bytes(&t) }).into_iter().collect();
    let stamp = |at: SystemTime| {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp { seconds: i64::try_from(since.as_secs()).unwrap_or(0), nanos: since.subsec_nanos() as i32 }
    };
    let began = made.at.zip(made.took).and_then(|(at, took)| at.checked_sub(took));
    proto::ActionResult {
        output_files: sorted.iter().map(file).collect(),
        execution_metadata: Some(ExecutedActionMetadata {
            worker: made.worker.clone(),
            execution_start_timestamp: began.map(stamp),
            execution_completed_timestamp: made.at.map(stamp),
            auxiliary_metadata,
            ..ExecutedActionMetadata::default()
        }),
        ..proto::ActionResult::default()
    }
}

/// The outputs of a result from a server, in name order, after all checks that need no bytes: it succeeded, holds plain
/// files with safe names only, and is not larger than [`MAX_BLOB`] and [`MAX_RESULT`] allow.
///
/// # Errors
/// [`ErrorKind::Poisoned`] with what is wrong.
pub fn outputs(result: &proto::ActionResult) -> Result<Vec<RemoteOutput>, RemoteError> {
    let wrong = |what: &str| RemoteError::new(ErrorKind::Poisoned, format!("a result {what}"));
    if result.exit_code != 0 {
        return Err(wrong(&format!("of a command that ended with {}", result.exit_code)));
    }
    let links = [&result.output_symlinks, &result.output_file_symlinks, &result.output_directory_symlinks];
    if links.iter().any(|l| !l.is_empty()) || !result.output_directories.is_empty() {
        return Err(wrong("with links or folders"));
    }
    if result.output_files.len() > MAX_OUTPUTS {
        return Err(wrong("with too many files"));
    }
    let mut found: BTreeMap<String, RemoteOutput> = BTreeMap::new();
    let mut total = 0u64;
    for file in &result.output_files {
        let shown: String = file.path.chars().take(80).collect();
        let name = name_of_file(&file.path).ok_or_else(|| wrong(&format!("with the path {shown:?}")))?;
        let digest = file.digest.as_ref().and_then(RemoteDigest::from_proto);
        let digest = digest.ok_or_else(|| wrong(&format!("without a digest of {shown:?}")))?;
        total = total.saturating_add(digest.size);
        if digest.size > MAX_BLOB || total > MAX_RESULT {
            return Err(wrong(&format!("of {total} bytes and more")));
        }
        if found.insert(name.clone(), RemoteOutput { name, digest, local: None }).is_some() {
            return Err(wrong(&format!("with two files {shown:?}")));
        }
    }
    if let Some(bytes) = metadata(result, TREE_TYPE) {
        let tree = tree_entries(bytes).ok_or_else(|| wrong("with a damaged tree"))?;
        let fits = |o: &Output| found.get(&o.name).is_some_and(|f| f.digest.size == o.size);
        if tree.len() != found.len() || !tree.iter().all(fits) {
            return Err(wrong("whose tree is another's"));
        }
        for entry in tree {
            if let Some(output) = found.get_mut(&entry.name) {
                output.local = Some(entry.digest);
            }
        }
    }
    Ok(found.into_values().collect())
}

/// Who made a result, as far as it says.
pub fn provenance(result: &proto::ActionResult) -> Provenance {
    let Some(data) = &result.execution_metadata else { return Provenance::default() };
    let time = |t: &Option<Timestamp>| {
        let t = t.as_ref()?;
        let since = Duration::new(u64::try_from(t.seconds).ok()?, u32::try_from(t.nanos).ok()?.min(999_999_999));
        UNIX_EPOCH.checked_add(since)
    };
    let (began, at) = (time(&data.execution_start_timestamp), time(&data.execution_completed_timestamp));
    let took = began.zip(at).and_then(|(a, b)| b.duration_since(a).ok());
    let worker = data.worker.chars().filter(|c| !c.is_control()).take(120).collect();
    Provenance { worker, took, at }
}

/// The first entry of this type that clients added.
pub(crate) fn metadata<'a>(result: &'a proto::ActionResult, type_url: &str) -> Option<&'a [u8]> {
    let added = &result.execution_metadata.as_ref()?.auxiliary_metadata;
    added.iter().find(|any| any.type_url == type_url).map(|any| any.value.as_slice())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Digest;

    fn output(name: &str, bytes: &[u8]) -> RemoteOutput {
        RemoteOutput { name: name.into(), digest: RemoteDigest::of(bytes), local: Some(Digest::of(bytes)) }
    }

    #[test]
    fn a_result_returns_with_both_digests_and_who_made_it() {
        let made = Provenance {
            worker: "host".into(),
            took: Some(Duration::from_millis(1500)),
            at: Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
        };
        let (a, b) = (output("a/b", b"1"), output("z", b"22"));
        let message = to_message(&[b.clone(), a.clone()], &made);
        assert_eq!(outputs(&message).unwrap(), [a, b]);
        assert_eq!(provenance(&message), made);
    }

    #[test]
    fn results_that_lead_elsewhere_or_claim_too_much_are_refused() {
        let good = to_message(&[output("a", b"1")], &Provenance::default());
        type Edit = fn(&mut proto::ActionResult);
        let edits: [(&str, Edit); 9] = [
            ("absolute", |r| r.output_files[0].path = "/etc/passwd".into()),
            ("parent", |r| r.output_files[0].path = "../x".into()),
            ("escaped parent", |r| r.output_files[0].path = "%2E%2E%2Fx".into()),
            ("link", |r| r.output_symlinks.push(proto::OutputSymlink::default())),
            ("folder", |r| r.output_directories.push(proto::OutputDirectory::default())),
            ("huge", |r| r.output_files[0].digest.as_mut().unwrap().size_bytes = i64::MAX),
            ("no digest", |r| r.output_files[0].digest = None),
            ("failed", |r| r.exit_code = 3),
            ("twice", |r| r.output_files.push(r.output_files[0].clone())),
        ];
        for (what, edit) in edits {
            let mut bad = good.clone();
            edit(&mut bad);
            assert_eq!(outputs(&bad).unwrap_err().kind, ErrorKind::Poisoned, "{what}");
        }
        let mut other = good;
        other.output_files[0].digest = Some(RemoteDigest::of(b"333").to_proto());
        assert!(outputs(&other).is_err(), "a tree of other sizes");
    }
}
