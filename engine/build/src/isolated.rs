//! A command of the manifest in a fresh folder that holds its inputs alone, isolated as far as it can be. Called by `stage.rs` and
//! `custom.rs`.

use crate::command::{Broken, Run, weight};
use crate::executor::{cancelled, internal};
use crate::manifest::stage_names;
use crate::sandbox::{INSIDE, View};
use bytes::Bytes;
use ptq_ir::Diagnostic;
use ptq_rule::{Blobs, Failure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// File of a command's folder with its parameters.
const PARAMETERS: &str = "parameters.json";
/// Level of isolation: bubblewrap.
pub(crate) const BUBBLEWRAP: &str = "bubblewrap";
/// Level of isolation: a folder of its own and a cleared environment.
pub(crate) const FOLDER: &str = "folder";
/// Files that a message names.
const NAMED: usize = 8;

/// Everything but the bytes of its inputs that decides a command's result; the parameters of its action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) command: Vec<String>,
    pub(crate) parameters: BTreeMap<String, serde_json::Value>,
    pub(crate) outputs: Vec<String>,
    pub(crate) tools: BTreeMap<String, String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) sandbox: String,
    pub(crate) network: bool,
    pub(crate) mount: Vec<String>,
}

/// What a command may take; not part of what decides its result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    /// When it is ended.
    pub(crate) time_limit: Duration,
    /// Most bytes in its folder.
    pub(crate) max_output: u64,
    /// The project, which the sandbox hides.
    pub(crate) root: PathBuf,
}

/// A command to run.
pub(crate) struct Isolated<'a> {
    /// What it is, as messages name it.
    pub(crate) title: String,
    /// What decides its result.
    pub(crate) recipe: &'a Recipe,
    /// What it may take.
    pub(crate) limits: &'a Limits,
    /// A folder of its own, made anew.
    pub(crate) base: &'a Path,
    /// Whether nobody wants its result any more.
    pub(crate) cancelled: &'a dyn Fn() -> bool,
}

impl Isolated<'_> {
    /// A problem with it, under its title.
    pub(crate) fn problem(&self, code: &str, why: &str) -> Diagnostic {
        Diagnostic::error(code, format!("{}: {why}", self.title))
    }

    fn io(&self, path: &Path, e: &std::io::Error) -> Failure {
        self.problem("STAGE03", &format!("{}: {e}", path.display())).into()
    }

    /// Runs the command on these inputs, by their path in its folder, and takes its outputs.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) fn run(&self, inputs: &Blobs) -> Result<Blobs, Failure> {
        let (folder, home) = (self.base.join("work"), self.base.join("home"));
        let _ = fs::remove_dir_all(self.base);
        for dir in [&folder, &home] {
            fs::create_dir_all(dir).map_err(|e| self.io(dir, &e))?;
        }
        for (name, bytes) in inputs {
            self.write(&folder.join(name), bytes)?;
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
            let view = View { folder: &folder, mount: &mount, hidden: &self.limits.root, network: self.recipe.network };
            view.wrap(&self.recipe.command)
        } else {
            self.recipe.command.iter().map(OsString::from).collect()
        };
        let run = Run {
            words: &words,
            folder: &folder,
            env: &env,
            time_limit: self.limits.time_limit,
            max_bytes: self.limits.max_output,
            cancelled: self.cancelled,
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
        if total > self.limits.max_output {
            let why = format!("its folder holds {total} bytes, more than max_output {}", self.limits.max_output);
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
