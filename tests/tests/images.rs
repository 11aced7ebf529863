//! Image inputs from file to result: nv12 frames, pictures and calibration pixels pass through one conversion, which an
//! independent reference in NumPy confirms; the manifest refuses what does not go together.

#![allow(clippy::print_stdout)] // Figures for the log of a run with --nocapture.

use ptq_ir::{DType, InputSpec, InputType, SpaceAndRange, Tensor};
use ptq_tests::oracle;
use ptq_tests::project::TestProject;
use ptq_tests::ptq::ptq;
use ptq_tests::skip::need;
use std::path::Path;

/// The segmenter with these keys for its input, which is 64 x 64 RGB.
fn project(keys: &str) -> TestProject {
    let p = TestProject::new(&format!(
        "[model.net]\npath = \"model.onnx\"\n[model.net.input.image]\nshape = [1, 3, 64, 64]\ntype_train = \"rgb\"\n{keys}\n\
         [model.net.calibration]\ndata = \"calib\"\n\
         [[variant]]\nname = \"cpu\"\nmodel = \"net\"\nmarch = \"cpu\"\n\
         [[variant]]\nname = \"bayes\"\nmodel = \"net\"\nmarch = \"bayes\"\n"
    ));
    p.copy("examples/shape-segmenter/model.onnx", "model.onnx");
    for i in 0..4 {
        p.copy(&format!("examples/shape-segmenter/data/calib/00{i}.png"), &format!("calib/00{i}.png"));
    }
    p
}

const NORMAL: &str = "mean = [127.5, 127.5, 127.5]\nscale = [0.007843137, 0.007843137, 0.007843137]\n";

fn output(dir: &Path) -> Tensor {
    let file = std::fs::read_dir(dir).expect("outputs").flatten().next().expect("an output").path();
    ptq_sample::read_npy(&std::fs::read(file).expect("readable")).expect("npy")
}

fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_f64s(), b.to_f64s());
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

/// A picture with soft and hard edges, as PNG and as `[H, W, 3]` bytes.
fn picture(h: usize, w: usize) -> (Vec<u8>, Tensor) {
    let pixel = |i: usize| {
        let (y, x, k) = (i / 3 / w, i / 3 % w, i % 3);
        ((y * 7 + x * 3 + k * 90 + if (x / 5 + y / 3) % 2 == 0 { 120 } else { 0 }) % 256) as u8
    };
    let bytes: Vec<u8> = (0..h * w * 3).map(pixel).collect();
    let image = image::RgbImage::from_raw(w as u32, h as u32, bytes.clone()).expect("a picture");
    let mut png = std::io::Cursor::new(Vec::new());
    image.write_to(&mut png, image::ImageFormat::Png).expect("png");
    (png.into_inner(), Tensor::from_u8([h, w, 3], bytes).expect("a tensor"))
}

#[test]
fn conversion_agrees_with_the_reference_to_one_step() {
    if need(oracle::python()).is_none() {
        return;
    }
    let (png, pixels) = picture(34, 46);
    for range in [SpaceAndRange::Regular, SpaceAndRange::Bt601Video] {
        let dir = tempfile::tempdir().expect("a folder");
        let npy = dir.path().join("picture.npy");
        std::fs::write(&npy, ptq_sample::write_npy(&pixels).expect("npy")).expect("written");
        let mut args = vec!["frames".to_owned(), "--picture".into(), npy.display().to_string()];
        args.extend(["--out".into(), dir.path().display().to_string()]);
        args.extend((range == SpaceAndRange::Bt601Video).then(|| "--video".to_owned()));
        assert_eq!(oracle::ask(&args).expect("the oracle answers")["bytes"], 34 * 46 * 3 / 2);
        let read = |name: &str| std::fs::read(dir.path().join(name)).expect("written by the oracle");
        let truth = ptq_sample::read_npy(&read("planes.npy")).expect("npy");
        let spec = InputSpec {
            type_train: InputType::Rgb,
            type_rt: Some(InputType::Nv12),
            space_and_range: range,
            ..InputSpec::default()
        };
        let decode = |name: &str, bytes: &[u8]| {
            ptq_sample::decode(name, bytes, &spec, DType::F32, &[1, 3, 34, 46]).expect("decodes")
        };
        // A frame has one meaning: reading it is exact.
        assert_eq!(decode("frame.nv12", &read("frame.nv12")), truth, "{range:?}");
        // Integer and float64 conversion differ at ties alone: one step, in one element of a hundred at most.
        let ours = decode("picture.png", &png);
        let apart: Vec<f64> = ours.to_f64s().iter().zip(truth.to_f64s()).map(|(a, b)| (a - b).abs()).collect();
        let differ = apart.iter().filter(|d| **d > 0.0).count();
        assert!(apart.iter().all(|d| *d <= 1.0), "{range:?}");
        assert!(differ * 100 <= apart.len(), "{range:?}: {differ} of {}", apart.len());
        println!("{range:?}: {differ} of {} elements differ by one step", apart.len());
        // The same pixels as a calibration array give the same planes.
        let planes = |k: usize| (0..34 * 46).map(move |p| 3 * p + k);
        let nchw: Vec<u8> = (0..3).flat_map(planes).map(|i| pixels.u8s().expect("bytes")[i]).collect();
        let nchw = Tensor::from_u8([1, 3, 34, 46], nchw).expect("a tensor");
        assert_eq!(decode("picture.npy", &ptq_sample::write_npy(&nchw).expect("npy")), ours);
        // The preprocess node is the reference's inverse.
        if range == SpaceAndRange::Regular {
            let rgb = ptq_sample::read_npy(&read("rgb.npy")).expect("npy");
            node_agrees(&truth, &rgb);
        }
    }
}

