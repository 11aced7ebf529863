//! `ptq info`.

use super::read;
use crate::args::Info;
use crate::failure::Failure;
use crate::terminal::table;
use ptq_ir::QuantParams;
use serde_json::{Value, json};

/// A model input or output as it is shown.
struct Row {
    kind: &'static str,
    name: String,
    dtype: String,
    shape: String,
    quant: Option<QuantParams>,
}

pub(crate) fn run(args: &Info) -> Result<u8, Failure> {
    let shown = args.file.display();
    let bytes = read(&args.file)?;
    let rows = if args.file.extension().is_some_and(|e| e == "onnx") {
        onnx(&bytes).map_err(|e| Failure::Failed(format!("error: {shown}: {e}")))?
    } else {
        bin(&bytes).map_err(|e| Failure::Failed(format!("error: {shown}: {e}")))?
    };
    if args.json {
        let list: Vec<Value> = rows
            .iter()
            .map(|r| {
                json!({ "kind": r.kind, "name": r.name, "type": r.dtype, "shape": r.shape,
                        "scale": r.quant.as_ref().map(|q| &q.scale), "zero_point": r.quant.as_ref().map(|q| &q.zero_point),
                        "axis": r.quant.as_ref().and_then(|q| q.axis) })
            })
            .collect();
        println!("{}", json!({ "ports": list }));
    } else {
        let mut lines = vec![["", "name", "type", "shape", "scale", "zero point"].map(str::to_owned).to_vec()];
        for r in &rows {
            let scale = r.quant.as_ref().map_or_else(|| "-".into(), |q| q.scale0().to_string());
            let zero = r.quant.as_ref().map_or_else(|| "-".into(), |q| q.zero_point0().to_string());
            lines.push(vec![r.kind.into(), r.name.clone(), r.dtype.clone(), r.shape.clone(), scale, zero]);
        }
        print!("{}", table(&lines));
    }
    Ok(0)
}

fn bin(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let model = ptq_runtime::Model::load(bytes).map_err(|e| e.to_string())?;
    let row = |kind, p: ptq_runtime::Port<'_>| Row {
        kind,
        name: p.name.to_owned(),
        dtype: p.dtype.to_string(),
        shape: format!("{:?}", p.shape),
        quant: p.quant.cloned(),
    };
    let inputs = model.inputs().into_iter().map(|p| row("input", p));
    let outputs = model.outputs().into_iter().map(|p| row("output", p));
    Ok(inputs.chain(outputs).collect())
}

fn onnx(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let (inputs, outputs) = ptq_onnx::file_ports(bytes).map_err(|d| d.to_string())?;
    let row = |kind, p: ptq_onnx::FilePort| Row { kind, name: p.name, dtype: p.dtype, shape: p.shape, quant: None };
    let inputs = inputs.into_iter().map(|p| row("input", p));
    Ok(inputs.chain(outputs.into_iter().map(|p| row("output", p))).collect())
}
