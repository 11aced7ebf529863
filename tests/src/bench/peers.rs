//! Other build tools on the graph of a sweep's actions: each action copies a file, each variant's outputs are touched. Called by the
//! benchmark `engine`.
//!
//! `ninja` is taken from `PATH`; `snakemake` from there or from `PTQ_PEER_BIN`, the `bin` folder of a virtual environment
//! (`pip install snakemake`). One that is not there is left out.

use crate::engine::{best, io, timed, write};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Variants up to which snakemake is asked: a null build of 10,000 takes it hours.
const SNAKES: usize = 1_000;

/// Seconds of a null build and of a build after one edit.
type Times = (f64, f64);

/// One action of the graph.
struct Action {
    id: String,
    reads: Vec<String>,
    /// Variants whose outputs it makes.
    variants: Vec<String>,
}

/// Times of the peers that are installed, by name.
pub(crate) fn times(dir: &Path, ptq: &Path, count: usize) -> Result<Vec<(&'static str, Times)>, String> {
    let actions = graph(dir, ptq)?;
    let mut out = Vec::new();
    match program("ninja") {
        Some(ninja) => out.push(("ninja", by_ninja(dir, &ninja, &actions)?)),
        None => eprintln!("ninja is not installed"),
    }
    match program("snakemake").filter(|_| count <= SNAKES && !out.is_empty()) {
        Some(snakemake) => out.push(("snakemake", by_snakemake(dir, &snakemake, &actions)?)),
        None => eprintln!("snakemake is not installed, or the sweep is too large for it"),
    }
    Ok(out)
}

fn program(name: &str) -> Option<PathBuf> {
    let own = std::env::var_os("PTQ_PEER_BIN").map(|bin| PathBuf::from(bin).join(name));
    [own, Some(PathBuf::from(name))].into_iter().flatten().find(|program| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    })
}

fn graph(dir: &Path, ptq: &Path) -> Result<Vec<Action>, String> {
    let output = Command::new(ptq).args(["graph", "--format", "json"]).current_dir(dir).output().map_err(io(ptq))?;
    let graph: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
    let list = |name: &str| graph[name].as_array().cloned().unwrap_or_default();
    let mut reads: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for edge in list("edges") {
        if let (Some(from), Some(to)) = (edge[0].as_str(), edge[1].as_str()) {
            reads.entry(to.to_owned()).or_default().push(from.to_owned());
        }
    }
    let action = |node: &serde_json::Value| {
        let id = node["id"].as_str().unwrap_or_default().to_owned();
        let variants = node["variants"].as_array().filter(|_| node["stage"] == "compile");
        let variants = variants.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect();
        Action { reads: reads.get(&id).cloned().unwrap_or_default(), id, variants }
    };
    Ok(list("nodes").iter().map(action).collect())
}

/// Files of a variant.
fn outputs(variant: &str) -> Vec<String> {
    ptq_engine::FILES.iter().map(|f| format!("out/{variant}/{f}")).collect()
}

fn by_ninja(dir: &Path, ninja: &Path, actions: &[Action]) -> Result<Times, String> {
    let peer = dir.join("ninja");
    let _ = std::fs::remove_dir_all(&peer);
    let mut text = String::from("rule make\n  command = cp $param $out\nrule out\n  command = touch $out\n");
    for action in actions {
        let id = &action.id;
        write(&peer.join(format!("params/{id}")), id.as_bytes())?;
        let reads: String = action.reads.iter().map(|r| format!(" {r}")).collect();
        let _ = writeln!(text, "build {id}: make params/{id}{reads}\n  param = params/{id}");
        for variant in &action.variants {
            let _ = writeln!(text, "build {}: out {id}", outputs(variant).join(" "));
        }
    }
    write(&peer.join("build.ninja"), text.as_bytes())?;
    timed(&peer, ninja, &["--quiet"])?;
    let null = best(7, || timed(&peer, ninja, &["--quiet"]))?;
    let one = actions.iter().rfind(|a| !a.variants.is_empty()).map(|a| a.id.clone()).unwrap_or_default();
    let mut turn = 0;
    let edit = best(3, || {
        turn += 1;
        std::thread::sleep(std::time::Duration::from_millis(20));
        write(&peer.join(format!("params/{one}")), format!("{turn}").as_bytes())?;
        timed(&peer, ninja, &["--quiet"])
    })?;
    Ok((null, edit))
}

/// In the folder that ninja has built: the first build would take hours.
fn by_snakemake(dir: &Path, snakemake: &Path, actions: &[Action]) -> Result<Times, String> {
    let peer = dir.join("ninja");
    let all: Vec<String> = actions.iter().flat_map(|a| &a.variants).flat_map(|v| outputs(v)).collect();
    let mut text = format!("rule all:\n    input: {all:?}\n");
    for (i, action) in actions.iter().enumerate() {
        let id = &action.id;
        let reads: Vec<String> = std::iter::once(format!("params/{id}")).chain(action.reads.iter().cloned()).collect();
        let _ =
            writeln!(text, "rule a{i}:\n    input: {reads:?}\n    output: {id:?}\n    shell: \"cp params/{id} {id}\"");
        for (k, variant) in action.variants.iter().enumerate() {
            let made = outputs(variant);
            let _ = writeln!(
                text,
                "rule o{i}_{k}:\n    input: {id:?}\n    output: {made:?}\n    shell: \"touch {}\"",
                made.join(" ")
            );
        }
    }
    write(&peer.join("Snakefile"), text.as_bytes())?;
    let arguments = ["--cores", "2", "--quiet", "all", "--rerun-triggers", "mtime", "--"];
    let touch: Vec<&str> = ["--touch"].iter().chain(&arguments).copied().collect();
    timed(&peer, snakemake, &touch)?;
    let null = timed(&peer, snakemake, &arguments)?;
    let one = actions.iter().rfind(|a| !a.variants.is_empty()).map(|a| a.id.clone()).unwrap_or_default();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    write(&peer.join(format!("params/{one}")), b"edited")?;
    let edit = timed(&peer, snakemake, &arguments)?;
    Ok((null, edit))
}
