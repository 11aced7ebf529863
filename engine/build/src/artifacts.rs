//! The files that people use, assembled from stage results. Each is a pure function of trees in the store, and is
//! itself remembered, so that a build which changes nothing assembles nothing.

use crate::action::{ActionInput, ActionSpec};
use crate::build::StageName;
use crate::executor::internal;
use crate::session::Session;
use bytes::Bytes;
use ptq_cache::Digest;
use ptq_calibrate::{FileFacts, SearchReport};
use ptq_fuse::FuseLog;
use ptq_ir::{Diagnostic, Graph, InputSpec, Layout, QuantTable};
use ptq_onnx::ExportMeta;
use ptq_report::{Measure, ReportInput};
use ptq_rule::{Blobs, Failure, read_graph, read_qgraph};
use std::collections::BTreeMap;

/// Version of the assembly: a change of any file for equal stages needs a higher number.
pub(crate) const VERSION: u32 = 4;

/// Files of a variant, in the order of the stages that they come from.
pub const FILES: [&str; 8] = [
    "original_float.onnx",
    "optimized_float.onnx",
    "calibrated.onnx",
    "quantized.onnx",
    "model.bin",
    "node_info.csv",
    "quant_info.json",
    "report.md",
];

/// Trees of a variant's finished stages, and what the report names.
pub(crate) struct Stages<'a> {
    pub(crate) trees: BTreeMap<StageName, Digest>,
    pub(crate) variant: &'a str,
    pub(crate) model: &'a str,
    pub(crate) march: &'a str,
    pub(crate) inputs: &'a BTreeMap<String, InputSpec>,
    pub(crate) settings: Vec<(String, String)>,
    /// The march file that compile read.
    pub(crate) march_file: Option<Digest>,
}

/// Digest of one file of a variant, assembled now where it is not remembered.
pub(crate) fn file(session: &Session, stages: &Stages<'_>, name: &str) -> Result<Digest, Failure> {
    let needs: &[&str] = match name {
        "original_float.onnx" => &["parse"],
        "optimized_float.onnx" => &["fuse"],
        "calibrated.onnx" => &["fuse", "calibrate"],
        "quantized.onnx" => &["partition"],
        "model.bin" => &["compile"],
        "node_info.csv" => &["measure"],
        "quant_info.json" => &["calibrate", "measure"],
        _ => &["fuse", "calibrate", "measure", "compile"],
    };
    let mut inputs = Vec::new();
    for stage in needs {
        let tree = stages.trees.get(*stage).ok_or_else(|| internal(&format!("{name} needs {stage}")))?;
        inputs.push(ActionInput::tree(stage, *tree));
    }
    let params = if name == "report.md" {
        format!("{name} {:?}", (stages.variant, stages.model, stages.march, &stages.settings))
    } else if name.ends_with(".onnx") {
        let meta = meta(stages.inputs);
        let said: Vec<_> = meta.metadata.iter().collect();
        if said.is_empty() { name.to_owned() } else { format!("{name} {said:?}") }
    } else {
        name.to_owned()
    };
    let spec = ActionSpec { rule: "assemble".into(), version: VERSION, params, inputs };
    let key = spec.key();
    let remembered = session.done("assemble", &key).and_then(|tree| session.store.tree(&tree));
    if let Some(entry) = remembered.and_then(|entries| entries.into_iter().next()) {
        return Ok(entry.digest);
    }
    let bytes = assemble(session, stages, name)?;
    let digest = Digest::of(&bytes);
    let tree = session.store.record(&key, &[(name.to_owned(), bytes)]).map_err(|e| internal(&e.to_string()))?;
    session.finish(key, tree);
    Ok(digest)
}

/// What the ONNX files say about inputs with a type at run time.
fn meta(inputs: &BTreeMap<String, InputSpec>) -> ExportMeta {
    let mut meta = ExportMeta::default();
    for (name, spec) in inputs.iter().filter(|(_, spec)| spec.type_rt.is_some()) {
        if let Ok(text) = serde_json::to_string(spec) {
            meta.metadata.insert(format!("{}{name}", ptq_onnx::INPUT_METADATA), text);
        }
        let moves = spec.middle().is_some() && spec.layout_train == Layout::Nchw;
        if moves && spec.layout_quantized() == Layout::Nhwc {
            meta.channels_last.insert(name.clone());
        }
    }
    meta
}

