//! Float operators against straightforward double-precision references.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use ptq_exec::eval;
use ptq_ir::{Attr, Attrs, DType, Tensor};

fn one(op: &str, attrs: Attrs, inputs: &[&Tensor]) -> Tensor {
    let inputs: Vec<Option<&Tensor>> = inputs.iter().map(|t| Some(*t)).collect();
    eval(op, "", &attrs, &inputs).unwrap().remove(0)
}

fn ints(v: &[i64]) -> Attr {
    Attr::Ints(v.to_vec())
}

/// A tensor of numbers in -2..2 from a seed.
fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let data = (0..shape.iter().product()).map(|_| {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 40) as f32 / (1 << 22) as f32 - 2.0
    });
    Tensor::from_f32(shape, data.collect()).unwrap()
}

fn close(got: &Tensor, shape: &[usize], expect: &[f64]) {
    assert_eq!(got.shape(), shape);
    for (i, (g, e)) in got.to_f64s().iter().zip(expect).enumerate() {
        assert!((g - e).abs() <= 2e-5 * (1.0 + e.abs()), "element {i}: {g} instead of {e}");
    }
}

#[test]
fn unary_functions_follow_their_formulas() {
    let x = random(&[3, 50], 1);
    let v = x.to_f64s();
    let alpha = |a: f32| Attrs::of([("alpha", Attr::Float(a))]);
    let erf = |x: f64| {
        let (mut term, mut sum) = (x, x);
        for n in 1..60 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    };
    let check = |op: &str, attrs: Attrs, f: &dyn Fn(f64) -> f64| {
        close(&one(op, attrs, &[&x]), &[3, 50], &v.iter().map(|&x| f(x)).collect::<Vec<_>>());
    };
    let none = Attrs::default;
    check("Relu", none(), &|x| x.max(0.0));
    check("LeakyRelu", alpha(0.1), &|x| if x < 0.0 { 0.1 * x } else { x });
    check("Elu", alpha(1.5), &|x| if x < 0.0 { 1.5 * x.exp_m1() } else { x });
    check("Sigmoid", none(), &|x| 1.0 / (1.0 + (-x).exp()));
    check("HardSigmoid", alpha(0.25), &|x| (0.25 * x + 0.5).clamp(0.0, 1.0));
    check("HardSwish", none(), &|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0));
    check("Tanh", none(), &f64::tanh);
    check("Exp", none(), &f64::exp);
    check("Softplus", none(), &|x| x.exp().ln_1p());
    check("Erf", none(), &erf);
    check("Neg", none(), &|x| -x);
    check("Abs", none(), &f64::abs);
    check("Reciprocal", none(), &|x| 1.0 / x);
    check("Round", none(), &f64::round_ties_even);
    let positive = one("Exp", none(), &[&x]);
    close(&one("Log", none(), &[&positive]), &[3, 50], &positive.to_f64s().iter().map(|x| x.ln()).collect::<Vec<_>>());
    let bounds = (Tensor::scalar_f32(-0.5), Tensor::scalar_f32(0.75));
    let clipped = one("Clip", none(), &[&x, &bounds.0, &bounds.1]);
    close(&clipped, &[3, 50], &v.iter().map(|x| x.clamp(-0.5, 0.75)).collect::<Vec<_>>());
    let slope = random(&[3, 1], 2);
    let s = slope.to_f64s();
    let expect: Vec<f64> = v.iter().enumerate().map(|(i, &x)| if x < 0.0 { s[i / 50] * x } else { x }).collect();
    close(&one("PRelu", none(), &[&x, &slope]), &[3, 50], &expect);
    for e in [2.0f32, 3.0, 0.5, 1.7] {
        let y = one("Pow", none(), &[&positive, &Tensor::scalar_f32(e)]);
        let expect: Vec<f64> = positive.to_f64s().iter().map(|x| x.powf(f64::from(e))).collect();
        close(&y, &[3, 50], &expect);
    }
}

