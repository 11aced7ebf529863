//! External stages: commands of the manifest as actions of ours. The scan makes a [`Plan`] of each, the queries an action of the plan,
//! the executor runs it here.
//!
//! A command runs in a fresh folder that holds its declared inputs alone. What it can depend on is in the action's key: its words
//! and parameters, digests of its inputs, values of its variables, what its tools say of themselves, and the level of isolation.

use crate::action::{ActionInput, ActionSpec, InputKind};
use crate::command::{Broken, Run, weight};
use crate::executor::{Executor, LOST, cancelled, internal};
use crate::manifest::{STAGE_PREFIX, Sandbox, StageConfig, stage_names, staged};
use crate::sandbox::{INSIDE, View};
use crate::sources::Scan;
use crate::tools::Answer;
use bytes::Bytes;
use ptq_cache::{Digest, Store};
use ptq_ir::Diagnostic;
use ptq_rule::{Blobs, Failure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Version of how commands are run.
const VERSION: u32 = 1;
/// File of a command's folder with its parameters.
const PARAMETERS: &str = "parameters.json";
/// Level of isolation: bubblewrap.
const BUBBLEWRAP: &str = "bubblewrap";
/// Level of isolation: a folder of its own and a cleared environment.
const FOLDER: &str = "folder";
/// Files that a message names.
const NAMED: usize = 8;

/// Everything but the bytes of its inputs that decides a command's result; the parameters of its action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Recipe {
    command: Vec<String>,
    parameters: BTreeMap<String, serde_json::Value>,
    outputs: Vec<String>,
    tools: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    sandbox: String,
    network: bool,
    mount: Vec<String>,
}

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
    time_limit: u64,
    max_output: u64,
    root: PathBuf,
}

impl Plan {
    /// Digest of what the scan knows of it.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(format!("{:?}", (&self.recipe, &self.inputs)).as_bytes())
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

    fn plan(&mut self, root: &Path, stage: &StageConfig, store: &Store) -> Result<Plan, (&'static str, Diagnostic)> {
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
        Ok(Plan { recipe, inputs, time_limit: stage.time_limit, max_output: stage.max_output, root })
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
    let result = Running { executor, name, recipe: &recipe, plan, base: &base }.run(&spec.inputs);
    let _ = fs::remove_dir_all(&base);
    result
}

struct Running<'a> {
    executor: &'a Executor<'a>,
    name: &'a str,
    recipe: &'a Recipe,
    plan: &'a Plan,
    base: &'a Path,
}