fn assemble(session: &Session, stages: &Stages<'_>, name: &str) -> Result<Bytes, Failure> {
    let meta = meta(stages.inputs);
    let blobs = |stage: &str| tree(session, stages, stage);
    let graph = |stage: &str| -> Result<Graph, Failure> { read_graph(&blobs(stage)?) };
    Ok(match name {
        "original_float.onnx" => ptq_onnx::export_float(&graph("parse")?, &meta).into(),
        "optimized_float.onnx" => ptq_onnx::export_float(&graph("fuse")?, &meta).into(),
        "calibrated.onnx" => {
            let graph = graph("fuse")?;
            let quant = quant(&blobs("calibrate")?)?;
            let named = quant.weights.iter().filter_map(|(n, p)| Some((graph.find_value(n)?, p.clone())));
            let graph = quant.corrected(&graph);
            ptq_onnx::export_fake_quant(&graph, &quant, &named.collect(), &meta)?.into()
        }
        "quantized.onnx" => ptq_onnx::export_qdq(&read_qgraph(&blobs("partition")?)?, &meta)?.into(),
        "model.bin" => part(&blobs("compile")?, "model.bin")?,
        "node_info.csv" => ptq_report::node_info_csv(&measure(&blobs("measure")?)?).into(),
        "quant_info.json" => {
            ptq_report::quant_info_json(&quant(&blobs("calibrate")?)?, &measure(&blobs("measure")?)?).into()
        }
        _ => {
            let search = search(&blobs("calibrate")?);
            let data = data(&blobs("calibrate")?);
            let page =
                report(stages, &measure(&blobs("measure")?)?, search.as_ref(), &data, &fuse_log(&blobs("fuse")?)?);
            (page + &performance(session, stages, &part(&blobs("compile")?, "model.bin")?)).into()
        }
    })
}

fn report(
    stages: &Stages<'_>,
    measure: &Measure,
    search: Option<&SearchReport>,
    data: &[FileFacts],
    log: &FuseLog,
) -> String {
    ptq_report::report_markdown(&ReportInput {
        variant: stages.variant,
        model: stages.model,
        march: stages.march,
        settings: &stages.settings,
        measure,
        search,
        data,
        rules: ptq_fuse::rules(),
        fired: &log.fired,
        skipped: &log.skipped,
    })
}

/// What an accelerator is predicted to take; nothing for a march without one.
fn performance(session: &Session, stages: &Stages<'_>, bin: &[u8]) -> String {
    let march = stages.march_file.and_then(|digest| session.store.get(&digest));
    let march = march.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    let found = march.and_then(|march| ptq_report::Performance::of_bin(bin, march).ok());
    found.map_or_else(String::new, |p| p.markdown())
}

/// All blobs of a stage's tree.
pub(crate) fn tree(session: &Session, stages: &Stages<'_>, stage: &str) -> Result<Blobs, Failure> {
    let gone = || {
        Failure::from(Diagnostic::error(crate::executor::LOST, format!("result of {stage} is no longer in the store")))
    };
    let digest = stages.trees.get(stage).ok_or_else(gone)?;
    let entries = session.store.tree(digest).ok_or_else(gone)?;
    entries.into_iter().map(|e| Ok((e.name, session.store.get(&e.digest).ok_or_else(gone)?))).collect()
}

fn part(blobs: &Blobs, name: &str) -> Result<Bytes, Failure> {
    blobs.get(name).cloned().ok_or_else(|| internal(&format!("there is no {name}")))
}

/// The quantization table of calibrate's tree.
pub(crate) fn quant(blobs: &Blobs) -> Result<QuantTable, Failure> {
    ptq_ir::from_bytes(&part(blobs, "quant")?).map_err(|e| internal(&e.to_string()))
}

/// The measures of measure's tree.
pub(crate) fn measure(blobs: &Blobs) -> Result<Measure, Failure> {
    serde_json::from_slice(&part(blobs, "measure.json")?).map_err(|e| internal(&e.to_string()))
}

/// The files of calibration data; none without any.
fn data(blobs: &Blobs) -> Vec<FileFacts> {
    blobs.get(ptq_calibrate::DATA).and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}

/// What calibrate's search tried; `None` without a search.
pub(crate) fn search(blobs: &Blobs) -> Option<SearchReport> {
    serde_json::from_slice(blobs.get("search.json")?).ok()
}

fn fuse_log(blobs: &Blobs) -> Result<FuseLog, Failure> {
    serde_json::from_slice(&part(blobs, "rules.json")?).map_err(|e| internal(&e.to_string()))
}