/// Builds the segmenter without normalization and compares its preprocess node's output with the reference's pixels.
fn node_agrees(planes: &Tensor, rgb: &Tensor) {
    let p = project("type_rt = \"nv12\"\n");
    let s = ptq(p.path(), &["build", "cpu"]);
    assert_eq!(s.code, 0, "{}{}", s.stdout, s.stderr);
    let bytes = std::fs::read(p.file("out/cpu/original_float.onnx")).expect("built");
    let raw = ptq_onnx::import(&bytes.into(), &|_| None, &ptq_onnx::Limits::default()).expect("imports");
    let pre = raw.nodes.iter().find(|n| n.name == "image_preprocess").expect("a preprocess node");
    let constant = |i: usize| raw.constants[pre.inputs[i].as_ref().expect("given")].f32s().expect("f32").to_vec();
    let (weight, bias) = (constant(1), constant(2));
    let (x, y) = (planes.f32s().expect("f32"), rgb.f32s().expect("f32"));
    let n = x.len() / 3;
    for i in 0..n {
        for c in 0..3 {
            let got: f32 = (0..3).map(|k| weight[3 * c + k] * x[k * n + i]).sum::<f32>() + bias[c];
            assert!((got - y[c * n + i]).abs() < 1e-3, "pixel {i}, channel {c}: {got} for {}", y[c * n + i]);
        }
    }
}

#[test]
fn a_frame_and_its_picture_give_the_same_result_on_both_marches() {
    let p = project(&format!("type_rt = \"nv12\"\n{NORMAL}"));
    let s = ptq(p.path(), &["build"]);
    assert_eq!(s.code, 0, "{}{}", s.stdout, s.stderr);
    let (png, _) = picture(64, 64);
    p.write("picture.png", &png);
    let spec = InputSpec { type_train: InputType::Rgb, type_rt: Some(InputType::Nv12), ..InputSpec::default() };
    let planes = ptq_sample::decode("p.png", &png, &spec, DType::F32, &[1, 3, 64, 64]).expect("decodes");
    let x = planes.f32s().expect("f32");
    let at = |k: usize, y: usize, x_: usize| (x[(k * 64 + y) * 64 + x_] + 128.0) as u8;
    let mut frame: Vec<u8> = (0..64 * 64).map(|i| at(0, i / 64, i % 64)).collect();
    frame.extend((0..32 * 32).flat_map(|i| [1, 2].map(|k| at(k, i / 32 * 2, i % 32 * 2))));
    p.write("frame.nv12", &frame);
    for variant in ["cpu", "bayes"] {
        let bin = format!("out/{variant}/model.bin");
        for (file, dir) in [("frame.nv12", "f"), ("picture.png", "p")] {
            let s = ptq(
                p.path(),
                &["run", &bin, "--input", &format!("image={file}"), "--output", &format!("{variant}-{dir}")],
            );
            assert_eq!(s.code, 0, "{}", s.stderr);
        }
        let (frame, picture) = (output(&p.file(&format!("{variant}-f"))), output(&p.file(&format!("{variant}-p"))));
        assert_eq!(frame, picture, "{variant}");
        let s = ptq(p.path(), &["verify", variant, "--input", "image=frame.nv12"]);
        assert_eq!(s.code, 0, "{}{}", s.stdout, s.stderr);
    }
    // The conversion costs little on a picture such as the model knows (hard colour edges everywhere would cost much).
    let rgb = project(NORMAL);
    assert_eq!(ptq(rgb.path(), &["build", "cpu"]).code, 0);
    for folder in [&p, &rgb] {
        let args = ["run", "out/cpu/model.bin", "--input", "image=calib/000.png", "--output", "known"];
        let s = ptq(folder.path(), &args);
        assert_eq!(s.code, 0, "{}", s.stderr);
    }
    let near = cosine(&output(&p.file("known")), &output(&rgb.file("known")));
    println!("nv12 against rgb: cosine {near:.6}");
    assert!(near > 0.95, "{near}");
    let short = &frame[..frame.len() - 1];
    p.write("short.nv12", short);
    let s = ptq(p.path(), &["run", "out/cpu/model.bin", "--input", "image=short.nv12", "--output", "o"]);
    assert!(s.code == 1 && s.stderr.contains("short.nv12") && s.stderr.contains("6144"), "{}", s.stderr);
}

