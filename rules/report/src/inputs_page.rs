//! The page of image inputs: for each march and type at run time, what every artifact takes. Written to `docs/inputs.md`.

use ptq_ir::{InputSpec, InputType, Layout, legal_sources, legal_types_rt};
use ptq_march::March;
use std::fmt::Write as _;

const TRAINED: [InputType; 5] =
    [InputType::Rgb, InputType::Bgr, InputType::Yuv444, InputType::Gray, InputType::Featuremap];
const RUN_TIME: [InputType; 6] =
    [InputType::Nv12, InputType::Yuv444, InputType::Rgb, InputType::Bgr, InputType::Gray, InputType::Featuremap];

const HEAD: &str = "\
# Inputs

Generated from `rules/ir/src/image_input.rs` and the march files; a test keeps it fresh.

`type_rt` says what arrives at run time. Its conversion to `type_train`, the shift by 128 and `(x - mean) * scale` become the first \
node of the model, `<input>_preprocess`. Without `type_rt` an input takes float32 numbers, for images pixels 0..255 as trained.

The ONNX files take the middle type: the planes that the accelerator makes of the frame, less 128, as float32. Pictures and pixels \
of calibration data pass through the frame that they would be at run time, so nv12 loses its chroma there too; a `.npy` of int8 \
holds the middle type as it is. `.nv12`, `.yuv`, and for `ptq run` also `.bin` and `.raw`, hold frames.

Colour: ITU-R BT.601-7 with Kr = 0.299 and Kb = 0.114; `regular` is full range (JFIF 1.02), `bt601_video` has luma 16..235 and chroma \
16..240. Chroma of nv12 is the mean of 2 x 2 pixels and serves all four of them. Bytes are nearest, ties upwards.

An nv12 frame has N·H·W·3/2 bytes. The model's input has N·H·W·3 numbers, because the accelerator expands the frame to full planes \
on its way in. Height and width must be even. Rows may be padded to a multiple of 16 bytes.
";

/// The page in Markdown.
pub fn inputs_markdown() -> String {
    let mut out = HEAD.to_owned();
    out += "\n## Legal pairs\n\n| type_train | type_rt |\n| --- | --- |\n";
    for train in TRAINED {
        let words: Vec<&str> = legal_types_rt(train).iter().map(|t| t.word()).collect();
        let _ = writeln!(out, "| {} | {} |", train.word(), words.join(", "));
    }
    out += "\n## Artifacts\n\nFor a float model in NCHW, batch 1. Float files: original_float.onnx, optimized_float.onnx, calibrated.onnx. \
            \"Stored\": type and value of zero of the first integer tensor.\n\n\
            | march | type_rt | source (default first) | float files | quantized.onnx | stored | model.bin | bytes |\n\
            | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for march in ptq_march::names().filter_map(|name| March::from_toml(&ptq_march::source(name)?).ok()) {
        for rt in RUN_TIME {
            let _ = writeln!(out, "| {} | {} |", march.name, row(&march, rt));
        }
    }
    out
}

fn row(march: &March, rt: InputType) -> String {
    let train = if matches!(rt, InputType::Gray | InputType::Featuremap) { rt } else { InputType::Rgb };
    let spec = InputSpec { type_train: train, type_rt: Some(rt), ..InputSpec::default() };
    let sources: Vec<&str> = legal_sources(rt).iter().map(|s| s.word()).collect();
    let middle = spec.middle_word();
    let stored = march.quantization.image_input;
    let (stored, run, bytes) = match spec.middle() {
        None => ("as calibrated".to_owned(), format!("float32, {}", spec.layout_train.word()), "4·elements".to_owned()),
        Some(_) => {
            let bytes = match rt {
                InputType::Nv12 => "H·W·3/2",
                InputType::Gray => "H·W",
                _ => "H·W·3",
            };
            let shown = if rt == InputType::Nv12 { "frame" } else { spec.layout_run().word() };
            (
                format!("{} at {}", stored.dtype, stored.zero_point + 128),
                format!("{}, {shown}", rt.word()),
                bytes.to_owned(),
            )
        }
    };
    let (float, quantized): (Layout, Layout) = (spec.layout_train, spec.layout_quantized());
    format!(
        "{} | {} | {middle}, {} | {middle}, {} | {stored} | {run} | {bytes}",
        rt.word(),
        sources.join(", "),
        float.word(),
        quantized.word()
    )
}

#[cfg(test)]
mod tests {
    use super::inputs_markdown;

    #[test]
    fn the_page_holds_the_published_layouts() {
        let page = inputs_markdown();
        let row = "| bayes | nv12 | pyramid, resizer | yuv444_128, NCHW | yuv444_128, NHWC | int8 at 0 | nv12, frame | H·W·3/2 |";
        assert!(page.contains(row), "{page}");
        let row = "| bayes | rgb | ddr | rgb_128, NCHW | rgb_128, NCHW | int8 at 0 | rgb, NCHW | H·W·3 |";
        assert!(page.contains(row), "{page}");
    }
}
