//! Network operators against values of ONNX Runtime and of the operators' formulas.
#![allow(clippy::unwrap_used)]
#![allow(clippy::excessive_precision, clippy::approx_constant, reason = "printed by the outside oracle")]

use ptq_exec::{eval, eval_outputs};
use ptq_ir::{Attr, Attrs, Tensor};

fn f32s(shape: &[usize], data: &[f32]) -> Tensor {
    Tensor::from_f32(shape, data.to_vec()).unwrap()
}

/// 0, 1, 2 … in this shape.
fn counting(shape: &[usize]) -> Tensor {
    Tensor::from_f32(shape, (0..shape.iter().product::<usize>()).map(|i| i as f32).collect()).unwrap()
}

fn ints(v: &[i64]) -> Attr {
    Attr::Ints(v.to_vec())
}

fn run(op: &str, attrs: Attrs, inputs: &[&Tensor], outputs: usize) -> Vec<Tensor> {
    let inputs: Vec<Option<&Tensor>> = inputs.iter().map(|t| Some(*t)).collect();
    eval_outputs(op, "", &attrs, &inputs, outputs).unwrap()
}

fn close(got: &Tensor, shape: &[usize], expect: &[f32]) {
    assert_eq!(got.shape(), shape);
    for (g, e) in got.f32s().unwrap().iter().zip(expect) {
        assert!((g - e).abs() <= 1e-5 * (1.0 + e.abs()), "{:?} instead of {expect:?}", got.f32s().unwrap());
    }
}

#[test]
fn a_volume_of_one_slice_convolves_as_its_image() {
    let (x, w) = (counting(&[1, 4, 6, 5]), counting(&[6, 2, 3, 3]));
    let b = counting(&[6]);
    let flat = Attrs::of([("group", Attr::Int(2)), ("pads", ints(&[1, 0, 1, 2])), ("strides", ints(&[2, 1]))]);
    let deep = Attrs::of([("group", Attr::Int(2)), ("pads", ints(&[0, 1, 0, 0, 1, 2])), ("strides", ints(&[1, 2, 1]))]);
    let image = run("Conv", flat.clone(), &[&x, &w, &b], 1).remove(0);
    let (x5, w5) = (x.reshaped([1, 4, 1, 6, 5]).unwrap(), w.reshaped([6, 2, 1, 3, 3]).unwrap());
    let volume = run("Conv", deep.clone(), &[&x5, &w5, &b], 1).remove(0);
    assert_eq!(volume.f32s().unwrap(), image.f32s().unwrap());
    let (w, w5) = (counting(&[4, 3, 3, 3]), counting(&[4, 3, 1, 3, 3]));
    let image = run("ConvTranspose", flat, &[&x, &w, &b], 1).remove(0);
    let volume = run("ConvTranspose", deep, &[&x5, &w5, &b], 1).remove(0);
    assert_eq!(volume.f32s().unwrap(), image.f32s().unwrap());
}

#[test]
fn pools_say_where_maxima_were() {
    let x = f32s(&[1, 1, 2, 4], &[1.0, 5.0, 5.0, 2.0, 7.0, 0.0, 1.0, 6.0]);
    let kernel = |order| Attrs::of([("kernel_shape", ints(&[2, 2])), ("storage_order", Attr::Int(order))]);
    let rows = run("MaxPool", kernel(0), &[&x], 2);
    assert_eq!((rows[0].f32s().unwrap(), rows[1].i64s().unwrap()), (&[7.0, 5.0, 6.0][..], &[4, 1, 7][..]));
    assert_eq!(run("MaxPool", kernel(1), &[&x], 2)[1].i64s().unwrap(), [1, 2, 7]);
    let pooled = run("MaxPool", Attrs::of([("kernel_shape", ints(&[1, 2])), ("strides", ints(&[1, 2]))]), &[&x], 2);
    let strides = Attrs::of([("kernel_shape", ints(&[1, 2])), ("strides", ints(&[1, 2]))]);
    let back = run("MaxUnpool", strides, &[&pooled[0], &pooled[1]], 1);
    close(&back[0], &[1, 1, 2, 4], &[0.0, 5.0, 5.0, 0.0, 7.0, 0.0, 0.0, 6.0]);
    let norm = run("LpPool", Attrs::of([("kernel_shape", ints(&[2, 1])), ("p", Attr::Int(1))]), &[&x], 1);
    close(&norm[0], &[1, 1, 1, 4], &[8.0, 5.0, 6.0, 8.0]);
    close(&run("GlobalLpPool", Attrs::default(), &[&x], 1)[0], &[1, 1, 1, 1], &[141.0f32.sqrt()]);
}

