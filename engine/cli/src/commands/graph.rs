//! `ptq graph`.

use super::project;
use crate::args::{Global, Graph, GraphFormat};
use crate::failure::Failure;

pub(crate) fn run(global: &Global, args: &Graph) -> Result<u8, Failure> {
    let graph = project(global)?.graph(&args.select.all())?;
    let text = match args.format {
        GraphFormat::Dot => graph.dot(),
        GraphFormat::Mermaid => graph.mermaid(),
        GraphFormat::Json => graph.json(),
        GraphFormat::Html => graph.html(),
    };
    print!("{text}");
    Ok(0)
}
