//! Runs one step of one action in a folder: `ptq exec-stage`, the command of actions that other machines execute.
//!
//! Reads [`files::Request`] and the files that it names, writes [`files::Answer`] and the files that it names. Knows the
//! rules of this program and nothing else: no store, clock, environment or network. The local executor runs the same
//! registry, so both give the same bytes.

pub(crate) mod files;

use crate::action::own_sources;
use crate::executor::guarded;
use crate::registry::Registry;
use bytes::Bytes;
use files::{ANSWER, Answer, FORMAT, REQUEST, Request, Wanted};
use ptq_ir::Diagnostic;
use ptq_rule::{Blobs, BuildRule, Context, Inputs, Memo, Silent, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Largest file with a request.
const MAX_REQUEST: u64 = 256 << 20;

/// How a step ended, for the process that ran it.
#[derive(Debug)]
#[non_exhaustive]
pub enum WorkerEnd {
    /// The answer is written: outputs, or what the next step needs.
    Answered,
    /// The rule found these problems; they are written too.
    Failed(Vec<Diagnostic>),
}

/// Why a worker cannot run a step at all. Another worker may.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The request is none.
    #[error("{REQUEST} does not describe a step: {0}")]
    Request(String),
    /// The worker's program is not the one that the asker's keys belong to.
    #[error("this worker is another program than the one that asks: {0}; give the workers the program that builds")]
    Program(String),
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> WorkerError + '_ {
    |source| WorkerError::Io { path: path.to_owned(), source }
}

/// Runs the step that `input` describes on up to `threads` threads and writes its answer to `output`, which is made.
///
/// # Errors
/// When the step cannot be run here; a failure of the rule is an answer.
pub fn exec_stage(registry: Registry, input: &Path, output: &Path, threads: usize) -> Result<WorkerEnd, WorkerError> {
    let request = read_request(input)?;
    let rule = rule_of(registry, &request)?;
    let inputs = Files::new(input, &request.inputs)?;
    let mut results = Vec::with_capacity(request.results.len());
    for result in &request.results {
        let files = Files::new(input, result)?;
        results.push(files.paths.iter().map(|(n, p)| Ok((n.clone(), read(p)?))).collect::<Result<Blobs, _>>()?);
    }
    let memo = Memo::default();
    let ctx = Context { inputs: &inputs, params: &request.params, progress: &Silent, threads, memo: &memo };
    let step = guarded(rule, &ctx, &results);
    fs::create_dir_all(output).map_err(io(output))?;
    let mut writer = Writer { folder: output, count: 0 };
    if let Some(error) = inputs.broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    let absent: Vec<String> = inputs.wanted.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
    let answer = match step {
        // What the rule made of a hole is nothing.
        _ if !absent.is_empty() => Answer::Absent(absent),
        Ok(Step::Done(blobs)) => {
            let write = |(name, bytes): (String, Bytes)| Ok((name, writer.blob(&bytes)?));
            Answer::Done(blobs.into_iter().map(write).collect::<Result<_, WorkerError>>()?)
        }
        Ok(Step::Need(requests)) => {
            let wanted = |r| Wanted::of(r, |bytes| writer.blob(bytes));
            Answer::Need(requests.iter().map(wanted).collect::<Result<_, WorkerError>>()?)
        }
        Err(failure) => Answer::Failed(failure.diagnostics),
    };
    let json = serde_json::to_vec(&answer).map_err(|e| WorkerError::Request(e.to_string()))?;
    writer.file(ANSWER, &json)?;
    Ok(match answer {
        Answer::Failed(problems) => WorkerEnd::Failed(problems),
        _ => WorkerEnd::Answered,
    })
}

fn read_request(input: &Path) -> Result<Request, WorkerError> {
    let path = input.join(REQUEST);
    let size = fs::metadata(&path).map_err(io(&path))?.len();
    if size > MAX_REQUEST {
        return Err(WorkerError::Request(format!("it has {size} bytes")));
    }
    let bytes = fs::read(&path).map_err(io(&path))?;
    let request: Request = serde_json::from_slice(&bytes).map_err(|e| WorkerError::Request(e.to_string()))?;
    if request.format == FORMAT {
        Ok(request)
    } else {
        Err(WorkerError::Request(format!("its form is {}, this program knows {FORMAT}", request.format)))
    }
}