#[test]
fn recurrent_steps_follow_their_formulas() {
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let x = f32s(&[2, 1, 1], &[0.5, -1.0]);
    let w = f32s(&[1, 4, 1], &[0.1, 0.2, 0.3, 0.4]);
    let r = f32s(&[1, 4, 1], &[-0.5, 0.6, 0.7, 0.8]);
    let out = run("LSTM", Attrs::of([("hidden_size", Attr::Int(1))]), &[&x, &w, &r], 3);
    let (mut h, mut c) = (0.0f32, 0.0f32);
    for x in [0.5f32, -1.0] {
        let gate = |w: f32, r: f32| x * w + h * r;
        let (i, o, f) = (sigmoid(gate(0.1, -0.5)), sigmoid(gate(0.2, 0.6)), sigmoid(gate(0.3, 0.7)));
        c = f * c + i * gate(0.4, 0.8).tanh();
        h = o * c.tanh();
    }
    close(&out[1], &[1, 1, 1], &[h]);
    close(&out[2], &[1, 1, 1], &[c]);
    let (w, r) = (f32s(&[1, 3, 1], &[0.1, 0.2, 0.3]), f32s(&[1, 3, 1], &[0.4, 0.5, 0.6]));
    for linear in [0, 1] {
        let b = f32s(&[1, 6], &[0.0, 0.0, 0.1, 0.0, 0.0, 0.2]);
        let attrs = Attrs::of([("linear_before_reset", Attr::Int(linear)), ("direction", Attr::Str("reverse".into()))]);
        let out = run("GRU", attrs, &[&x, &w, &r, &b], 2);
        let mut h = 0.0f32;
        for x in [-1.0f32, 0.5] {
            let (z, reset) = (sigmoid(x * 0.1 + h * 0.4), sigmoid(x * 0.2 + h * 0.5));
            let state = if linear == 1 { reset * (h * 0.6 + 0.2) } else { reset * h * 0.6 + 0.2 };
            h = (1.0 - z) * (x * 0.3 + 0.1 + state).tanh() + z * h;
        }
        close(&out[1], &[1, 1, 1], &[h]);
    }
}

#[test]
fn samples_between_pixels_and_outside() {
    let x = f32s(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let grid = f32s(&[1, 1, 3, 2], &[0.0, 0.0, -1.0, -1.0, 3.0, 0.5]);
    let mode = |p: &str| Attrs::of([("padding_mode", Attr::Str(p.to_owned()))]);
    close(&run("GridSample", mode("zeros"), &[&x, &grid], 1)[0], &[1, 1, 1, 3], &[2.5, 0.25, 0.0]);
    close(&run("GridSample", mode("border"), &[&x, &grid], 1)[0], &[1, 1, 1, 3], &[2.5, 1.0, 4.0]);
    let cubic = Attrs::of([("mode", Attr::Str("cubic".to_owned()))]);
    let sizes = Tensor::vec_i64(vec![1, 1, 2, 4]);
    let out = eval("Resize", "", &cubic, &[Some(&x), None, None, Some(&sizes)]).unwrap().remove(0);
    close(
        &out,
        &[1, 1, 2, 4],
        &[0.89453125, 1.2265625, 1.7734375, 2.10546875, 2.8945312, 3.2265625, 3.7734375, 4.1054688],
    );
    let lrn = run("LRN", Attrs::of([("size", Attr::Int(1)), ("alpha", Attr::Float(1.0))]), &[&x], 1);
    close(&lrn[0], &[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0].map(|v: f32| v / (1.0 + v * v).powf(0.75)));
}
