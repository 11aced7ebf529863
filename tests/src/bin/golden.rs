//! Writes `tests/golden/*.json`: outputs of stock ONNX Runtime and digests of our artifacts for the example models.
//! Run it after an intended change of outputs, and look at the difference before committing it.

#![allow(clippy::print_stdout)]

use ptq_cache::Digest;
use ptq_engine::FILES;
use ptq_tests::goldens::{Built, EXAMPLES, Example, Golden, path};
use ptq_tests::oracle::run;

fn main() -> Result<(), String> {
    for example in EXAMPLES {
        let golden = record(example)?;
        let text = serde_json::to_string(&golden).map_err(|e| e.to_string())?;
        let path = path(example);
        std::fs::write(&path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))?;
        println!("{}: {} images, {} artifacts", path.display(), golden.float.len(), golden.artifacts.len());
    }
    Ok(())
}

fn record(example: &Example) -> Result<Golden, String> {
    let below = tempfile::tempdir().map_err(|e| e.to_string())?;
    let built = Built::new(example, below.path())?;
    let loaded = built.load(example.cpu).map_err(|e| e.to_string())?;
    let mut golden = Golden::default();
    for image in example.images {
        let input = built.image(&loaded, &built.folder.file("data/eval").join(image));
        let float = run(&built.out(example.cpu, "original_float.onnx"), example.input, &input, "default")?;
        let quantized = run(&built.out(example.cpu, "quantized.onnx"), example.input, &input, "exact")?;
        let values = |t: &ptq_ir::Tensor| t.f32s().map(<[f32]>::to_vec).map_err(|e| e.to_string());
        golden.float.insert((*image).to_owned(), values(&float)?);
        golden.quantized.insert((*image).to_owned(), values(&quantized)?);
    }
    for variant in [example.cpu, example.bayes] {
        for file in FILES {
            let bytes = std::fs::read(built.out(variant, file)).map_err(|e| format!("{variant}/{file}: {e}"))?;
            golden.artifacts.insert(format!("{variant}/{file}"), Digest::of(&bytes).hex());
        }
    }
    Ok(golden)
}
