//! `ptq variants`.

use super::project;
use crate::args::{Global, Variants};
use crate::failure::Failure;
use crate::terminal::table;
use ptq_engine::manifest::{Variant, VariantConfig};
use serde_json::json;

pub(crate) fn run(global: &Global, args: &Variants) -> Result<u8, Failure> {
    let project = project(global)?;
    let mut rows = vec![["variant", "model", "march", "level", "calibration"].map(str::to_owned).to_vec()];
    let mut list = Vec::new();
    for name in project.select(&args.select.all())? {
        let Some(variant) = project.manifest().variants.get(&name) else { continue };
        let config = VariantConfig::of(variant)
            .map_err(|p| Failure::Usage(p.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
        let method = format!("{:?}", config.calibration.method).to_lowercase();
        list.push(json!({
            "name": name, "model": variant.model, "march": config.march, "optimize_level": config.optimize_level,
            "path": config.path, "calibration": { "type": method, "max_percentile": config.calibration.max_percentile },
            "settings": settings(variant),
        }));
        rows.push(vec![name, variant.model.clone(), config.march, config.optimize_level, method]);
    }
    if args.json {
        println!("{}", json!({ "variants": list }));
    } else {
        print!("{}", table(&rows));
    }
    Ok(0)
}

/// Every setting with its value, and the line of the manifest that says it.
fn settings(variant: &Variant) -> serde_json::Map<String, serde_json::Value> {
    let each = |(path, setting): (&Vec<String>, &ptq_engine::manifest::Setting)| {
        (path.join("."), json!({ "value": setting.value, "line": setting.line }))
    };
    variant.settings.0.iter().map(each).collect()
}