/// The rule, if this program's is the one whose results the asker's keys name.
fn rule_of(registry: Registry, request: &Request) -> Result<&'static dyn BuildRule, WorkerError> {
    let other = |what: String| Err(WorkerError::Program(what));
    if request.semantics != ptq_rule::SEMANTICS {
        return other(format!("meaning {} is asked for, it has {}", request.semantics, ptq_rule::SEMANTICS));
    }
    if request.sources.as_deref() != own_sources() {
        return other("its rules were built from other sources".into());
    }
    match registry.iter().find(|r| r.name() == request.rule) {
        None => other(format!("it has no rule {}", request.rule)),
        Some(rule) if rule.version() != request.version => {
            let (name, asked, has) = (&request.rule, request.version, rule.version());
            other(format!("version {asked} of rule {name} is asked for, it has {has}"))
        }
        Some(rule) => Ok(*rule),
    }
}

fn read(path: &Path) -> Result<Bytes, WorkerError> {
    fs::read(path).map(Bytes::from).map_err(io(path))
}

/// Inputs as files, read when asked for.
struct Files {
    paths: BTreeMap<String, PathBuf>,
    /// Names whose bytes are not here.
    without: BTreeSet<String>,
    /// Those of them that were read.
    wanted: Mutex<BTreeSet<String>>,
    /// The first file that could not be read.
    broken: Mutex<Option<WorkerError>>,
}

impl Files {
    fn new(folder: &Path, named: &[files::Named]) -> Result<Files, WorkerError> {
        let (mut paths, mut without) = (BTreeMap::new(), BTreeSet::new());
        for (name, file) in named {
            match file.as_deref().map(Path::new) {
                Some(file) if file.components().all(|c| matches!(c, Component::Normal(_))) => {
                    paths.insert(name.clone(), folder.join(file));
                }
                Some(file) => return Err(WorkerError::Request(format!("{} leads outside", file.display()))),
                None => drop(without.insert(name.clone())),
            }
        }
        Ok(Files { paths, without, wanted: Mutex::default(), broken: Mutex::default() })
    }
}

impl Inputs for Files {
    fn names(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.paths.keys().chain(&self.without).collect();
        all.into_iter().cloned().collect()
    }

    fn read(&self, name: &str) -> Option<Bytes> {
        if self.without.contains(name) {
            self.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
            return None;
        }
        match read(self.paths.get(name)?) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                None
            }
        }
    }
}

/// Numbers the files of an answer.
struct Writer<'a> {
    folder: &'a Path,
    count: usize,
}

