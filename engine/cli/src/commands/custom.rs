//! Custom operators of compiled models: which there are, and where their programs come from. Called by `run` and `info`.

use super::project;
use crate::args::Global;
use crate::failure::Failure;
use ptq_ir::QOp;
use ptq_ir::ops::CustomOp;
use ptq_runtime::Model;
use ptq_sim::artifact::Body;
use std::collections::BTreeMap;

/// Declarations of a model's custom operators, by domain and operator with a dot between.
pub(super) fn custom_ops(model: &Model) -> BTreeMap<String, CustomOp> {
    let nodes = model.artifact().segments.iter().filter_map(|s| match &s.body {
        Body::Float(nodes) => Some(nodes),
        Body::Int(_) | Body::Npu(_) => None,
    });
    let found = nodes.flatten().filter_map(|node| match &node.op {
        QOp::Float { op, domain, attrs, .. } => Some((format!("{domain}.{op}"), CustomOp::of(attrs)?)),
        _ => None,
    });
    found.collect()
}

/// Makes the programs of a model's custom operators available, from the manifest.
pub(super) fn provide(global: &Global, model: &Model) -> Result<(), Failure> {
    let ops = custom_ops(model);
    if ops.is_empty() {
        return Ok(());
    }
    let manifest = global.manifest.display();
    let (known, why) = if global.manifest.is_file() {
        let project = project(global)?;
        project.provide_custom_ops()?;
        let known: Vec<String> = project.manifest().customs.keys().cloned().collect();
        (known, format!("{manifest} does not declare it"))
    } else {
        (Vec::new(), format!("there is no {manifest}"))
    };
    let missing = ops.iter().filter(|(_, op)| !ptq_exec::is_provided(&op.program));
    let lines: Vec<String> = missing
        .map(|(name, op)| {
            let why = match known.contains(&op.name) {
                true => format!("[custom_op.{}] of {manifest} is another one than the model was built with", op.name),
                false => why.clone(),
            };
            let digest: String = op.program.chars().take(12).collect();
            format!(
                "error: custom operator {name} has no program here: {why}\n  help: it was built with [custom_op.{}], program \
                 {digest}; run it with that manifest, or build again",
                op.name
            )
        })
        .collect();
    if lines.is_empty() { Ok(()) } else { Err(Failure::Failed(lines.join("\n"))) }
}
