//! `ptq slurm-script`: an array of jobs for sites with Slurm. No scheduling of ours: results meet in the store.

use super::project;
use crate::args::{Global, SlurmScript};
use crate::failure::Failure;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub(crate) fn run(global: &Global, args: &SlurmScript) -> Result<u8, Failure> {
    let project = project(global)?;
    let names = project.select(&args.select.all())?;
    let absolute =
        |path: &Path| std::path::absolute(path).map_err(|e| Failure::Failed(format!("error: {}: {e}", path.display())));
    let manifest = absolute(&global.manifest)?;
    let program = match &args.program {
        Some(path) => absolute(path)?,
        None => std::env::current_exe().map_err(|e| Failure::Failed(format!("error: this program: {e}")))?,
    };
    let script = Script { program, manifest, global, args, names: &names }.text();
    match &args.output {
        Some(path) => super::write_new(path, &script, args.force)?,
        None => print!("{script}"),
    }
    Ok(0)
}

struct Script<'a> {
    program: PathBuf,
    manifest: PathBuf,
    global: &'a Global,
    args: &'a SlurmScript,
    names: &'a [String],
}

impl Script<'_> {
    /// Tasks of the array, and variants of each: neighbours by name share most of their stages.
    fn shares(&self) -> (usize, usize) {
        let wanted = self.args.tasks.map_or(self.names.len(), |n| n as usize).clamp(1, self.names.len().max(1));
        let each = self.names.len().div_ceil(wanted).max(1);
        (self.names.len().div_ceil(each).max(1), each)
    }

    fn text(&self) -> String {
        let (tasks, each) = self.shares();
        let a = self.args;
        let mut head = vec![
            "job-name=ptq".to_owned(),
            format!("array=0-{}{}", tasks - 1, a.at_once.map_or_else(String::new, |n| format!("%{n}"))),
            "ntasks=1".to_owned(),
            format!("cpus-per-task={}", a.cpus),
            "output=ptq-%A_%a.log".to_owned(),
        ];
        head.extend(a.memory.iter().map(|m| format!("mem={m}")));
        head.extend(a.time.iter().map(|t| format!("time={t}")));
        head.extend(a.partition.iter().map(|p| format!("partition={p}")));
        let head: String = head.iter().map(|line| format!("#SBATCH --{line}\n")).collect();
        let mut command = vec![quoted(&self.program.to_string_lossy()), "build".to_owned()];
        command.extend(["--manifest".to_owned(), quoted(&self.manifest.to_string_lossy())]);
        if let Some(profile) = &self.global.profile {
            command.extend(["--profile".to_owned(), quoted(profile)]);
        }
        for (key, value) in &self.global.define {
            command.extend(["-D".to_owned(), quoted(&format!("{key}={value}"))]);
        }
        let store = a.scratch.as_ref().map_or_else(String::new, |dir| {
            command.extend(["--store".to_owned(), "\"$store\"".to_owned()]);
            format!("# The store of this task alone: tasks meet in the manifest's cache.remote.\nstore=\"{dir}/ptq-$SLURM_JOB_ID\"\ntrap 'rm -rf \"$store\"' EXIT\n")
        });
        command.extend(["--jobs".to_owned(), "\"${SLURM_CPUS_PER_TASK:-1}\"".to_owned(), "--keep-going".to_owned()]);
        let mut names = String::new();
        for name in self.names {
            let _ = writeln!(names, "  {name}");
        }
        format!(
            "#!/bin/bash\n{head}# {} variants in {tasks} tasks; submit with: sbatch THIS_FILE\n\
             # When all tasks are done, the same build on one machine finds everything made and prints the table.\n\
             set -euo pipefail\nvariants=(\n{names})\n\
             mine=(\"${{variants[@]:SLURM_ARRAY_TASK_ID * {each}:{each}}}\")\n{store}{} \"${{mine[@]}}\"\n",
            self.names.len(),
            command.join(" "),
        )
    }
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=+:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser as _;

    fn text(words: &[&str], count: usize) -> String {
        let args = Args::try_parse_from(["ptq", "slurm-script"].iter().chain(words)).expect("arguments");
        let Command::SlurmScript(own) = &args.command else { panic!("another command") };
        let names: Vec<String> = (0..count).map(|i| format!("v{i}")).collect();
        let (program, manifest) = (PathBuf::from("/opt/ptq"), PathBuf::from("/a b/ptq.toml"));
        Script { program, manifest, global: &args.global, args: own, names: &names }.text()
    }

    #[test]
    fn every_variant_is_in_one_task_and_words_are_quoted() {
        let one_each = text(&[], 3);
        assert!(one_each.contains("--array=0-2\n") && one_each.contains("TASK_ID * 1:1"), "{one_each}");
        assert!(one_each.contains("--manifest '/a b/ptq.toml'") && !one_each.contains("--store"));
        let shared = text(&["--tasks", "4", "--at-once", "2", "--scratch", "$TMPDIR", "-D", "march=it's"], 10);
        assert!(shared.contains("--array=0-3%2\n") && shared.contains("TASK_ID * 3:3"), "{shared}");
        assert!(shared.contains("store=\"$TMPDIR/ptq-$SLURM_JOB_ID\"") && shared.contains(r"-D 'march=it'\''s'"));
        let few = text(&["--tasks", "9"], 2);
        assert!(few.contains("--array=0-1\n"), "{few}");
    }
}
