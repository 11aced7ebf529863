//! External stages: commands of the manifest as actions of ours. The scan makes a [`Plan`] of each, the queries an action of the plan,
//! the executor runs it here.
//!
//! A command runs in a fresh folder that holds its declared inputs alone. What it can depend on is in the action's key: its words
//! and parameters, digests of its inputs, values of its variables, what its tools say of themselves, and the level of isolation.

use crate::action::{ActionInput, ActionSpec, InputKind};
use crate::executor::{Executor, LOST, internal};
use crate::isolated::{BUBBLEWRAP, FOLDER, Isolated, Limits, Recipe};
use crate::manifest::{STAGE_PREFIX, Sandbox, StageConfig, stage_names, staged};
use crate::sources::Scan;
use crate::tools::Answer;
use ptq_cache::{Digest, Store};
use ptq_ir::Diagnostic;
use ptq_rule::{Blobs, Failure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Version of how commands are run.
const VERSION: u32 = 1;
/// Where an input's bytes come from.
#[derive(Clone, Debug, PartialEq)]
enum From {
    File(Digest),
    /// A stage, and the file that it makes.
    Stage(String, String),
}

/// A stage as the scan found it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    recipe: String,
    /// Inputs by their path in the command's folder.
    inputs: BTreeMap<String, From>,
    /// What its program may take.
    pub(crate) limits: Limits,
}

impl Plan {
    /// Digest of what the scan knows of it.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(format!("{:?}", (&self.recipe, &self.inputs)).as_bytes())
    }

    /// What decides its result beside its inputs.
    pub(crate) fn recipe(&self) -> Result<Recipe, Failure> {
        serde_json::from_str(&self.recipe).map_err(|e| internal(&e.to_string()))
    }

    /// Its inputs that are files, by their path in the command's folder.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&String, Digest)> {
        self.inputs.iter().filter_map(|(path, from)| match from {
            From::File(digest) => Some((path, *digest)),
            From::Stage(..) => None,
        })
    }

    /// Names of the stages that it reads.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &str> {
        self.inputs.values().filter_map(|from| match from {
            From::File(_) => None,
            From::Stage(name, _) => Some(name.as_str()),
        })
    }

    /// Its action; `None` while a stage that it reads has no result. `part` gives a file of a stage.
    pub(crate) fn action(&self, name: &str, part: impl Fn(&str, &str) -> Option<Digest>) -> Option<ActionSpec> {
        let input = |(path, from): (&String, &From)| {
            let digest = match from {
                From::File(digest) => *digest,
                From::Stage(stage, file) => part(stage, file)?,
            };
            Some(ActionInput::blob(path, digest))
        };
        let inputs = self.inputs.iter().map(input).collect::<Option<Vec<_>>>()?;
        Some(ActionSpec {
            rule: format!("{STAGE_PREFIX}{name}"),
            version: VERSION,
            params: self.recipe.clone(),
            inputs,
        })
    }
}

impl Scan {
    /// Plans a stage and the stages that it reads; what prevents it is a problem of `stage:NAME`.
    pub(crate) fn stage(&mut self, root: &Path, stages: &BTreeMap<String, StageConfig>, name: &str, store: &Store) {
        let key = format!("{STAGE_PREFIX}{name}");
        let Some(stage) = stages.get(name) else { return };
        // The manifest refuses circles.
        for read in stage.reads() {
            self.stage(root, stages, read, store);
        }
        if !self.looked.contains(&key) {
            self.looked.push(key.clone());
        }
        if self.stages.contains_key(name) || self.problems.contains_key(&key) {
            return;
        }
        match self.plan(root, stage, store) {
            Ok(plan) => drop(self.stages.insert(name.to_owned(), plan)),
            Err((at, mut d)) => {
                d.message = format!("stage {name}: {}", d.message);
                d.place.line = Some(stage.lines.get(at).copied().unwrap_or(stage.line));
                self.problems.insert(key, d);
            }
        }
    }

