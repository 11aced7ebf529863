//! `ptq rule`.

use crate::args::Rule;
use crate::failure::Failure;
use ptq_rule::GraphRuleMeta;

pub(crate) fn run(args: &Rule) -> Result<u8, Failure> {
    let mut rules: Vec<&GraphRuleMeta> = ptq_fuse::rules().iter().chain(ptq_place::rules::RULES).collect();
    rules.sort_by_key(|r| r.code);
    let Some(code) = &args.code else {
        for rule in rules {
            println!("{}  {}: {}", rule.code, rule.name, rule.summary);
        }
        return Ok(0);
    };
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