#[test]
fn products_of_matrices_broadcast_batches() {
    for (a, b, out) in [
        (vec![3, 4], vec![4, 5], vec![3, 5]),
        (vec![2, 1, 3, 4], vec![5, 4, 2], vec![2, 5, 3, 2]),
        (vec![2, 7, 4], vec![4, 17], vec![2, 7, 17]),
        (vec![4], vec![2, 4, 3], vec![2, 3]),
        (vec![2, 3, 4], vec![4], vec![2, 3]),
        (vec![4], vec![4], vec![]),
    ] {
        let (x, y) = (random(&a, 3), random(&b, 4));
        let (vx, vy) = (x.to_f64s(), y.to_f64s());
        let (a2, b2) = (
            if a.len() == 1 { vec![1, a[0]] } else { a.clone() },
            if b.len() == 1 { vec![b[0], 1] } else { b.clone() },
        );
        let (m, k, n) = (a2[a2.len() - 2], a2[a2.len() - 1], b2[b2.len() - 1]);
        let (la, lb) = (&a2[..a2.len() - 2], &b2[..b2.len() - 2]);
        let lead = ptq_ir::broadcast_shapes(la, lb).unwrap();
        let count: usize = lead.iter().product();
        let mut expect = Vec::new();
        for batch in 0..count {
            // Index of the batch in an operand whose leading axes are 1 or equal.
            let of = |own: &[usize]| {
                let (mut rest, mut at, mut step) = (batch, 0, 1);
                for d in (0..lead.len()).rev() {
                    let i = rest % lead[d];
                    rest /= lead[d];
                    if let Some(o) = (d + own.len()).checked_sub(lead.len()) {
                        at += if own[o] == 1 { 0 } else { i * step };
                        step *= own[o];
                    }
                }
                at
            };
            let (ia, ib) = (of(la), of(lb));
            for i in 0..m {
                for j in 0..n {
                    expect.push((0..k).map(|q| vx[(ia * m + i) * k + q] * vy[(ib * k + q) * n + j]).sum::<f64>());
                }
            }
        }
        close(&one("MatMul", Attrs::default(), &[&x, &y]), &out, &expect);
    }
}

#[test]
fn gemm_scales_transposes_and_adds() {
    let (a, b, c) = (random(&[7, 3], 5), random(&[9, 7], 6), random(&[9], 7));
    let (va, vb, vc) = (a.to_f64s(), b.to_f64s(), c.to_f64s());
    for (alpha, beta) in [(1.0f32, 1.0f32), (0.5, 2.0)] {
        let attrs = Attrs::of([
            ("alpha", Attr::Float(alpha)),
            ("beta", Attr::Float(beta)),
            ("transA", Attr::Int(1)),
            ("transB", Attr::Int(1)),
        ]);
        let mut expect = Vec::new();
        for i in 0..3 {
            for j in 0..9 {
                let sum: f64 = (0..7).map(|q| va[q * 3 + i] * vb[j * 7 + q]).sum();
                expect.push(f64::from(alpha) * sum + f64::from(beta) * vc[j]);
            }
        }
        close(&one("Gemm", attrs, &[&a, &b, &c]), &[3, 9], &expect);
    }
}

#[test]
fn a_gemm_has_the_bits_of_the_equal_pointwise_convolution() {
    let (x, w, b) = (random(&[1, 300], 8), random(&[40, 300], 9), random(&[40], 10));
    let gemm = one("Gemm", Attrs::of([("transB", Attr::Int(1))]), &[&x, &w, &b]);
    let conv = one(
        "Conv",
        Attrs::default(),
        &[&x.reshaped([1, 300, 1, 1]).unwrap(), &w.reshaped([40, 300, 1, 1]).unwrap(), &b],
    );
    assert_eq!(gemm.f32s().unwrap(), conv.f32s().unwrap());
}

