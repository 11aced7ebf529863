//! Already quantized models → float: pairs of QuantizeLinear and DequantizeLinear go, integer weights become the real
//! numbers that they stand for, integer operators become their float ones. What the file says about scales is collected.

mod operators;

use ptq_ir::{ActivationQuant, Attr, Attrs, DType, Diagnostic, QuantParams, QuantTable, Tensor};
use ptq_onnx::{RawModel, RawNode, is_quantized};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What to do with an already quantized model (`quantized` in the manifest).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantized {
    /// Refuse it.
    #[default]
    Refuse,
    /// Turn it into float; calibrate it like any float model.
    Requantize,
    /// Turn it into float; use the file's scales where the march can.
    Keep,
}

impl Quantized {
    /// Whether this is the default.
    pub(crate) fn is_refuse(&self) -> bool {
        *self == Quantized::Refuse
    }
}

/// Operators that move elements or mix them with weights whose sum is 1: their integers keep scale and zero point.
const MOVES: [&str; 15] = [
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "MaxPool",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];
/// Operators that only look at the order of elements or at their number, which are those of the real values.
const LOOKS: [&str; 4] = ["ArgMax", "ArgMin", "Shape", "Size"];
/// Operators behind which quantization tools leave out a Relu or Clip, because saturation does its work.
const BEFORE_ACTIVATION: [&str; 9] =
    ["Add", "BatchNormalization", "Conv", "ConvTranspose", "Gemm", "MatMul", "Mul", "Sub", "Sum"];

/// Scale and zero point, as a node states them.
#[derive(Clone, Debug, PartialEq)]
struct Grid {
    dtype: DType,
    scale: Vec<f32>,
    zero: Vec<i32>,
}

impl Grid {
    /// The real numbers at the ends of the integers' range; of the first channel.
    fn range(&self) -> (f32, f32) {
        let (lo, hi) = match self.dtype {
            DType::U8 => (0, 255),
            DType::I16 => (-32768, 32767),
            _ => (-128, 127),
        };
        let real = |q: i32| (q - self.zero[0]) as f32 * self.scale[0];
        (real(lo), real(hi))
    }
}

/// The pass at work.
struct Pass {
    out: Vec<RawNode>,
    constants: BTreeMap<String, Tensor>,
    /// Values that stand for another one.
    alias: BTreeMap<String, String>,
    /// Integer values: the real value behind each, and its grid.
    integer: BTreeMap<String, (String, Grid)>,
    /// Operators that make float values, by value name.
    makers: BTreeMap<String, String>,
    inputs: BTreeMap<String, DType>,
    outputs: BTreeSet<String>,
    taken: BTreeSet<String>,
    table: QuantTable,
}

type Done = Result<(), Diagnostic>;

/// An error about a node that has no float form here.
fn refuse(node: &RawNode, why: impl Into<String>) -> Diagnostic {
    Diagnostic::error("PARSE11", format!("{} of a quantized model: {}", node.op, why.into()))
        .node(&node.name)
        .hint("give the float model")
}

/// Turns a sorted model into float and returns the file's own scales: activations and weights by value name.
///
/// # Errors
/// `PARSE11` for each node that has no float form.
pub(crate) fn to_float(raw: &mut RawModel) -> Result<QuantTable, Vec<Diagnostic>> {
    if !raw.nodes.iter().any(is_quantized) {
        return Ok(QuantTable::default());
    }
    let names = raw.nodes.iter().flat_map(|n| n.outputs.iter().cloned()).chain(raw.constants.keys().cloned());
    let mut pass = Pass {
        out: Vec::new(),
        taken: names.chain(raw.nodes.iter().map(|n| n.name.clone())).collect(),
        constants: std::mem::take(&mut raw.constants),
        alias: BTreeMap::new(),
        integer: BTreeMap::new(),
        makers: BTreeMap::new(),
        inputs: raw.inputs.iter().map(|i| (i.name.clone(), i.dtype)).collect(),
        outputs: raw.outputs.iter().cloned().collect(),
        table: QuantTable::default(),
    };
    let mut problems = Vec::new();
    for node in std::mem::take(&mut raw.nodes) {
        problems.extend(pass.node(node).err());
    }
    pass.finish();
    raw.nodes = pass.out;
    raw.constants = pass.constants;
    if problems.is_empty() { Ok(pass.table) } else { Err(problems) }
}

