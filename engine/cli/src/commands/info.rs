//! `ptq info`.

use super::pack::select;
use super::read;
use crate::args::Info;
use crate::failure::Failure;
use crate::terminal::table;
use ptq_ir::ops::CustomOp;
use ptq_ir::{DType, InputSpec, InputType, Layout, QOp, QuantParams, TensorId, aligned_image, aligned_shape};
use ptq_runtime::{Model, Port};
use ptq_sim::artifact::{Body, Packed, is_packed, unpack};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A model input or output as it is shown.
struct Row {
    kind: &'static str,
    name: String,
    dtype: String,
    layout: &'static str,
    /// As text, with open dimensions.
    shape: String,
    /// Shape without and with padding, where it is known.
    shapes: Option<(Vec<usize>, Vec<usize>)>,
    quant: Option<QuantParams>,
    note: Option<String>,
}

pub(crate) fn run(args: &Info) -> Result<u8, Failure> {
    let bytes = read(&args.file)?;
    let failed = |e: &dyn std::fmt::Display| Failure::Failed(format!("error: {}: {e}", args.file.display()));
    let found = if args.file.extension().is_some_and(|e| e == "onnx") {
        vec![(None, Listed { rows: onnx(&bytes).map_err(|e| failed(&e))?, customs: BTreeMap::new() })]
    } else if is_packed(&bytes) && args.packed.is_none() {
        let models = unpack(&bytes).map_err(|e| failed(&e))?;
        let one = |m: &Packed| Ok((Some(m.name.clone()), Listed::of_bin(&m.bin).map_err(|e| failed(&e))?));
        models.iter().map(one).collect::<Result<_, Failure>>()?
    } else {
        vec![(None, Listed::of_bin(&select(&args.file, args.packed.as_deref())?).map_err(|e| failed(&e))?)]
    };
    match (args.json, &found[..]) {
        (true, [(None, only)]) => println!("{}", only.as_json()),
        (true, all) => {
            let named =
                |(name, listed): &(Option<String>, Listed)| (name.clone().unwrap_or_default(), listed.as_json());
            println!("{}", json!({ "models": all.iter().map(named).collect::<serde_json::Map<_, _>>() }));
        }
        (false, all) => {
            for (name, listed) in all {
                name.iter().for_each(|name| println!("model {name}"));
                print!("{}", listed.as_text());
            }
        }
    }
    Ok(0)
}

/// What is shown of one model.
struct Listed {
    rows: Vec<Row>,
    customs: BTreeMap<String, CustomOp>,
}

impl Listed {
    fn of_bin(bytes: &[u8]) -> Result<Listed, String> {
        let rows = bin(bytes)?;
        let customs = Model::load(bytes).ok().as_ref().map(super::custom::custom_ops).unwrap_or_default();
        Ok(Listed { rows, customs })
    }

    fn as_json(&self) -> Value {
        json!({ "ports": self.rows.iter().map(to_json).collect::<Vec<_>>(), "custom_ops": self.customs })
    }

    fn as_text(&self) -> String {
        let head = ["", "name", "type", "layout", "valid shape", "aligned shape", "scale", "zero point", "axis"];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        lines.extend(self.rows.iter().map(cells));
        let mut out = table(&lines);
        for row in &self.rows {
            if let Some(note) = &row.note {
                out += &format!("{}: {note}\n", row.name);
            }
        }
        for (name, op) in &self.customs {
            let program: String = op.program.chars().take(12).collect();
            out += &format!("custom operator {name}: [custom_op.{}], program {program}\n", op.name);
        }
        out
    }
}

fn to_json(r: &Row) -> Value {
    json!({ "kind": r.kind, "name": r.name, "type": r.dtype, "layout": r.layout, "shape": r.shape,
            "valid_shape": r.shapes.as_ref().map(|s| &s.0), "aligned_shape": r.shapes.as_ref().map(|s| &s.1),
            "scale": r.quant.as_ref().map(|q| &q.scale), "zero_point": r.quant.as_ref().map(|q| &q.zero_point),
            "axis": r.quant.as_ref().and_then(|q| q.axis), "note": r.note })
}

fn cells(r: &Row) -> Vec<String> {
    let dash = || "-".to_owned();
    let many = |n: usize, first: String| if n > 1 { format!("{first} … ({n})") } else { first };
    vec![
        r.kind.into(),
        r.name.clone(),
        r.dtype.clone(),
        r.layout.into(),
        r.shape.clone(),
        r.shapes.as_ref().map_or_else(dash, |s| format!("{:?}", s.1)),
        r.quant.as_ref().map_or_else(dash, |q| many(q.scale.len(), q.scale0().to_string())),
        r.quant.as_ref().map_or_else(dash, |q| q.zero_point0().to_string()),
        r.quant.as_ref().and_then(|q| q.axis).map_or_else(dash, |a| a.to_string()),
    ]
}

/// Layout that is shown for a port without a description.
fn plain(shape: &[usize]) -> &'static str {
    if shape.len() == 4 { Layout::Nchw.word() } else { "-" }
}

