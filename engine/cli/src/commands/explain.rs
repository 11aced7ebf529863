//! `ptq explain`.

use super::project;
use crate::args::{Explain, Global};
use crate::failure::Failure;
use ptq_engine::{BuildOptions, Event, EventSink, Outcome, Project};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

const STAGES: [&str; 6] = ["parse", "fuse", "calibrate", "partition", "compile", "measure"];

pub(crate) fn run(global: &Global, args: &Explain) -> Result<u8, Failure> {
    let (variant, stage) = args.what.split_once(':').map_or((args.what.as_str(), None), |(v, s)| (v, Some(s)));
    if let Some(stage) = stage.filter(|s| !STAGES.contains(s) && !s.starts_with("stage:")) {
        return Err(Failure::Usage(format!(
            "error: there is no stage {stage:?}\n  help: stages: {}, stage:NAME for one of the manifest",
            STAGES.join(", ")
        )));
    }
    let project = project(global)?;
    for variant in project.select(&[variant.to_owned()])? {
        one(global, &project, &variant, stage)?;
    }
    Ok(0)
}

fn one(global: &Global, project: &Project, variant: &str, stage: Option<&str>) -> Result<(), Failure> {
    next(project, variant, stage)?;
    let Some(recipe) = project.recipe(variant) else {
        println!("{variant} has not been built yet");
        return Ok(());
    };
    println!("{variant}: what each stage's result was last made from");
    for (name, record) in recipe.in_order().filter(|(s, _)| stage.is_none_or(|w| w == *s)) {
        let why = if record.why.is_empty() { String::new() } else { format!(": {}", record.why.join("; ")) };
        let by = if record.made_by.is_empty() { String::new() } else { format!(", made by {}", record.made_by) };
        let place = if record.place.is_empty() { String::new() } else { format!(" {}", record.place) };
        // What was remembered, was so in the store of this machine.
        let outcome = if record.outcome == "hit" { "local" } else { record.outcome.as_str() };
        println!("  {name:<9} {outcome}{by}{place}{why}");
        if name == "fuse" {
            for rewritten in project.rewritten(variant) {
                println!("            {rewritten}");
            }
        }
        if global.verbose || stage.is_some() {
            println!("            key {}, rule version {}", &record.key[..record.key.len().min(12)], record.version);
            for (param, value) in &record.params {
                println!("            {param} = {value}");
            }
            for (input, digest) in &record.inputs {
                println!("            input {input} {digest}");
            }
        }
    }
    Ok(())
}

/// Where remembered results would come from: tier by stage.
#[derive(Default)]
struct Tiers(Mutex<BTreeMap<String, &'static str>>);

impl EventSink for Tiers {
    fn event(&self, event: Event) {
        if let Event::Hit { stage, tier, .. } = event {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(stage, tier);
        }
    }
}

/// What a build would do now, by the build's own way of finding out.
fn next(project: &Project, variant: &str, stage: Option<&str>) -> Result<(), Failure> {
    let options = BuildOptions { selectors: vec![variant.to_owned()], dry_run: true, ..BuildOptions::default() };
    let tiers = Tiers::default();
    let report = project.build(&options, &tiers)?;
    let tiers = tiers.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut now: Vec<String> = Vec::new();
    if report.up_to_date {
        now.push("everything memo".into());
    }
    let mut waits = false;
    for (name, outcome) in report.variants.iter().flat_map(|v| &v.stages) {
        if stage.is_some_and(|s| s != *name) {
            continue;
        }
        if *outcome != Outcome::Pending {
            now.extend(tiers.get(name.as_ref()).map(|tier| format!("{name} {tier}")));
            continue;
        }
        match report.work.iter().find(|w| w.stage == *name) {
            Some(w) => println!("{variant}: {name} would run now: {}", w.why.join("; ")),
            None if waits => {}
            None => {
                waits = true;
                println!("{variant}: {name} waits for the stages before it");
            }
        }
    }
    if !now.is_empty() {
        println!("{variant}: remembered now: {}", now.join(", "));
    }
    Ok(())
}
