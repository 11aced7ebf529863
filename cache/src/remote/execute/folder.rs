//! Input trees: folders of digests, bottom up.

use crate::remote::digest::RemoteDigest;
use crate::remote::proto::{Directory, DirectoryNode, FileNode};
use crate::remote::source::BlobSource;
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeMap;

/// A folder that is being put together. Names are plain: neither empty nor with a slash.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    files: BTreeMap<String, (RemoteDigest, bool)>,
    folders: BTreeMap<String, Bytes>,
    below: Vec<Bytes>,
}

impl Folder {
    /// Adds a file.
    pub fn file(&mut self, name: &str, digest: RemoteDigest, executable: bool) {
        self.files.insert(name.to_owned(), (digest, executable));
    }

    /// Adds a folder of files that is encoded already.
    pub fn folder(&mut self, name: &str, directory: Bytes) {
        self.folders.insert(name.to_owned(), directory);
    }

    /// Adds a folder with everything below it.
    pub fn nested(&mut self, name: &str, folder: Folder) {
        let directory: Bytes = folder.encode().into();
        self.below.extend(folder.below.into_iter().chain(folder.folders.into_values()));
        self.folders.insert(name.to_owned(), directory);
    }

    fn encode(&self) -> Vec<u8> {
        let file = |(name, (digest, is_executable)): (&String, &(RemoteDigest, bool))| FileNode {
            name: name.clone(),
            digest: Some(digest.to_proto()),
            is_executable: *is_executable,
            ..FileNode::default()
        };
        let folder = |(name, bytes): (&String, &Bytes)| DirectoryNode {
            name: name.clone(),
            digest: Some(RemoteDigest::of(bytes).to_proto()),
        };
        Directory {
            files: self.files.iter().map(file).collect(),
            directories: self.folders.iter().map(folder).collect(),
            ..Directory::default()
        }
        .encode_to_vec()
    }

    /// Adds the folder's own blobs and those of all folders below it; returns its digest.
    pub(crate) fn blobs(&self, out: &mut Vec<(RemoteDigest, BlobSource)>) -> RemoteDigest {
        let own: Bytes = self.encode().into();
        let digest = RemoteDigest::of(&own);
        let all = self.below.iter().chain(self.folders.values()).cloned().chain([own]);
        out.extend(all.map(|bytes| (RemoteDigest::of(&bytes), BlobSource::Bytes(bytes))));
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_brings_every_folder_and_names_decide_its_digest() {
        let tree = |name: &str| {
            let (mut root, mut results) = (Folder::default(), Folder::default());
            results.folder("0", crate::remote::input_root([("r".to_owned(), RemoteDigest::of(b"r"))]).into());
            root.nested(name, results);
            let mut blobs = Vec::new();
            (root.blobs(&mut blobs), blobs.len())
        };
        assert_eq!(tree("results").1, 3);
        assert_ne!(tree("results").0, tree("other").0);
    }
}
