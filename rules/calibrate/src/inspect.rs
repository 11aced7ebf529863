//! The inspect rule: what the files of one shard of samples hold. Asked for by calibrate before anything runs, so that all
//! files that do not fit are named at once.

use crate::samples::samples_of;
use ptq_ir::{DType, Diagnostic, InputSpec, Layout, Tensor, numel};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step};
use serde::{Deserialize, Serialize};

/// A model input as samples must fill it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampledInput {
    /// Name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape in the model's axis order.
    pub shape: Vec<usize>,
    /// Description of the manifest.
    pub spec: InputSpec,
}

/// What inspect reads of the configuration. The model's graph is not part of it: models with equal inputs share the result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InspectParams {
    /// Inputs in the model's order.
    pub inputs: Vec<SampledInput>,
}

/// One file of calibration data, as it is stored; a picture as the pixels that the input takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Input that it fills.
    pub input: String,
    /// File name below the data folder.
    pub file: String,
    /// BLAKE3 of its bytes, in hexadecimal digits.
    pub hash: String,
    /// Shape of the array; of a picture that of the input.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
    /// Least finite value; 0 where there is none.
    pub min: f64,
    /// Greatest finite value; 0 where there is none.
    pub max: f64,
    /// Mean of the finite values, summed in file order; 0 where there is none.
    pub mean: f64,
    /// Elements that are not a number.
    pub nans: u64,
    /// Means of the finite values of each channel, for image inputs with three of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<f64>,
    /// Whether planes are declared and neighbours in the file differ much more than every third element: pixels stand side by side.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interleaved: bool,
}

/// What inspect found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inspected {
    /// Files that fit, in the order of samples and inputs.
    pub files: Vec<FileFacts>,
    /// One problem for each file that does not.
    pub problems: Vec<Diagnostic>,
}

/// Name of the output blob ([`Inspected`]) and of calibrate's own (a list of [`FileFacts`]).
pub const DATA: &str = "data.json";

/// `sample/<input>/<file>` → `data.json`.
#[derive(Clone, Copy, Debug, Default)]
pub struct InspectRule;

impl BuildRule for InspectRule {
    fn name(&self) -> &'static str {
        "inspect"
    }

    fn version(&self) -> u32 {
        2
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: InspectParams = ctx.params()?;
        let names: Vec<&str> = params.inputs.iter().map(|i| i.name.as_str()).collect();
        let samples = samples_of(&names, &ctx.inputs.names()).map_err(Failure::from)?;
        let look = |i: usize| {
            let file = |(input, (blob, file)): (&SampledInput, &(String, String))| {
                Ok(facts(input, file, &ctx.input(blob)?).map_err(|d| d.value(&input.name)))
            };
            params.inputs.iter().zip(&samples[i]).map(file).collect::<Result<Vec<_>, Failure>>()
        };
        let mut out = Inspected::default();
        for found in crate::spread::spread(samples.len(), ctx, look)?.into_iter().flatten() {
            match found {
                Ok(facts) => out.files.push(facts),
                Err(problem) => out.problems.push(problem),
            }
        }
        let json = serde_json::to_vec(&out)
            .map_err(|e| Failure::from(Diagnostic::error("CALIB03", format!("{DATA} does not encode: {e}"))))?;
        Ok(Step::Done(Blobs::from([(DATA.to_owned(), json.into())])))
    }
}

fn facts(input: &SampledInput, file: &str, bytes: &[u8]) -> Result<FileFacts, Diagnostic> {
    let (spec, shape) = input.spec.sample(&input.shape);
    let tensor = ptq_sample::held(file, bytes, &spec, input.dtype, &shape)?;
    let hash = blake3::hash(bytes).to_hex().to_string();
    let mut out = facts_of(&input.name, file, hash, &tensor);
    let planes = spec.layout_train == Layout::Nchw;
    let channels = shape.get(if planes { 1 } else { 3 });
    if shape.len() == 4 && channels == Some(&3) && spec.type_train.is_image() && numel(&shape) == Some(tensor.len()) {
        let values = tensor.to_f64s();
        let plane = if planes { shape[2] * shape[3] } else { 1 };
        out.channels = (0..3).map(|k| mean(values.iter().skip(k * plane).enumerate(), plane)).collect();
        out.interleaved = planes && roughness(&values, 1) > INTERLEAVED * roughness(&values, 3);
    }
    Ok(out)
}

/// How much rougher a file of planes is from element to element than from each to the third behind it before its pixels seem to
/// stand side by side; in planes neighbours differ least.
const INTERLEAVED: f64 = 1.5;

/// Mean of the finite values of one channel: runs of `plane` elements, of which every third counts.
fn mean<'v>(values: impl Iterator<Item = (usize, &'v f64)>, plane: usize) -> f64 {
    let own = values.filter(|(i, v)| (i / plane).is_multiple_of(3) && v.is_finite());
    let (sum, n) = own.fold((0.0, 0u64), |(sum, n), (_, v)| (sum + v, n + 1));
    sum / n.max(1) as f64
}

/// Mean distance of the finite elements that stand `step` apart.
fn roughness(values: &[f64], step: usize) -> f64 {
    let distances = values.iter().zip(values.iter().skip(step)).map(|(a, b)| (a - b).abs()).filter(|d| d.is_finite());
    let (sum, n) = distances.fold((0.0, 0u64), |(sum, n), d| (sum + d, n + 1));
    sum / n.max(1) as f64
}