#[test]
fn normalizations_follow_their_formulas() {
    let x = random(&[2, 3, 4, 5], 11);
    let v = x.to_f64s();
    let [s, b, m] = [12, 13, 14].map(|seed| random(&[3], seed));
    let var = Tensor::from_f32([3], vec![0.5, 1.0, 2.0]).unwrap();
    let at = |t: &Tensor, i: usize| t.to_f64s()[i / 20 % 3];
    let expect: Vec<f64> =
        (0..v.len()).map(|i| (v[i] - at(&m, i)) / (at(&var, i) + 1e-3).sqrt() * at(&s, i) + at(&b, i)).collect();
    let epsilon = || Attrs::of([("epsilon", Attr::Float(1e-3))]);
    close(&one("BatchNormalization", epsilon(), &[&x, &s, &b, &m, &var]), &[2, 3, 4, 5], &expect);
    let standard = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let var = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64;
        row.iter().map(|v| (v - mean) / (var + 1e-3).sqrt()).collect::<Vec<_>>()
    };
    let rows: Vec<f64> = v.chunks(20).flat_map(standard).collect();
    let expect: Vec<f64> = rows.iter().enumerate().map(|(i, r)| r * at(&s, i) + at(&b, i)).collect();
    close(&one("InstanceNormalization", epsilon(), &[&x, &s, &b]), &[2, 3, 4, 5], &expect);
    let (scale, bias) = (random(&[4, 5], 15), random(&[4, 5], 16));
    let expect: Vec<f64> =
        rows.iter().enumerate().map(|(i, r)| r * scale.to_f64s()[i % 20] + bias.to_f64s()[i % 20]).collect();
    let attrs = Attrs::of([("epsilon", Attr::Float(1e-3)), ("axis", Attr::Int(2))]);
    close(&one("LayerNormalization", attrs, &[&x, &scale, &bias]), &[2, 3, 4, 5], &expect);
}

#[test]
fn softmax_and_reductions_work_along_any_axis() {
    let x = random(&[2, 3, 4], 17);
    let v = x.to_f64s();
    let sums: Vec<f64> = (0..8).map(|o| (0..3).map(|c| v[(o / 4 * 3 + c) * 4 + o % 4].exp()).sum()).collect();
    let p: Vec<f64> = (0..24).map(|i| v[i].exp() / sums[i / 12 * 4 + i % 4]).collect();
    let axis = |a: i64| Attrs::of([("axis", Attr::Int(a))]);
    close(&one("Softmax", axis(1), &[&x]), &[2, 3, 4], &p);
    close(&one("LogSoftmax", axis(-2), &[&x]), &[2, 3, 4], &p.iter().map(|p| p.ln()).collect::<Vec<_>>());
    let reduce = |op: &str, f: &dyn Fn(&[f64]) -> f64| {
        let expect: Vec<f64> =
            (0..3).map(|c| f(&(0..8).map(|o| v[(o / 4 * 3 + c) * 4 + o % 4]).collect::<Vec<_>>())).collect();
        let attrs = Attrs::of([("axes", ints(&[0, -1])), ("keepdims", Attr::Int(0))]);
        close(&one(op, attrs, &[&x]), &[3], &expect);
    };
    reduce("ReduceMean", &|r| r.iter().sum::<f64>() / 8.0);
    reduce("ReduceMax", &|r| r.iter().copied().fold(f64::MIN, f64::max));
    reduce("ReduceMin", &|r| r.iter().copied().fold(f64::MAX, f64::min));
    reduce("ReduceProd", &|r| r.iter().product());
    reduce("ReduceL2", &|r| r.iter().map(|v| v * v).sum::<f64>().sqrt());
    let sum = one("ReduceSum", Attrs::default(), &[&x, &Tensor::vec_i64(vec![1])]);
    close(&sum, &[2, 1, 4], &(0..8).map(|o| (0..3).map(|c| v[(o / 4 * 3 + c) * 4 + o % 4]).sum()).collect::<Vec<_>>());
    let best = one("ArgMax", axis(1), &[&Tensor::from_f32([1, 4], vec![1.0, 3.0, 3.0, 2.0]).unwrap()]);
    assert_eq!((best.dtype(), best.i64s().unwrap()), (DType::I64, &[1i64][..]));
}

