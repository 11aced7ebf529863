//! `ptq why-differs`.

use super::project;
use crate::args::{Global, WhyDiffers};
use crate::failure::Failure;

pub(crate) fn run(global: &Global, args: &WhyDiffers) -> Result<u8, Failure> {
    let project = project(global)?;
    let recipe = |what: &str| {
        let variant = what.rsplit_once('@').map_or(what, |(v, _)| v);
        let variant = project.one(variant)?;
        let what = what.rsplit_once('@').map_or(variant.clone(), |(_, number)| format!("{variant}@{number}"));
        project.recipe_at(&what).ok_or_else(|| {
            Failure::Failed(format!(
                "error: nothing is known of {what}\n  help: build it; ptq log {variant} lists builds"
            ))
        })
    };
    let (a, b) = (recipe(&args.a)?, recipe(&args.b)?);
    println!("{} → {}", args.a, args.b);
    let mut same = true;
    for (stage, differences) in b.against(&a, project.store()) {
        match differences.is_empty() {
            true => println!("  {stage:<9} the same"),
            false => println!("  {stage:<9} {}", differences.join("; ")),
        }
        same &= differences.is_empty();
    }
    if same {
        println!("both were made from the same");
    }
    Ok(0)
}