    pub(crate) fn plan(
        &mut self,
        root: &Path,
        stage: &StageConfig,
        store: &Store,
    ) -> Result<Plan, (&'static str, Diagnostic)> {
        let problem = |why: String| Diagnostic::error("STAGE01", why);
        let mut inputs = BTreeMap::new();
        for pattern in &stage.inputs {
            if let Some((other, file)) = staged(pattern) {
                inputs.insert(format!("{other}/{file}"), From::Stage(other.to_owned(), file.to_owned()));
                continue;
            }
            let files = self.declared(root, pattern);
            if files.is_empty() {
                let d = problem(format!("there is no input {pattern}"));
                return Err((
                    "inputs",
                    d.hint("paths are relative to the manifest; names that begin with a dot are passed over"),
                ));
            }
            for (name, path) in files {
                let digest = self.digest(&path, &name, store);
                let digest = digest.ok_or_else(|| ("inputs", problem(format!("cannot read its input {name}"))))?;
                inputs.insert(name, From::File(digest));
            }
        }
        let mut tools = BTreeMap::new();
        for tool in &stage.tools {
            let shown = tool.join(" ");
            let said = self.ask(tool, root).map_err(|why| {
                let d = problem(format!("the tool {shown:?} {why}"));
                ("tools", d.hint("name a command that prints its version, or remove it from tools"))
            })?;
            tools.insert(shown, said);
        }
        let root = root.canonicalize().map_err(|e| ("", problem(e.to_string())))?;
        let absolute = |folder: &String| root.join(folder).to_string_lossy().into_owned();
        let recipe = Recipe {
            command: stage.command.clone(),
            parameters: stage.parameters.clone(),
            outputs: stage.outputs.clone(),
            tools,
            env: stage.env.iter().filter_map(|(k, v)| Some((k.clone(), v.clone()?))).collect(),
            sandbox: self.level(stage.sandbox, &root)?.to_owned(),
            network: stage.network,
            mount: stage.mount.iter().map(absolute).collect(),
        };
        let recipe = serde_json::to_string(&recipe).map_err(|e| ("", problem(e.to_string())))?;
        let time_limit = Duration::from_secs(stage.time_limit);
        Ok(Plan { recipe, inputs, limits: Limits { time_limit, max_output: stage.max_output, root } })
    }

    /// The level of isolation that a wish reaches here.
    fn level(&mut self, wish: Sandbox, root: &Path) -> Result<&'static str, (&'static str, Diagnostic)> {
        if wish == Sandbox::Off {
            return Ok(FOLDER);
        }
        match self.ask(&crate::sandbox::probe(), root) {
            Ok(_) => Ok(BUBBLEWRAP),
            Err(_) if wish == Sandbox::BestEffort => Ok(FOLDER),
            Err(why) => {
                let d = Diagnostic::error("STAGE02", format!("sandbox = \"required\", but bwrap {why}"));
                Err(("sandbox", d.hint("install bubblewrap, or set sandbox = \"best-effort\"")))
            }
        }
    }

    /// What a command says, asked once a scan.
    fn ask(&mut self, words: &[String], root: &Path) -> Result<String, String> {
        let answer = self.answers.entry(words.to_vec()).or_insert_with(|| Answer::of(words, root));
        self.seen.extend(answer.file());
        answer.said.clone()
    }

    /// Files that an input names, by the path that the command sees: a file, a folder with all below it, a pattern.
    fn declared(&mut self, root: &Path, pattern: &str) -> Vec<(String, PathBuf)> {
        let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
        let mut out = Vec::new();
        let path = root.join(pattern);
        if path.is_dir() {
            self.walk(&path, pattern, &|_| true, &mut out);
        } else if pattern.contains('*') {
            let (folder, _) = pattern.rsplit_once('/').unwrap_or(("", pattern));
            self.walk(&root.join(folder), folder, &|name| stage_names(pattern, name), &mut out);
        } else if path.is_file() {
            out.push((pattern.to_owned(), path));
        } else {
            self.seen.push(path);
        }
        out.sort();
        out
    }
}

/// Whether a rule's name is an external stage's; gives the stage's.
pub(crate) fn name_of(rule: &str) -> Option<&str> {
    rule.strip_prefix(STAGE_PREFIX)
}

/// Runs a stage's command and takes its outputs.
pub(crate) fn run(executor: &Executor<'_>, name: &str, spec: &ActionSpec) -> Result<Blobs, Failure> {
    let recipe: Recipe = serde_json::from_str(&spec.params).map_err(|e| internal(&e.to_string()))?;
    let plan = executor.scan.stages.get(name).ok_or_else(|| internal(&format!("stage {name} has no plan")))?;
    let aside = format!("stage-{}-{}", std::process::id(), spec.key().short());
    let base = executor.session.store.temporary(&aside).map_err(|e| internal(&e.to_string()))?;
    let session = executor.session;
    let (title, cancelled) = (format!("stage {name}"), || session.cancelled());
    let isolated = Isolated { title, recipe: &recipe, limits: &plan.limits, base: &base, cancelled: &cancelled };
    let result = inputs(executor, &isolated, &spec.inputs).and_then(|inputs| isolated.run(&inputs));
    let _ = fs::remove_dir_all(&base);
    result
}

/// Bytes of a stage's inputs by their path.
fn inputs(executor: &Executor<'_>, isolated: &Isolated<'_>, inputs: &[ActionInput]) -> Result<Blobs, Failure> {
    let mut out = Blobs::new();
    for input in inputs.iter().filter(|i| i.kind == InputKind::Blob) {
        let bytes = executor.bytes(&input.digest).ok_or_else(|| {
            let why = format!("its input {} is no longer what it was", input.name);
            Failure::from(isolated.problem(LOST, &why).hint("build again"))
        })?;
        out.insert(input.name.clone(), bytes);
    }
    Ok(out)
}