fn facts_of(input: &str, file: &str, hash: String, tensor: &Tensor) -> FileFacts {
    let (mut min, mut max, mut sum, mut finite, mut nans) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0u64, 0u64);
    for v in tensor.to_f64s() {
        nans += u64::from(v.is_nan());
        if v.is_finite() {
            (min, max, sum, finite) = (min.min(v), max.max(v), sum + v, finite + 1);
        }
    }
    if finite == 0 {
        (min, max) = (0.0, 0.0);
    }
    let (shape, dtype, mean) = (tensor.shape().to_vec(), tensor.dtype(), sum / finite.max(1) as f64);
    let (input, file) = (input.to_owned(), file.to_owned());
    FileFacts { input, file, hash, shape, dtype, min, max, mean, nans, channels: Vec::new(), interleaved: false }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::CalibrateParams;
    use crate::testing::run;
    use ptq_ir::{Attrs, GraphBuilder, InputType};
    use ptq_rule::put_graph;

    /// Runs the whole stage on one Relu over [1, 1, 2, 2] with these files, one a shard, on march `cpu`.
    fn calibrate(files: &[(&str, &[usize])]) -> Result<Blobs, Failure> {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[1, 1, 2, 2]);
        let y = b.node("Relu", "relu", &[x], Attrs::default(), &[1, 1, 2, 2]);
        b.output(y);
        let mut inputs = Blobs::new();
        put_graph(&mut inputs, &b.finish()).unwrap();
        inputs.insert("march".into(), ptq_march::source("cpu").unwrap().into_owned().into());
        for (file, shape) in files {
            let n = shape.iter().product::<usize>();
            let tensor = Tensor::from_f32(*shape, (0..n).map(|i| i as f32 * 60.0).collect()).unwrap();
            let npy = ptq_sample::write_npy(&tensor).unwrap();
            inputs.insert(ptq_sample::sample_name(ptq_sample::ONLY_INPUT, file), npy.into());
        }
        let spec = InputSpec { type_train: InputType::Gray, ..InputSpec::default() };
        let params =
            CalibrateParams { inputs: [("x".to_owned(), spec)].into(), shard: 1, ..CalibrateParams::default() };
        let params = serde_json::to_string(&params).unwrap();
        run("calibrate", &inputs, &params, 1, &mut Vec::new())
    }

    #[test]
    fn every_file_is_listed_and_doubts_are_warnings() {
        let out = calibrate(&[("a.npy", &[1, 1, 2, 2]), ("b.npy", &[1, 2, 2])]).unwrap();
        let files: Vec<FileFacts> = serde_json::from_slice(&out[DATA]).unwrap();
        let shown: Vec<_> =
            files.iter().map(|f| (f.file.as_str(), f.shape.len(), f.min, f.max, f.mean, f.nans)).collect();
        assert_eq!(shown, [("a.npy", 4, 0.0, 180.0, 90.0, 0), ("b.npy", 3, 0.0, 180.0, 90.0, 0)], "as stored");
        assert!(files[0].hash != files[1].hash && files[0].hash.len() == 64);
        let warnings: Vec<Diagnostic> = serde_json::from_slice(&out["warnings.json"]).unwrap();
        assert_eq!(warnings.iter().map(|d| d.code.as_str()).collect::<Vec<_>>(), ["DATA01"]);
    }

    /// Facts of an array for an rgb input that arrives as nv12.
    fn of_array(tensor: &Tensor) -> FileFacts {
        let spec = InputSpec { type_train: InputType::Rgb, type_rt: Some(InputType::Nv12), ..InputSpec::default() };
        let input = SampledInput { name: "x".into(), dtype: DType::F32, shape: vec![1, 3, 8, 8], spec };
        facts(&input, "a.npy", &ptq_sample::write_npy(tensor).unwrap()).unwrap()
    }

    #[test]
    fn arrays_are_described_as_they_are_stored_whatever_arrives_at_run_time() {
        let mut values: Vec<f32> = (0..192).map(|i| (i / 64) as f32 - 1.0).collect();
        values[5] = f32::NAN;
        let found = of_array(&Tensor::from_f32([1, 3, 8, 8], values).unwrap());
        assert_eq!((found.min, found.max, found.nans), (-1.0, 1.0, 1));
        assert_eq!(found.channels, [-1.0, 0.0, 1.0]);
        let bytes = of_array(&Tensor::from_u8([1, 3, 8, 8], vec![7; 192]).unwrap());
        assert_eq!((bytes.dtype, bytes.min, bytes.interleaved), (DType::U8, 7.0, false));
    }

    #[test]
    fn pixels_side_by_side_in_planes_are_noticed() {
        let pixel = |p: usize, k: usize| (p * 2 + k * 60) as f32;
        let planes: Vec<f32> = (0..3).flat_map(|k| (0..64).map(move |p| pixel(p, k))).collect();
        let pixels: Vec<f32> = (0..64).flat_map(|p| (0..3).map(move |k| pixel(p, k))).collect();
        let of = |values: Vec<f32>| of_array(&Tensor::from_f32([1, 3, 8, 8], values).unwrap()).interleaved;
        assert!(!of(planes) && of(pixels));
    }

    #[test]
    fn bad_files_of_all_shards_are_named_together() {
        let problems = calibrate(&[("a.npy", &[1, 2, 2, 2]), ("b.npy", &[1, 1, 2, 2]), ("c.npy", &[4])]).unwrap_err();
        let files: Vec<_> = problems.diagnostics.iter().map(|d| d.place.file.clone().unwrap()).collect();
        assert_eq!(files, ["a.npy", "c.npy"]);
    }
}