impl Writer<'_> {
    fn blob(&mut self, bytes: &[u8]) -> Result<String, WorkerError> {
        let name = self.count.to_string();
        self.count += 1;
        self.file(&name, bytes)?;
        Ok(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), WorkerError> {
        let path = self.folder.join(name);
        fs::write(&path, bytes).map_err(io(&path))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ptq_rule::{ActionRequest, Failure, InputRef};

    /// Asks for one action, then makes what it got twice; reads `hole` when its parameters say so.
    struct Twice;

    impl BuildRule for Twice {
        fn name(&self) -> &'static str {
            "twice"
        }
        fn version(&self) -> u32 {
            3
        }
        fn step(&self, ctx: &Context<'_>, results: &[Blobs]) -> Result<Step, Failure> {
            match (ctx.params, results) {
                ("fail", _) => Err(Diagnostic::error("T1", "no").into()),
                ("hole", _) => Ok(Step::Done(Blobs::from([("o".into(), ctx.input("sample/hole")?)]))),
                (_, []) => Ok(Step::Need(vec![ActionRequest {
                    rule: "other",
                    params: "{}".into(),
                    inputs: vec![
                        ("a".into(), InputRef::Own("in".into())),
                        ("b".into(), InputRef::Inline(Bytes::from_static(b"inline"))),
                        (String::new(), InputRef::OwnPrefix("sample/".into())),
                    ],
                }])),
                (_, [first, ..]) => {
                    let twice = [&ctx.input("in")?[..], &first["r"][..]].concat();
                    Ok(Step::Done(Blobs::from([("tensor/x".into(), twice.into())])))
                }
            }
        }
    }

    const RULES: Registry = &[&Twice];

    fn request(params: &str) -> Request {
        Request {
            format: FORMAT,
            rule: "twice".into(),
            version: 3,
            semantics: ptq_rule::SEMANTICS,
            sources: own_sources().map(str::to_owned),
            params: params.into(),
            inputs: vec![("in".into(), Some("in/0".into())), ("sample/hole".into(), None)],
            results: Vec::new(),
        }
    }

    fn run(request: &Request) -> (Result<WorkerEnd, WorkerError>, Option<Answer>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("in")).unwrap();
        fs::write(dir.path().join("in/0"), b"input").unwrap();
        fs::write(dir.path().join("in/1"), b"result").unwrap();
        fs::write(dir.path().join(REQUEST), serde_json::to_vec(request).unwrap()).unwrap();
        let end = exec_stage(RULES, dir.path(), &dir.path().join("out"), 1);
        let answer = fs::read(dir.path().join("out").join(ANSWER)).ok();
        (end, answer.map(|a| serde_json::from_slice(&a).unwrap()), dir)
    }

    #[test]
    fn a_step_asks_and_the_next_one_answers() {
        let (end, answer, dir) = run(&request(""));
        assert!(matches!(end.unwrap(), WorkerEnd::Answered));
        let Some(Answer::Need(wanted)) = answer else { panic!("{answer:?}") };
        let from: Vec<&files::Origin> = wanted[0].inputs.iter().map(|(_, f)| f).collect();
        let inline = files::Origin::File("0".into());
        assert_eq!(from, [&files::Origin::Own("in".into()), &inline, &files::Origin::OwnPrefix("sample/".into())]);
        assert_eq!(fs::read(dir.path().join("out/0")).unwrap(), b"inline");
        let next = Request { results: vec![vec![("r".into(), Some("in/1".into()))]], ..request("") };
        let (_, answer, dir) = run(&next);
        assert_eq!(answer, Some(Answer::Done(vec![("tensor/x".into(), "0".into())])));
        assert_eq!(fs::read(dir.path().join("out/0")).unwrap(), b"inputresult");
    }

    #[test]
    fn a_hole_that_is_read_is_named_and_a_failure_is_an_answer() {
        assert_eq!(run(&request("hole")).1, Some(Answer::Absent(vec!["sample/hole".into()])));
        let (end, answer, _dir) = run(&request("fail"));
        assert!(matches!(end.unwrap(), WorkerEnd::Failed(p) if p[0].code == "T1"));
        assert!(matches!(answer, Some(Answer::Failed(_))));
    }

    #[test]
    fn another_program_and_paths_that_lead_out_are_refused() {
        let refused = |edit: fn(&mut Request)| {
            let mut request = request("");
            edit(&mut request);
            let (end, answer, _dir) = run(&request);
            assert_eq!(answer, None);
            end.unwrap_err().to_string()
        };
        assert!(refused(|r| r.version = 2).contains("version 2 of rule twice is asked for, it has 3"));
        assert!(refused(|r| r.semantics += 1).contains("meaning"));
        assert!(refused(|r| r.sources = Some("x".into())).contains("other sources"));
        assert!(refused(|r| r.rule = "none".into()).contains("no rule none"));
        assert!(refused(|r| r.inputs[0].1 = Some("../in/0".into())).contains("leads outside"));
        // The second step is the one that reads its input.
        let missing = refused(|r| {
            r.inputs[0].1 = Some("in/9".into());
            r.results = vec![vec![("r".into(), Some("in/1".into()))]];
        });
        assert!(missing.contains("in/9"), "{missing}");
        assert!(refused(|r| r.format = 2).contains("form is 2"));
    }
}
