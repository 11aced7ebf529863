//! `ptq init`.

use crate::args::Init;
use crate::failure::Failure;
use ptq_engine::init::init;
use std::path::Path;

pub(crate) fn run(args: &Init) -> Result<u8, Failure> {
    let bytes = super::read(&args.model)?;
    super::load_march(&args.march)?;
    let target = args.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let manifest = init(bytes, &args.model, target, &args.march)
        .map_err(|p| Failure::Failed(p.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
    super::write_new(&args.output, &manifest, args.force)?;
    println!("wrote {}", args.output.display());
    Ok(0)
}
