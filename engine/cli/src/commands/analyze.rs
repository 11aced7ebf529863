//! `ptq analyze`.

use super::project;
use crate::args::{Analyze, Global};
use crate::failure::Failure;
use crate::progress::Reporter;
use ptq_report::{analysis_html, analysis_text};
use serde_json::json;

pub(crate) fn run(global: &Global, args: &Analyze) -> Result<u8, Failure> {
    let project = project(global)?;
    let reporter = Reporter::new(global, None).map_err(|e| Failure::Failed(e.to_string()))?;
    let found = project.analyze(&args.variant, args.top, &reporter)?;
    let (a, model, variant) = (&found.analysis, &found.model, &found.variant);
    if let Some(path) = &args.html {
        std::fs::write(path, analysis_html(a, model, variant, args.top))
            .map_err(|e| Failure::Failed(format!("error: {}: {e}", path.display())))?;
    }
    if args.json {
        println!("{}", json!({ "variant": variant, "model": model, "analysis": a }));
    } else {
        print!("{}", analysis_text(a, model, variant, args.top.max(1)));
    }
    Ok(0)
}
