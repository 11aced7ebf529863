//! `ptq import`.

use crate::args::{Global, Import};
use crate::failure::Failure;
use ptq_engine::import::import;
use ptq_ir::Severity;
use std::path::Path;

pub(crate) fn run(global: &Global, args: &Import) -> Result<u8, Failure> {
    let text = String::from_utf8(super::read(&args.config)?)
        .map_err(|_| Failure::Usage(format!("error: {} is not UTF-8 text", args.config.display())))?;
    let folder = |p: &Path| p.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let imported = import(&text, &args.config.to_string_lossy(), &folder(&args.config), &folder(&args.output));
    let shown: Vec<String> = imported
        .problems
        .iter()
        .filter(|d| !global.quiet || d.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    let Some(manifest) = imported.manifest else { return Err(Failure::Usage(shown.join("\n"))) };
    if !shown.is_empty() {
        eprintln!("{}", shown.join("\n"));
    }
    super::write_new(&args.output, &manifest, args.force)?;
    println!("wrote {}", args.output.display());
    Ok(0)
}