impl Pass {
    fn node(&mut self, mut node: RawNode) -> Done {
        // Before aliases are replaced: a real value may have the name of its integers.
        let reads: Vec<usize> =
            (0..node.inputs.len()).filter(|&i| node.input(i).is_some_and(|n| self.integer.contains_key(n))).collect();
        for name in node.inputs.iter_mut().flatten() {
            if let Some(real) = self.alias.get(name) {
                name.clone_from(real);
            }
        }
        if is_quantized(&node) {
            return operators::convert(self, node);
        }
        match reads[..] {
            [] => self.push(node),
            [0] if node.domain.is_empty() && MOVES.contains(&node.op.as_str()) => {
                let (real, grid) = self.integer[node.inputs[0].as_deref().unwrap_or("")].clone();
                node.inputs[0] = Some(real);
                for output in &node.outputs {
                    self.integer.insert(output.clone(), (output.clone(), grid.clone()));
                }
                self.push(node);
            }
            [0] if node.domain.is_empty() && LOOKS.contains(&node.op.as_str()) => {
                node.inputs[0] = node.input(0).and_then(|n| self.integer.get(n)).map(|(real, _)| real.clone());
                self.push(node);
            }
            [0] if node.domain.is_empty() && node.op == "Pad" => return self.pad(node),
            _ if node.op == "Concat" && reads.len() == node.inputs.len() => {
                let all: Vec<(String, Grid)> = node.inputs.iter().flatten().map(|n| self.integer[n].clone()).collect();
                if all.windows(2).any(|w| w[0].1 != w[1].1) {
                    return Err(refuse(&node, "it joins integers of different scales"));
                }
                node.inputs = all.iter().map(|(real, _)| Some(real.clone())).collect();
                for output in &node.outputs {
                    self.integer.insert(output.clone(), (output.clone(), all[0].1.clone()));
                }
                self.push(node);
            }
            _ if node.op == "Cast" => return self.cast(node),
            _ => return Err(refuse(&node, "it computes with integers")),
        }
        Ok(())
    }

    /// Integers cast to float are their numbers, which a real value stands for only where the grid is that of the
    /// integers themselves (dynamic quantization, whose scale comes in a later Mul).
    fn cast(&mut self, mut node: RawNode) -> Done {
        if let Some((real, grid)) = node.input(0).and_then(|n| self.integer.get(n)).cloned() {
            if grid.scale.iter().any(|&s| s != 1.0) || grid.zero.iter().any(|&z| z != 0) {
                return Err(refuse(&node, "it reads quantized integers as numbers"));
            }
            node.inputs[0] = Some(real);
        }
        self.push(node);
        Ok(())
    }

    /// Integers padded with an integer: the real values are padded with what it stands for.
    fn pad(&mut self, mut node: RawNode) -> Done {
        let (real, grid) = self.integer[node.inputs[0].as_deref().unwrap_or("")].clone();
        if node.attrs.str("mode", "constant") == "constant" {
            let with = match node.input(2).map(|n| (n, self.constants.get(n))) {
                None => 0,
                Some((_, Some(t))) => t.to_f64s().first().map_or(0, |v| *v as i32),
                Some((n, None)) => {
                    return Err(refuse(&node, format!("it pads with {n}, which is computed at run time")));
                }
            };
            let with = Tensor::scalar_f32((with - grid.zero[0]) as f32 * grid.scale[0]);
            let name = self.constant(&format!("{}_value", node.name), with);
            node.inputs.resize(node.inputs.len().max(3), None);
            node.inputs[2] = Some(name);
        }
        node.inputs[0] = Some(real);
        for output in &node.outputs {
            self.integer.insert(output.clone(), (output.clone(), grid.clone()));
        }
        self.push(node);
        Ok(())
    }

    fn push(&mut self, node: RawNode) {
        for output in &node.outputs {
            self.makers.insert(output.clone(), node.op.clone());
        }
        self.out.push(node);
    }

