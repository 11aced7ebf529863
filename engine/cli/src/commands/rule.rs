//! `ptq rule`.

use super::project;
use crate::args::{Global, Rule};
use crate::failure::Failure;
use ptq_engine::Project;
use ptq_fuse::REWRITE;
use ptq_rule::GraphRuleMeta;

pub(crate) fn run(global: &Global, args: &Rule) -> Result<u8, Failure> {
    // The built-in rules are shown anywhere, those of a manifest where there is one that reads.
    let project = global.manifest.is_file().then(|| project(global).ok()).flatten();
    let mut rules: Vec<&GraphRuleMeta> = ptq_fuse::rules().iter().chain(ptq_place::rules::RULES).collect();
    rules.sort_by_key(|r| r.code);
    let Some(code) = &args.code else {
        for rule in rules {
            println!("{}  {}: {}", rule.code, rule.name, rule.summary);
        }
        for config in project.iter().flat_map(|p| p.manifest().rewrites.values()) {
            println!("{REWRITE}{}  {}:{}", config.name, config.file, config.line);
        }
        return Ok(0);
    };
    if let Some(page) = project.as_ref().and_then(|p| own(p, code)) {
        print!("{page}");
        return Ok(0);
    }
    let wanted = code.to_ascii_uppercase();
    let Some(rule) = rules.iter().find(|r| r.code == wanted) else {
        return Err(Failure::Usage(format!("error: there is no rule {code}\n  help: `ptq rule` lists all")));
    };
    println!(
        "{} {} (since {})\n\n{}\n\nWhy: {}\n\nExample:\n{}",
        rule.code, rule.name, rule.since, rule.summary, rule.why, rule.example
    );
    Ok(0)
}

/// The page of a rewrite of the manifest.
fn own(project: &Project, code: &str) -> Option<String> {
    let config = project.manifest().rewrites.get(code.strip_prefix(REWRITE).unwrap_or(code))?;
    let summary = config.summary.as_ref().map_or_else(String::new, |s| format!("{s}\n\n"));
    let takes = |v: &&ptq_engine::manifest::Variant| v.rewrites.contains_key(&config.name);
    let (all, taken) = (project.manifest().variants.len(), project.manifest().variants.values().filter(takes).count());
    let head = format!("{REWRITE}{} ({}:{})", config.name, config.file, config.line);
    Some(format!("{head}\n\n{summary}{}\n{taken} of {all} variants take it.\n", config.rewrite))
}
