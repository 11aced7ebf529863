//! One step of an action as an execution: the input tree, the command line, what it asks of the worker.

use super::{Blob, Cluster, resources};
use crate::action::{ActionSpec, own_sources};
use crate::executor::{Executor, internal};
use crate::worker::files::{FORMAT, Named, REQUEST, Request};
use bytes::Bytes;
use ptq_cache::remote::{BlobSource, Execution, Folder, RemoteDigest};
use ptq_rule::Failure;
use std::collections::BTreeMap;
use std::time::Duration;

/// The program's name in the root.
const PROGRAM: &str = "ptq";
/// Folder of outputs.
const OUTPUT: &str = "out";
/// Inputs that a rule only hands on to the actions that it asks for: they do not travel with it, its worker says so
/// where it does read one.
const HANDED_ON: [(&str, &str); 2] = [("calibrate", ptq_sample::SAMPLE_PREFIX), ("merge", ptq_sample::SAMPLE_PREFIX)];

/// Everything that decides a step.
pub(super) struct StepOf<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) executor: &'a Executor<'a>,
    pub(super) spec: &'a ActionSpec,
    pub(super) own: &'a [Blob],
    pub(super) results: &'a [Vec<Blob>],
    /// Whether inputs travel that the rule only hands on.
    pub(super) whole: bool,
    pub(super) forced: bool,
}

impl StepOf<'_> {
    fn travels(&self, name: &str) -> bool {
        let handed = |(rule, prefix): &(&str, &str)| *rule == self.spec.rule && name.starts_with(prefix);
        self.whole || !HANDED_ON.iter().any(handed)
    }

    /// The execution of this step.
    pub(super) fn execution(&self) -> Result<Execution, Failure> {
        let mut blobs = Vec::new();
        let mut root = Folder::default();
        let (mut files, mut inputs) = (Folder::default(), Vec::with_capacity(self.own.len()));
        for (i, blob) in self.own.iter().enumerate() {
            let file = self.travels(&blob.name).then(|| i.to_string());
            if let Some(file) = &file {
                let (digest, source) = self.cluster.blob(self.executor, &blob.digest)?;
                files.file(file, digest, false);
                blobs.push((digest, source));
            }
            inputs.push((blob.name.clone(), file.map(|f| format!("in/{f}"))));
        }
        root.nested("in", files);
        let mut results: Vec<Vec<Named>> = Vec::with_capacity(self.results.len());
        let mut folders = Folder::default();
        for (i, result) in self.results.iter().enumerate() {
            let (mut files, mut named) = (Folder::default(), Vec::with_capacity(result.len()));
            for (j, blob) in result.iter().enumerate() {
                let (digest, source) = self.cluster.blob(self.executor, &blob.digest)?;
                files.file(&j.to_string(), digest, false);
                blobs.push((digest, source));
                named.push((blob.name.clone(), Some(format!("results/{i}/{j}"))));
            }
            folders.nested(&i.to_string(), files);
            results.push(named);
        }
        if !results.is_empty() {
            root.nested("results", folders);
        }
        let request = Request {
            format: FORMAT,
            rule: self.spec.rule.clone(),
            version: self.spec.version,
            semantics: ptq_rule::SEMANTICS,
            sources: own_sources().map(str::to_owned),
            params: self.spec.params.clone(),
            inputs,
            results,
        };
        let request: Bytes = serde_json::to_vec(&request).map_err(|e| internal(&e.to_string()))?.into();
        let digest = RemoteDigest::of(&request);
        root.file(REQUEST, digest, false);
        blobs.push((digest, BlobSource::Bytes(request)));
        let (digest, program) = self.cluster.program()?;
        root.file(PROGRAM, digest, true);
        let bytes = blobs.iter().map(|(d, _)| d.size).sum();
        blobs.push((digest, program));
        let config = &self.cluster.config;
        let needs = resources::of(&self.spec.rule, bytes, config.threads);
        let mut platform: BTreeMap<String, String> = config.platform.clone();
        platform.extend(config.cpu_property.iter().map(|name| (name.clone(), needs.threads.to_string())));
        platform.extend(config.memory_property.iter().map(|name| (name.clone(), needs.memory.to_string())));
        let word = |text: &str| text.to_owned();
        let threads = needs.threads.to_string();
        Ok(Execution {
            arguments: vec![
                format!("./{PROGRAM}"),
                word("exec-stage"),
                word("."),
                word(OUTPUT),
                word("--threads"),
                threads,
            ],
            root,
            blobs,
            output: word(OUTPUT),
            platform,
            time_limit: Duration::from_secs(config.time_limit),
            forced: self.forced,
        })
    }
}