#[test]
fn the_quantized_file_of_nv12_is_channels_last_and_equals_the_compiled_model() {
    let p = project(&format!("type_rt = \"nv12\"\n{NORMAL}"));
    let s = ptq(p.path(), &["build", "cpu"]);
    assert_eq!(s.code, 0, "{}", s.stderr);
    let shape = |file: &str| {
        let bytes = std::fs::read(p.file(&format!("out/cpu/{file}"))).expect("built");
        ptq_onnx::file_ports(&bytes).expect("ports").0[0].dims.clone().expect("fixed")
    };
    assert_eq!(shape("original_float.onnx"), [1, 3, 64, 64]);
    assert_eq!(shape("calibrated.onnx"), [1, 3, 64, 64]);
    assert_eq!(shape("quantized.onnx"), [1, 64, 64, 3]);
    if need(oracle::python()).is_none() {
        return;
    }
    let (png, _) = picture(64, 64);
    p.write("picture.png", &png);
    let s = ptq(p.path(), &["run", "out/cpu/model.bin", "--input", "image=picture.png", "--output", "o"]);
    assert_eq!(s.code, 0, "{}", s.stderr);
    let spec = InputSpec { type_train: InputType::Rgb, type_rt: Some(InputType::Nv12), ..InputSpec::default() };
    let planes = ptq_sample::decode("p.png", &png, &spec, DType::F32, &[1, 3, 64, 64]).expect("decodes");
    let x = planes.f32s().expect("f32");
    let nhwc = (0..64 * 64 * 3).map(|i| x[i % 3 * 64 * 64 + i / 3]).collect();
    let nhwc = Tensor::from_f32([1, 64, 64, 3], nhwc).expect("a tensor");
    let theirs = oracle::run(&p.file("out/cpu/quantized.onnx"), "image", &nhwc, "exact").expect("ONNX Runtime runs it");
    let near = cosine(&theirs, &output(&p.file("o")));
    println!("ONNX Runtime against model.bin: cosine {near:.8}");
    assert!(near > 0.999, "{near}");
}

#[test]
fn illegal_combinations_are_named_together_with_what_is_legal() {
    let refused = |keys: &str, words: &[&str]| {
        let s = ptq(project(keys).path(), &["build", "cpu"]);
        assert_eq!(s.code, 2, "{keys}: {}{}", s.stdout, s.stderr);
        for word in words {
            assert!(s.stderr.contains(word), "{keys}: {word:?} is missing in:\n{}", s.stderr);
        }
    };
    refused("type_rt = \"gray\"", &["ptq.toml:6", "nv12, yuv444, rgb, bgr"]);
    refused("type_rt = \"rgb\"\nsource = \"pyramid\"", &["ptq.toml:7", "does not support source", "supports ddr"]);
    refused("type_rt = \"bgr\"\nspace_and_range = \"bt601_video\"", &["ptq.toml:7", "it needs type_rt = \"nv12\""]);
    refused("type_rt = \"nv12\"\nlayout_rt = \"NCHW\"", &["no channel axis"]);
    refused("layout_rt = \"NHWC\"\nsource = \"ddr\"", &["layout_rt needs type_rt", "source needs type_rt"]);
    refused("norm_type = \"data_mean\"\nscale = 2.0", &["takes mean, given is scale"]);
    refused("norm_type = \"no_preprocess\"\nmean = 2.0", &["none of mean, scale and std"]);
    let p = project("type_rt = \"nv12\"\n");
    let s = ptq(p.path(), &["build", "cpu", "-D", "input.image.source=resizer"]);
    assert!(s.code == 0, "64 x 64 fits a resizer: {}", s.stderr);
}