fn bin(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let model = Model::load(bytes).map_err(|e| e.to_string())?;
    let artifact = model.artifact();
    let row = |kind, p: &Port<'_>, id: TensorId| {
        let aligned = aligned_shape(p.shape, Layout::Nchw, p.dtype.bytes(), kind == "output");
        let row = Row {
            kind,
            name: p.name.to_owned(),
            dtype: p.dtype.to_string(),
            layout: plain(p.shape),
            shape: format!("{:?}", p.shape),
            shapes: Some((p.shape.to_vec(), aligned)),
            quant: p.quant.cloned().or_else(|| border(&model, id)),
            note: None,
        };
        match p.spec {
            Some(spec) => described(row, p.shape, spec),
            None => row,
        }
    };
    let inputs = model.inputs();
    let inputs = inputs.iter().zip(&artifact.inputs).flat_map(|(p, &id)| {
        let Some((spec, shape)) = p.spec.and_then(|s| s.separate_item(p.shape)) else {
            return vec![row("input", p, id)];
        };
        let items = (0..p.shape[0]).map(|i| InputSpec::item_name(p.name, i));
        items.map(|name| row("input", &Port { name: &name, shape: &shape, spec: Some(&spec), ..*p }, id)).collect()
    });
    let outputs = model.outputs();
    let outputs = outputs.iter().zip(&artifact.outputs).map(|(p, &id)| row("output", p, id));
    Ok(inputs.chain(outputs).collect())
}

/// What a compiled model's described input takes at run time.
fn described(row: Row, shape: &[usize], spec: &InputSpec) -> Row {
    let Some(dims) = spec.layout_train.nchw(shape) else { return row };
    let (Some(rt), Some(bytes)) = (spec.type_rt, spec.frame_bytes(shape)) else {
        return Row { layout: spec.layout_train.word(), ..row };
    };
    let valid = spec.layout_run().shape(dims);
    let aligned = aligned_image(&valid, rt, spec.layout_run());
    let note = match rt {
        InputType::Nv12 => {
            let elements: usize = valid.iter().product();
            format!(
                "give {bytes} bytes of nv12, N·H·W·3/2, which the performance report counts; the shape is N·H·W·3 = {elements}, \
                 because the accelerator expands the frame to yuv444 on its way in"
            )
        }
        _ => format!("give {bytes} bytes of {} in {}", rt.word(), spec.layout_run().word()),
    };
    Row {
        dtype: rt.word().to_owned(),
        layout: spec.layout_run().word(),
        shape: format!("{valid:?}"),
        shapes: Some((valid, aligned)),
        note: Some(format!("{note}; source {}", spec.source().word())),
        ..row
    }
}

/// Parameters of the Quantize that reads a float input, or of the Dequantize that makes a float output.
pub(crate) fn border(model: &Model, id: TensorId) -> Option<QuantParams> {
    let artifact = model.artifact();
    let nodes = artifact.segments.iter().filter_map(|s| match &s.body {
        Body::Float(nodes) => Some(nodes),
        Body::Int(_) | Body::Npu(_) => None,
    });
    let other = nodes.flatten().find_map(|n| match n.op {
        QOp::Quantize if n.inputs.first() == Some(&id) => n.outputs.first(),
        QOp::Dequantize if n.outputs.first() == Some(&id) => n.inputs.first(),
        _ => None,
    })?;
    artifact.tensors.get(other.0 as usize)?.quant.clone()
}

fn onnx(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let (inputs, outputs) = ptq_onnx::file_ports(bytes).map_err(|d| d.to_string())?;
    let row = |kind, p: ptq_onnx::FilePort| {
        let dims = p.dims.unwrap_or_default();
        let image = p.spec.as_ref().filter(|s| s.middle().is_some());
        // Channels-last files are told by where the channels are.
        let last = |s: &&InputSpec| {
            s.type_train.channels().is_some_and(|c| dims.get(3) == Some(&c) && dims.get(1) != Some(&c))
        };
        let layout = match image {
            Some(spec) if last(&spec) => Layout::Nhwc,
            Some(spec) => spec.layout_train,
            None => Layout::Nchw,
        };
        let element = DType::ALL.into_iter().find(|d| d.to_string() == p.dtype).map_or(1, DType::bytes);
        let shapes =
            (!dims.is_empty()).then(|| (dims.clone(), aligned_shape(&dims, layout, element, kind == "output")));
        let note =
            image.map(|s| format!("takes {}, made of {}", s.middle_word(), s.type_rt.unwrap_or_default().word()));
        let layout = if image.is_some() { layout.word() } else { plain(&dims) };
        Row { kind, name: p.name, dtype: p.dtype, layout, shape: p.shape, shapes, quant: p.quant, note }
    };
    let inputs = inputs.into_iter().map(|p| row("input", p));
    Ok(inputs.chain(outputs.into_iter().map(|p| row("output", p))).collect())
}