#[test]
fn pads_extend_by_constant_edge_and_reflection() {
    let x = Tensor::from_f32([1, 3], vec![1.0, 2.0, 3.0]).unwrap();
    let pads = Tensor::vec_i64(vec![0, 2, 0, 1]);
    let mode = |m: &str| Attrs::of([("mode", Attr::Str(m.into()))]);
    let row = |t: Tensor| t.f32s().unwrap().to_vec();
    assert_eq!(
        row(one("Pad", mode("constant"), &[&x, &pads, &Tensor::scalar_f32(9.0)])),
        [9.0, 9.0, 1.0, 2.0, 3.0, 9.0]
    );
    assert_eq!(row(one("Pad", mode("edge"), &[&x, &pads])), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
    assert_eq!(row(one("Pad", mode("reflect"), &[&x, &pads])), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
    let cut = Tensor::vec_i64(vec![0, -1, 1, 0]);
    let y = one("Pad", Attrs::default(), &[&x, &cut]);
    assert_eq!((y.shape(), row(y.clone())), (&[2, 2][..], vec![2.0, 3.0, 0.0, 0.0]));
}

#[test]
fn resize_follows_its_coordinate_modes() {
    let x = Tensor::from_f32([1, 1, 1, 4], vec![1.0, 2.0, 4.0, 8.0]).unwrap();
    let none = Tensor::from_f32([0], vec![]).unwrap();
    let scaled = |mode: &str, transform: &str, w: f32| {
        let attrs = Attrs::of([
            ("mode", Attr::Str(mode.into())),
            ("coordinate_transformation_mode", Attr::Str(transform.into())),
            ("nearest_mode", Attr::Str("floor".into())),
        ]);
        let scales = Tensor::from_f32([4], vec![1.0, 1.0, 1.0, w]).unwrap();
        one("Resize", attrs, &[&x, &none, &scales]).to_f64s()
    };
    assert_eq!(scaled("nearest", "asymmetric", 2.0), [1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 8.0, 8.0]);
    assert_eq!(scaled("nearest", "asymmetric", 0.5), [1.0, 4.0]);
    assert_eq!(scaled("linear", "half_pixel", 2.0), [1.0, 1.25, 1.75, 2.5, 3.5, 5.0, 7.0, 8.0]);
    assert_eq!(scaled("linear", "asymmetric", 2.0), [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 8.0]);
    let corners = scaled("linear", "align_corners", 1.75);
    assert_eq!((corners[0], corners[2], corners[6]), (1.0, 2.0, 8.0));
    let sizes = Tensor::vec_i64(vec![1, 1, 3, 4]);
    let inputs = [Some(&x), None, None, Some(&sizes)];
    let y = eval("Resize", "", &Attrs::of([("mode", Attr::Str("nearest".into()))]), &inputs).unwrap().remove(0);
    assert_eq!(y.shape(), &[1, 1, 3, 4]);
}

proptest! {
    #[test]
    fn transposed_convolutions_scatter(
        (kernel, stride, dilation, extra) in (1usize..=4, 1usize..=4, 1usize..=2, 0usize..=2),
        (before, after) in (0usize..=5, 0usize..=5),
        (group, depth, filters) in (1usize..=2, 1usize..=3, 1usize..=3),
        (h, w) in (1usize..=5, 1usize..=5),
        seed: u64,
    ) {
        let extra = extra % stride.max(dilation);
        let full = |n: usize| (n - 1) * stride + (kernel - 1) * dilation + 1 + extra;
        let smaller = full(h).min(full(w));
        let before = before % smaller;
        let after = after % (smaller - before);
        let (oh, ow) = (full(h) - before - after, full(w) - before - after);
        let x = random(&[1, group * depth, h, w], seed);
        let weights = random(&[group * depth, filters, kernel, kernel], seed ^ 5);
        let bias = random(&[group * filters], seed ^ 9);
        let (vx, vw) = (x.to_f64s(), weights.to_f64s());
        let mut expect: Vec<f64> = (0..group * filters).flat_map(|o| vec![bias.to_f64s()[o]; oh * ow]).collect();
        for c in 0..group * depth {
            for f in 0..filters {
                let o = c / depth * filters + f;
                for (y, xx) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
                    for (ky, kx) in (0..kernel).flat_map(|y| (0..kernel).map(move |x| (y, x))) {
                        let at = |i: usize, k: usize| (i * stride + k * dilation).checked_sub(before);
                        if let (Some(oy), Some(ox)) = (at(y, ky), at(xx, kx)) && oy < oh && ox < ow {
                            expect[(o * oh + oy) * ow + ox] +=
                                vx[(c * h + y) * w + xx] * vw[((c * filters + f) * kernel + ky) * kernel + kx];
                        }
                    }
                }
            }
        }
        let pair = |v: usize| ints(&[v as i64; 2]);
        let attrs = Attrs::of([
            ("strides", pair(stride)),
            ("dilations", pair(dilation)),
            ("output_padding", pair(extra)),
            ("group", Attr::Int(group as i64)),
            ("pads", ints(&[before as i64, before as i64, after as i64, after as i64])),
        ]);
        let inputs = [Some(&x), Some(&weights), Some(&bias)];
        match eval("ConvTranspose", "", &attrs, &inputs) {
            Ok(y) => close(&y[0], &[1, group * filters, oh, ow], &expect),
            // Only where pads cut off every pixel of the image.
            Err(e) => prop_assert!(e.to_string().contains("pads leave nothing")),
        }
    }

    #[test]
    fn pools_look_at_the_taps_inside(
        (kh, kw) in (1usize..=4, 1usize..=4),
        (stride, dilation) in (1usize..=5, 1usize..=2),
        (top, left, bottom, right) in (0usize..=3, 0usize..=3, 0usize..=3, 0usize..=3),
        (h, w) in (1usize..=9, 1usize..=9),
        ceil: bool,
        include: bool,
        seed: u64,
    ) {
        // ONNX asks for pads below the kernel's extent.
        let (top, bottom, left, right) = (top % kh, bottom % kh, left % kw, right % kw);
        let x = random(&[1, 2, h, w], seed);
        let v = x.to_f64s();
        for (op, d) in [("MaxPool", dilation), ("AveragePool", 1)] {
            let attrs = Attrs::of([
                ("kernel_shape", ints(&[kh as i64, kw as i64])),
                ("strides", ints(&[stride as i64; 2])),
                ("dilations", ints(&[d as i64; 2])),
                ("pads", ints(&[top as i64, left as i64, bottom as i64, right as i64])),
                ("ceil_mode", Attr::Int(ceil.into())),
                ("count_include_pad", Attr::Int(include.into())),
            ]);
            let Ok(y) = eval(op, "", &attrs, &[Some(&x)]) else { continue };
            let (oh, ow) = (y[0].shape()[2], y[0].shape()[3]);
            let mut expect = Vec::new();
            for (c, oy, ox) in (0..2).flat_map(|c| (0..oh).flat_map(move |y| (0..ow).map(move |x| (c, y, x)))) {
                let (mut sum, mut best, mut taps, mut padded) = (0.0, f64::NEG_INFINITY, 0, 0);
                for (ky, kx) in (0..kh).flat_map(|y| (0..kw).map(move |x| (y, x))) {
                    let (iy, ix) = (oy * stride + ky * d, ox * stride + kx * d);
                    padded += usize::from(iy < h + top + bottom && ix < w + left + right);
                    if let (Some(iy), Some(ix)) = (iy.checked_sub(top), ix.checked_sub(left)) && iy < h && ix < w {
                        sum += v[(c * h + iy) * w + ix];
                        best = f64::max(best, v[(c * h + iy) * w + ix]);
                        taps += 1;
                    }
                }
                expect.push(if op == "MaxPool" { best } else { sum / if include { padded } else { taps } as f64 });
            }
            // Windows without a tap (possible with dilation) have no defined average.
            if expect.iter().all(|e| e.is_finite()) {
                close(&y[0], &[1, 2, oh, ow], &expect);
            }
        }
    }
}

#[test]
fn one_dimensional_convolutions_and_pools_are_images_of_height_one() {
    let (x, w) = (random(&[1, 2, 9], 20), random(&[3, 2, 3], 21));
    let (vx, vw) = (x.to_f64s(), w.to_f64s());
    let y = one("Conv", Attrs::of([("strides", ints(&[2])), ("pads", ints(&[1, 0]))]), &[&x, &w]);
    let mut expect = Vec::new();
    for o in 0..3 {
        for p in 0..4 {
            let taps = (0..2).flat_map(|c| (0..3).map(move |k| (c, k)));
            let tap = |(c, k): (usize, usize)| {
                (p * 2 + k).checked_sub(1).map_or(0.0, |i| vx[c * 9 + i] * vw[(o * 2 + c) * 3 + k])
            };
            expect.push(taps.map(tap).sum());
        }
    }
    close(&y, &[1, 3, 4], &expect);
    let y = one("MaxPool", Attrs::of([("kernel_shape", ints(&[3])), ("strides", ints(&[3]))]), &[&x]);
    close(&y, &[1, 2, 3], &vx.chunks(3).map(|c| c.iter().copied().fold(f64::MIN, f64::max)).collect::<Vec<_>>());
}
