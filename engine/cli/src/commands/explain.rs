//! `ptq explain`.

use super::project;
use crate::args::{Explain, Global};
use crate::failure::Failure;

const STAGES: [&str; 6] = ["parse", "fuse", "calibrate", "partition", "compile", "measure"];

pub(crate) fn run(global: &Global, args: &Explain) -> Result<u8, Failure> {
    let (variant, stage) = args.what.split_once(':').map_or((args.what.as_str(), None), |(v, s)| (v, Some(s)));
    if let Some(stage) = stage.filter(|s| !STAGES.contains(s)) {
        return Err(Failure::Usage(format!(
            "error: there is no stage {stage:?}\n  help: stages: {}",
            STAGES.join(", ")
        )));
    }
    let project = project(global)?;
    project.select(&[variant.to_owned()])?;
    let Some(recipe) = project.recipe(variant) else {
        println!("{variant} has not been built yet");
        return Ok(0);
    };
    println!("{variant}: what each stage's result was last made from");
    for name in STAGES.into_iter().filter(|s| stage.is_none_or(|w| w == *s)) {
        let Some(record) = recipe.stages.get(name) else { continue };
        let why = if record.why.is_empty() { String::new() } else { format!(": {}", record.why.join("; ")) };
        println!("  {name:<9} {}{why}", record.outcome);
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
    Ok(0)
}
