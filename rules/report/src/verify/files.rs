//! The files of a variant against its contract: names, order, types and shapes of inputs and outputs, with the layout that
//! each file has by the table of `docs/inputs.md`.

use super::Port;
use super::ports::{of_graph, shown, with_integers};
use ptq_ir::{Graph, InputSpec, QGraph, QuantParams};
use ptq_march::ImageInput;
use std::collections::BTreeMap;

/// Files that are made of the integer program.
const INTEGER: [&str; 2] = ["quantized.onnx", "model.bin"];

/// Inputs and outputs of one file, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct FilePorts {
    /// File name.
    pub file: String,
    /// Inputs.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
    /// What the file says of each input that has a type at run time.
    pub specs: Vec<Option<InputSpec>>,
    /// How each input is stored, where it is quantized at the border.
    pub stored: Vec<Option<QuantParams>>,
}

/// One sentence for each difference of a file from the parsed graph, from the manifest's descriptions, and from how the
/// march stores images. Files made of the integer program have its types where it leaves a border away.
pub fn file_differences(
    original: &Graph,
    program: &QGraph,
    specs: &BTreeMap<String, InputSpec>,
    image: ImageInput,
    files: &[FilePorts],
) -> Vec<String> {
    let original = of_graph(original);
    let integer = with_integers(&original, program);
    let mut problems = Vec::new();
    for found in files {
        let [inputs, outputs] = if INTEGER.contains(&found.file.as_str()) { &integer } else { &original };
        let layout = |port: &Port| {
            let spec = specs.get(&port.name).filter(|s| s.middle().is_some() && found.file == "quantized.onnx");
            let dims = spec.and_then(|s| s.layout_train.nchw(&port.shape).map(|d| s.layout_quantized().shape(d)));
            Port { shape: dims.unwrap_or_else(|| port.shape.clone()), ..port.clone() }
        };
        let wanted: Vec<Port> = inputs.iter().map(layout).collect();
        for (kind, wanted, got) in [("inputs", &wanted, &found.inputs), ("outputs", outputs, &found.outputs)] {
            if wanted != got {
                problems.push(format!("{kind} of {} are {}, must be {}", found.file, shown(got), shown(wanted)));
            }
        }
        // By the order of the graph: where names and order differ, that was said.
        let described = found.specs.iter().zip(&found.stored);
        for (port, (said, stored)) in inputs.iter().zip(described) {
            let Some(spec) = specs.get(&port.name).filter(|s| s.type_rt.is_some()) else { continue };
            if said.as_ref() != Some(spec) {
                let (said, wanted) = (said.as_ref().map(|s| arrives(s, port)), arrives(spec, port));
                let said = said.unwrap_or_else(|| "nothing".to_owned());
                let why = if said == wanted { ", with another normalization" } else { "" };
                problems.push(format!("{} says that {} takes {said}{why}, must be {wanted}", found.file, port.name));
            }
            // Planes less 128 are stored 128 higher than pixels.
            let wanted = (image.dtype, image.zero_point + 128);
            let stored = stored.as_ref().map(|q| (q.dtype, q.zero_point0()));
            if let Some((dtype, zero)) = stored.filter(|&s| spec.middle().is_some() && s != wanted) {
                let (file, name) = (&found.file, &port.name);
                problems
                    .push(format!("{file} stores {name} as {dtype} at {zero}, must be {} at {}", wanted.0, wanted.1));
            }
        }
    }
    problems
}

/// What arrives at run time, as a row of `docs/inputs.md` says it.
fn arrives(spec: &InputSpec, port: &Port) -> String {
    let rt = spec.type_rt.unwrap_or(spec.type_train).word();
    let bytes = spec.frame_bytes(&port.shape).map_or_else(|| "numbers".to_owned(), |b| format!("{b} bytes"));
    format!("{bytes} of {rt} in {} from {}", spec.layout_run().word(), spec.source().word())
}