    fn fresh(&mut self, base: &str) -> String {
        let mut name = base.to_owned();
        let mut n = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{base}_{n}");
            n += 1;
        }
        name
    }

    /// Adds a float node.
    fn float(&mut self, name: &str, op: &str, inputs: Vec<Option<String>>, output: String, attrs: Attrs) {
        let node = RawNode {
            name: name.to_owned(),
            op: op.to_owned(),
            domain: String::new(),
            inputs,
            outputs: vec![output],
            attrs,
        };
        self.push(node);
    }

    fn constant(&mut self, base: &str, tensor: Tensor) -> String {
        let name = self.fresh(base);
        self.constants.insert(name.clone(), tensor);
        name
    }

    /// Scale and zero point from two inputs.
    fn grid(&self, node: &RawNode, scale: usize, zero: usize) -> Result<Grid, Diagnostic> {
        let constant = |i: usize| node.input(i).map(|n| (n, self.constants.get(n)));
        let Some((name, tensor)) = constant(scale) else { return Err(refuse(node, "its scale is missing")) };
        let tensor = tensor.ok_or_else(|| refuse(node, format!("scale {name} is computed at run time")))?;
        let scale: Vec<f32> = tensor.to_f64s().into_iter().map(|v| v as f32).collect();
        if scale.is_empty() || scale.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err(refuse(node, format!("scale {name} is not positive and finite")));
        }
        let (dtype, zero) = match constant(zero) {
            None => (DType::U8, vec![0; scale.len()]),
            Some((name, None)) => return Err(refuse(node, format!("zero point {name} is computed at run time"))),
            Some((name, Some(t))) => {
                let zero: Vec<i32> = t.to_f64s().into_iter().map(|v| v as i32).collect();
                let zero = if zero.len() == 1 { vec![zero[0]; scale.len()] } else { zero };
                if zero.len() != scale.len() {
                    return Err(refuse(node, format!("zero point {name} does not fit the scale")));
                }
                (t.dtype(), zero)
            }
        };
        Ok(Grid { dtype, scale, zero })
    }

    /// The real numbers of constant integers, one scale or one for each index along `axis`.
    fn real_constant(&mut self, node: &RawNode, name: &str, grid: &Grid, axis: i64) -> Result<Tensor, Diagnostic> {
        let tensor = self.constants.get(name).ok_or_else(|| refuse(node, format!("{name} is not constant")))?;
        let shape = tensor.shape().to_vec();
        let (_, inner) = channels(&shape, grid.scale.len(), axis)
            .ok_or_else(|| refuse(node, format!("{} scales do not fit {name}{shape:?}", grid.scale.len())))?;
        let n = grid.scale.len();
        let real = |(i, q): (usize, f64)| {
            let c = (i / inner) % n;
            ((q as i64 - i64::from(grid.zero[c])) as f64 * f64::from(grid.scale[c])) as f32
        };
        let data = tensor.to_f64s().into_iter().enumerate().map(real).collect();
        Tensor::from_f32(shape, data).map_err(|e| refuse(node, e.to_string()))
    }

    /// Adds the float form of constant integers, and remembers their grid as that of weights.
    fn weights(&mut self, node: &RawNode, name: &str, grid: &Grid, axis: i64, to: &str) -> Done {
        let integers = self.constants.get(name).map_or(DType::I8, Tensor::dtype);
        let tensor = self.real_constant(node, name, grid, axis)?;
        let axis = channels(tensor.shape(), grid.scale.len(), axis).and_then(|(a, _)| a);
        self.constants.insert(to.to_owned(), tensor);
        let params = QuantParams { dtype: integers, scale: grid.scale.clone(), zero_point: grid.zero.clone(), axis };
        self.table.weights.insert(to.to_owned(), params);
        Ok(())
    }

    /// The float value of an operand that has this grid.
    fn real(&mut self, node: &RawNode, i: usize, grid: &Grid, axis: i64) -> Result<String, Diagnostic> {
        let name = node.input(i).ok_or_else(|| refuse(node, format!("input {i} is missing")))?.to_owned();
        if let Some((real, own)) = self.integer.get(&name) {
            if own.scale == grid.scale && own.zero == grid.zero {
                return Ok(real.clone());
            }
            return Err(refuse(node, format!("it reads {name} with another scale than it was written with")));
        }
        if self.constants.contains_key(&name) {
            let to = self.fresh(&format!("{name}_real"));
            self.weights(node, &name, grid, axis, &to)?;
            return Ok(to);
        }
        if !self.inputs.contains_key(&name) {
            return Err(refuse(node, format!("{name} is no quantized value")));
        }
        let of_grid = |values: Vec<f32>| Tensor::from_f32(Vec::new(), values).map_err(|e| refuse(node, e.to_string()));
        let zero = self.constant(&format!("{name}_zero"), of_grid(vec![grid.zero[0] as f32])?);
        let scale = self.constant(&format!("{name}_scale"), of_grid(vec![grid.scale[0]])?);
        let steps = ["cast", "centred", "real"].map(|s| self.fresh(&format!("{name}_{s}")));
        let [cast, centred, real] = steps;
        let to = Attrs::of([("to", Attr::Int(1))]);
        self.float(&cast, "Cast", vec![Some(name.clone())], cast.clone(), to);
        self.float(&centred, "Sub", vec![Some(cast.clone()), Some(zero)], centred.clone(), Attrs::default());
        self.float(&real, "Mul", vec![Some(centred.clone()), Some(scale)], real.clone(), Attrs::default());
        self.integer.insert(name, (real.clone(), grid.clone()));
        Ok(real)
    }

    /// Marks `integer` as the quantized form of a float value; where saturation stands for a Relu or Clip that the
    /// tool left out, that becomes a Clip. The file's grid is remembered under the float value's name.
    fn quantize(&mut self, node: &RawNode, real: String, integer: &str, grid: Grid) -> Done {
        let (lo, hi) = grid.range();
        let lowest = lo == 0.0;
        let maker = self.makers.get(&real).map_or("", String::as_str);
        let real = if lowest && BEFORE_ACTIVATION.contains(&maker) && grid.scale.len() == 1 {
            let bound = |v: f32| Tensor::from_f32(Vec::new(), vec![v]).map_err(|e| refuse(node, e.to_string()));
            let clipped = self.fresh(&format!("{real}_clipped"));
            let low = self.constant(&format!("{clipped}_min"), bound(0.0)?);
            let high = self.constant(&format!("{clipped}_max"), bound(hi)?);
            let inputs = vec![Some(real), Some(low), Some(high)];
            self.float(&clipped, "Clip", inputs, clipped.clone(), Attrs::default());
            clipped
        } else {
            real
        };
        if grid.scale.len() == 1 {
            let params = QuantParams::per_tensor(grid.dtype, grid.scale[0], grid.zero[0]);
            let quant = ActivationQuant { params, lo, hi, method: "file".to_owned() };
            self.table.activations.insert(real.clone(), quant);
        }
        if self.outputs.contains(integer) {
            let output = Some(real.clone());
            self.float(&node.name, "Identity", vec![output], integer.to_owned(), Attrs::default());
        }
        self.integer.insert(integer.to_owned(), (real, grid));
        Ok(())
    }

    /// Removes constants that nothing reads any more.
    fn finish(&mut self) {
        let read: BTreeSet<&String> = self.out.iter().flat_map(|n| n.inputs.iter().flatten()).collect();
        let outputs = &self.outputs;
        self.constants.retain(|name, _| read.contains(name) || outputs.contains(name));
        let constants = &self.constants;
        self.table.weights.retain(|name, _| constants.contains_key(name));
    }
}

/// The axis of several scales, and the elements of one index along it; `None` when they do not fit the shape.
fn channels(shape: &[usize], scales: usize, axis: i64) -> Option<(Option<usize>, usize)> {
    if scales == 1 {
        return Some((None, 1));
    }
    let axis = ptq_ir::ops::axis(axis, shape.len()).filter(|&a| shape[a] == scales)?;
    Some((Some(axis), shape[axis + 1..].iter().product::<usize>().max(1)))
}