impl Running<'_> {
    fn problem(&self, code: &str, why: &str) -> Diagnostic {
        Diagnostic::error(code, format!("stage {}: {why}", self.name))
    }

    fn io(&self, path: &Path, e: &std::io::Error) -> Failure {
        self.problem("STAGE03", &format!("{}: {e}", path.display())).into()
    }

    fn run(&self, inputs: &[ActionInput]) -> Result<Blobs, Failure> {
        let (folder, home) = (self.base.join("work"), self.base.join("home"));
        let _ = fs::remove_dir_all(self.base);
        for dir in [&folder, &home] {
            fs::create_dir_all(dir).map_err(|e| self.io(dir, &e))?;
        }
        for input in inputs.iter().filter(|i| i.kind == InputKind::Blob) {
            let bytes = self.executor.bytes(&input.digest).ok_or_else(|| {
                let why = format!("its input {} is no longer what it was", input.name);
                Failure::from(self.problem(LOST, &why).hint("build again"))
            })?;
            self.write(&folder.join(&input.name), &bytes)?;
        }
        if !self.recipe.parameters.is_empty() {
            let json = serde_json::to_vec(&self.recipe.parameters).map_err(|e| internal(&e.to_string()))?;
            self.write(&folder.join(PARAMETERS), &json)?;
        }
        self.command(&folder, &home)?;
        self.outputs(&folder)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let parent = path.parent().unwrap_or(self.base);
        fs::create_dir_all(parent).map_err(|e| self.io(parent, &e))?;
        let written =
            fs::write(path, bytes).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)));
        written.map_err(|e| self.io(path, &e))
    }

    fn command(&self, folder: &Path, home: &Path) -> Result<(), Failure> {
        let absolute = |path: &Path| path.canonicalize().map_err(|e| self.io(path, &e));
        let (folder, home) = (absolute(folder)?, absolute(home)?);
        let boxed = self.recipe.sandbox == BUBBLEWRAP;
        let home = if boxed { "/tmp".to_owned() } else { home.to_string_lossy().into_owned() };
        let mut env = BTreeMap::from([("HOME", home.clone()), ("TMPDIR", home), ("LC_ALL", "C.UTF-8".to_owned())])
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect::<BTreeMap<_, _>>();
        env.extend(self.recipe.env.clone());
        let words: Vec<OsString> = if boxed {
            let mount: Vec<PathBuf> = self.recipe.mount.iter().map(PathBuf::from).collect();
            let view = View { folder: &folder, mount: &mount, hidden: &self.plan.root, network: self.recipe.network };
            view.wrap(&self.recipe.command)
        } else {
            self.recipe.command.iter().map(OsString::from).collect()
        };
        let session = self.executor.session;
        let run = Run {
            words: &words,
            folder: &folder,
            env: &env,
            time_limit: Duration::from_secs(self.plan.time_limit),
            max_bytes: self.plan.max_output,
            cancelled: &|| session.cancelled(),
        };
        let shown = self.recipe.command.join(" ");
        run.run().map(drop).map_err(|broken| {
            let seen = if boxed {
                format!("it saw its declared inputs in {INSIDE}, the system's programs, and what mount names")
            } else {
                "it saw its declared inputs and variables alone".to_owned()
            };
            match broken {
                Broken::Cancelled => cancelled(),
                Broken::Large(_) => {
                    self.problem("STAGE06", &format!("{shown:?} {broken}")).hint("raise max_output").into()
                }
                Broken::Late(..) => {
                    self.problem("STAGE04", &format!("{shown:?} {broken}")).hint("raise time_limit").into()
                }
                _ => self.problem("STAGE04", &format!("{shown:?} {broken}")).hint(seen).into(),
            }
        })
    }

    /// The declared files of the folder; every one must be there and be a file of its own.
    fn outputs(&self, folder: &Path) -> Result<Blobs, Failure> {
        let total = weight(folder);
        if total > self.plan.max_output {
            let why = format!("its folder holds {total} bytes, more than max_output {}", self.plan.max_output);
            return Err(self.problem("STAGE06", &why).hint("raise max_output").into());
        }
        let mut found = Vec::new();
        list(folder, "", &mut found).map_err(|e| self.io(folder, &e))?;
        let mut out = Blobs::new();
        for pattern in &self.recipe.outputs {
            let mut any = false;
            for (name, plain) in found.iter().filter(|(name, _)| stage_names(pattern, name)) {
                any = true;
                if !plain {
                    let why = format!("its output {name} is a link or a special file");
                    return Err(self.problem("STAGE05", &why).hint("outputs are files of their own").into());
                }
                let path = folder.join(name);
                out.insert(name.clone(), Bytes::from(fs::read(&path).map_err(|e| self.io(&path, &e))?));
            }
            if !any {
                let names: Vec<&str> = found.iter().take(NAMED).map(|(name, _)| name.as_str()).collect();
                let why = format!("it made no {pattern}; its folder holds {}", names.join(", "));
                return Err(self.problem("STAGE05", &why).hint("outputs are paths in the folder where it runs").into());
            }
        }
        Ok(out)
    }
}

/// Everything below a folder but its folders, and whether it is a plain file. Links are not followed.
fn list(dir: &Path, prefix: &str, out: &mut Vec<(String, bool)>) -> std::io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), &name, out)?;
        } else {
            out.push((name, kind.is_file()));
        }
    }
    Ok(())
}
