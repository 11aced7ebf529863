//! Convolutions of random geometry: the float one against its definition and double precision, the integer one against
//! exact sums; every instruction set and thread count gives the same bits.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use ptq_ir::Requant;
use ptq_ir::ops::ConvGeom;
use ptq_kernels::requant::{apply, fixed_from_f64, store};
use ptq_kernels::{Activation, FloatConv, IntConv, IntConvSpec, Isa, Sign, bytes_of, to_nchw, to_nhwc};

/// A convolution that fits its image.
#[derive(Clone, Debug)]
struct Case {
    geom: ConvGeom,
    channels: usize,
    filters: usize,
    image: [usize; 2],
    batch: usize,
    seed: u64,
}

impl Case {
    fn out(&self) -> [usize; 2] {
        self.geom.out_hw(self.image).unwrap()
    }

    fn depth(&self) -> usize {
        self.channels / self.geom.group
    }

    /// For each output element (NCHW) its batch, filter and taps `(channel, weight index, position or none)`.
    fn each(&self, mut f: impl FnMut(usize, usize, &mut dyn Iterator<Item = (usize, Option<usize>)>)) {
        let (g, [oh, ow], [h, w]) = (&self.geom, self.out(), self.image);
        for n in 0..self.batch {
            for o in 0..self.filters {
                for p in 0..oh * ow {
                    let first = o / (self.filters / g.group) * self.depth();
                    let mut taps = (0..self.depth() * g.kernel[0] * g.kernel[1]).map(|q| {
                        let (c, t) = (q / (g.kernel[0] * g.kernel[1]), q % (g.kernel[0] * g.kernel[1]));
                        let y = (p / ow * g.strides[0] + t / g.kernel[1] * g.dilations[0]).checked_sub(g.pads[0]);
                        let x = (p % ow * g.strides[1] + t % g.kernel[1] * g.dilations[1]).checked_sub(g.pads[1]);
                        let at = y.zip(x).filter(|&(y, x)| y < h && x < w);
                        (
                            o * self.depth() * g.kernel[0] * g.kernel[1] + q,
                            at.map(|(y, x)| ((n * self.channels + first + c) * h + y) * w + x),
                        )
                    });
                    f((n * self.filters + o) * oh * ow + p, o, &mut taps);
                }
            }
        }
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let window = (1usize..=5, 1usize..=4, 1usize..=2, 0usize..=3, 0usize..=3);
    let channels = prop_oneof![
        (1usize..=3, 1usize..=9, 1usize..=20).prop_map(|(g, c, f)| (g, g * c, g * f)),
        (1usize..=40).prop_map(|c| (c, c, c)),
        (1usize..=6, 1usize..=3).prop_map(|(c, m)| (c, c, c * m)),
        (60usize..=90, 1usize..=20).prop_map(|(c, f)| (1, c, f)),
    ];
    (window.clone(), window, channels, 1usize..=26, 1usize..=26, 1usize..=2, any::<u64>()).prop_filter_map(
        "window larger than image",
        |((kh, sh, dh, pt, pb), (kw, sw, dw, pl, pr), (group, channels, filters), h, w, batch, seed)| {
            let geom =
                ConvGeom { kernel: [kh, kw], strides: [sh, sw], pads: [pt, pl, pb, pr], dilations: [dh, dw], group };
            geom.out_hw([h, w]).map(|_| Case { geom, channels, filters, image: [h, w], batch, seed })
        },
    )
}

/// Numbers from a seed (xorshift).
fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut s = seed | 1;
    move || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        s >> 11
    }
}

fn floats(n: usize, next: &mut impl FnMut() -> u64) -> Vec<f32> {
    (0..n).map(|_| (next() % 20_001) as f32 / 10_000.0 - 1.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn float_is_one_chain_on_every_instruction_set(case in cases()) {
        let mut next = numbers(case.seed);
        let [oh, ow] = case.out();
        let weights = floats(case.filters * case.depth() * case.geom.kernel[0] * case.geom.kernel[1], &mut next);
        let x = floats(case.batch * case.channels * case.image[0] * case.image[1], &mut next);
        let bias = (case.seed % 3 != 0).then(|| floats(case.filters, &mut next));
        let mut chain = vec![0.0f32; case.batch * case.filters * oh * ow];
        let mut exact = vec![0.0f64; chain.len()];
        case.each(|i, o, taps| {
            let b = bias.as_ref().map_or(0.0, |b| b[o]);
            (chain[i], exact[i]) = taps.fold((b, f64::from(b)), |(c, e), (w, at)| {
                let (w, x) = (weights[w], at.map_or(0.0, |at| x[at]));
                (w.mul_add(x, c), e + f64::from(w) * f64::from(x))
            });
        });
        for isa in Isa::all() {
            let bias = bias.as_deref();
            let conv =
                FloatConv::pack(isa, &weights, case.filters, bias, &case.geom, case.channels, case.image).unwrap();
            prop_assert_eq!(conv.out_hw(), [oh, ow]);
            let mut y = vec![f32::NAN; chain.len()];
            conv.run(1, case.batch, &x, &mut y).unwrap();
            for i in 0..y.len() {
                prop_assert_eq!(y[i].to_bits(), chain[i].to_bits(), "{:?} element {}", isa, i);
                prop_assert!((f64::from(y[i]) - exact[i]).abs() < 1e-4 * (1.0 + exact[i].abs()));
            }
        }
    }

    #[test]
    fn integers_are_exact_on_every_instruction_set(case in cases(), signed: bool, fixed: bool, per_filter: bool) {
        let mut next = numbers(case.seed);
        let [oh, ow] = case.out();
        let k = case.depth() * case.geom.kernel[0] * case.geom.kernel[1];
        let weights: Vec<i8> = (0..case.filters * k).map(|_| next() as i8).collect();
        let x: Vec<i8> = (0..case.batch * case.channels * case.image[0] * case.image[1]).map(|_| next() as i8).collect();
        let sign = if signed { Sign::Signed } else { Sign::Unsigned };
        let value = |b: i8| sign.value(b as u8);
        let zero = value(next() as i8);
        let bias: Vec<i32> = (0..case.filters).map(|_| (next() % 20_001) as i32 - 10_000).collect();
        let entries = if per_filter { case.filters } else { 1 };
        // About one step for the typical sum, so that few results are clamped; powers of two give ties.
        let factor = |next: &mut dyn FnMut() -> u64| 0.5f64.powi((next() % 4) as i32 + 5) * [1.0, 1.37][(next() % 2) as usize];
        let requant = if fixed {
            Requant::Fixed((0..entries).map(|_| fixed_from_f64(factor(&mut next))).collect())
        } else {
            Requant::Float((0..entries).map(|_| factor(&mut next) as f32).collect())
        };
        let (out_zero, clamp) = if signed { (3, (-100, 127)) } else { (128, (2, 255)) };
        let mut sums = vec![0i64; case.batch * case.filters * oh * ow];
        let mut expect = vec![0u8; sums.len()];
        case.each(|i, o, taps| {
            sums[i] = taps.fold(i64::from(bias[o]), |s, (w, at)| {
                s + i64::from(weights[w]) * i64::from(at.map_or(0, |at| value(x[at]) - zero))
            });
            expect[i] = store(apply(&requant, o, sums[i] as i32), out_zero, clamp.0, clamp.1) as u8;
        });
        let (image, result) = (x.len() / case.batch, sums.len() / case.batch);
        let mut nhwc = vec![0i8; x.len()];
        for (x, y) in x.chunks(image).zip(nhwc.chunks_mut(image)) {
            to_nhwc(x, case.channels, y);
        }
        let spec = IntConvSpec {
            weights: &weights,
            filters: case.filters,
            bias: Some(&bias),
            geom: &case.geom,
            channels: case.channels,
            image: case.image,
            input: sign,
            input_zero: zero,
            requant: Some(&requant),
            out_zero,
            clamp,
        };
        for isa in Isa::all() {
            let conv = IntConv::pack(isa, &spec).unwrap();
            let (mut acc, mut y) = (vec![0i32; sums.len()], vec![0u8; sums.len()]);
            conv.run_i32(1, case.batch, bytes_of(&nhwc), &mut acc).unwrap();
            conv.run(1, case.batch, bytes_of(&nhwc), &mut y).unwrap();
            let (mut acc_nchw, mut y_nchw) = (acc.clone(), y.clone());
            for n in 0..case.batch {
                let range = n * result..(n + 1) * result;
                to_nchw(&acc[range.clone()], case.filters, &mut acc_nchw[range.clone()]);
                to_nchw(&y[range.clone()], case.filters, &mut y_nchw[range]);
            }
            for i in 0..sums.len() {
                prop_assert_eq!(i64::from(acc_nchw[i]), sums[i], "{:?} sum {}", isa, i);
                prop_assert_eq!(y_nchw[i], expect[i], "{:?} element {}", isa, i);
            }
        }
    }
}

/// Depthwise windows of the usual forms over images of many sizes.
fn depthwise() -> impl Strategy<Value = Case> {
    let pads = (0usize..=3, 0usize..=3, 0usize..=3, 0usize..=3);
    let form = (prop_oneof![Just(3usize), Just(5)], 1usize..=2);
    (form, pads, 1usize..=5, 1usize..=40, 1usize..=90, any::<u64>()).prop_filter_map(
        "window larger than image",
        |((k, s), (t, l, b, r), channels, h, w, seed)| {
            let geom =
                ConvGeom { kernel: [k, k], strides: [s, s], pads: [t, l, b, r], dilations: [1, 1], group: channels };
            geom.out_hw([h, w]).map(|_| Case { geom, channels, filters: channels, image: [h, w], batch: 1, seed })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn depthwise_windows_are_one_chain_and_clip_as_the_operator_does(case in depthwise(), clip: bool) {
        let mut next = numbers(case.seed);
        let k = case.geom.kernel[0] * case.geom.kernel[1];
        let rare = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, f32::MAX];
        let mut made = |n: usize| -> Vec<f32> {
            let mut v = floats(n, &mut next);
            if case.seed.is_multiple_of(4) {
                v.iter_mut().filter(|_| next().is_multiple_of(29)).for_each(|v| *v = rare[(v.to_bits() % 6) as usize]);
            }
            v
        };
        let (weights, bias) = (made(case.filters * k), made(case.filters));
        let x = made(case.channels * case.image[0] * case.image[1]);
        let activation = if clip { Activation::Clip { lo: 0.0, hi: 0.75 } } else { Activation::None };
        let [h, w] = case.out();
        let run = |isa| {
            let bias = Some(&bias[..]);
            let conv =
                FloatConv::pack(isa, &weights, case.filters, bias, &case.geom, case.channels, case.image).unwrap();
            let conv = conv.with_activation(activation);
            let mut y = vec![7.0f32; case.filters * h * w];
            conv.run(1, 1, &x, &mut y).unwrap();
            // Which of several NaNs comes out is left open.
            y.into_iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect::<Vec<_>>()
        };
        let expected = run(Isa::scalar());
        for isa in Isa::all() {
            prop_assert_eq!(&run(isa), &expected, "{:?}", isa);
        }
    }
}

/// Large enough that the work is split.
fn large(group: usize) -> Case {
    let geom = ConvGeom { kernel: [3, 3], strides: [1, 1], pads: [1; 4], dilations: [1, 1], group };
    Case { geom, channels: 48, filters: 48, image: [56, 57], batch: 1, seed: 7 }
}

/// Sizes at which kernels cut their work in another way: chains in several passes, packed columns, filters along the lanes, few
/// rows, vectors of pixels from several image rows.
fn cut() -> Vec<Case> {
    let case = |edge: usize, stride: usize, channels: usize, filters: usize, image: [usize; 2]| {
        let (kernel, strides, pads) = ([edge; 2], [stride; 2], [edge / 2; 4]);
        let geom = ConvGeom { kernel, strides, pads, dilations: [1, 1], group: 1 };
        Case { geom, channels, filters, image, batch: 1, seed: (channels * filters) as u64 }
    };
    let mut padded = case(1, 1, 12, 30, [9, 10]);
    padded.geom.pads = [1, 0, 0, 2];
    vec![
        padded,
        case(1, 1, 600, 70, [25, 21]),
        case(1, 1, 260, 9, [33, 31]),
        case(1, 1, 30, 37, [40, 27]),
        case(1, 1, 300, 75, [7, 7]),
        case(1, 1, 40, 33, [1, 14]),
        case(1, 1, 70, 1000, [1, 1]),
        case(3, 1, 20, 40, [7, 7]),
        case(3, 2, 3, 21, [45, 50]),
        case(3, 1, 9, 5, [20, 20]),
        case(5, 1, 4, 6, [9, 30]),
        case(3, 1, 16, 3, [13, 5]),
    ]
}

#[test]
fn every_way_to_cut_the_work_gives_one_chain() {
    for case in cut() {
        let mut next = numbers(case.seed);
        let [oh, ow] = case.out();
        let taps = case.geom.kernel[0] * case.geom.kernel[1];
        let weights = floats(case.filters * case.depth() * taps, &mut next);
        let x = floats(case.channels * case.image[0] * case.image[1], &mut next);
        let bias = floats(case.filters, &mut next);
        let mut chain = vec![0.0f32; case.filters * oh * ow];
        case.each(|i, o, taps| {
            chain[i] = taps.fold(bias[o], |c, (w, at)| weights[w].mul_add(at.map_or(0.0, |at| x[at]), c));
        });
        for activation in [Activation::None, Activation::Clip { lo: 0.0, hi: 0.75 }, Activation::HardSwish] {
            let mut expected = chain.clone();
            activation.apply(Isa::scalar(), &mut expected);
            for (isa, threads) in Isa::all().into_iter().flat_map(|isa| [1, 2, 3].map(|threads| (isa, threads))) {
                let (bias, geom) = (Some(&bias[..]), &case.geom);
                let conv = FloatConv::pack(isa, &weights, case.filters, bias, geom, case.channels, case.image).unwrap();
                let mut y = vec![f32::NAN; chain.len()];
                conv.with_activation(activation).run(threads, 1, &x, &mut y).unwrap();
                let same = y.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{isa:?}, {threads} threads, {activation:?}, {case:?}");
            }
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for case in [large(1), large(48), large(3)] {
        let mut next = numbers(case.seed);
        let n = case.channels * case.image[0] * case.image[1];
        let weights = floats(case.filters * case.depth() * 9, &mut next);
        let x = floats(n, &mut next);
        let isa = Isa::best();
        let conv = FloatConv::pack(isa, &weights, case.filters, None, &case.geom, case.channels, case.image).unwrap();
        let run = |threads: usize| {
            let mut y = vec![0.0f32; n];
            conv.run(threads, 1, &x, &mut y).unwrap();
            y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert!((2..=5).all(|t| run(t) == run(1)));
        let weights: Vec<i8> = (0..weights.len()).map(|_| next() as i8).collect();
        let bytes: Vec<u8> = (0..n).map(|_| next() as u8).collect();
        let requant = Requant::Float(vec![0.001; case.filters]);
        let spec = IntConvSpec {
            weights: &weights,
            filters: case.filters,
            bias: None,
            geom: &case.geom,
            channels: case.channels,
            image: case.image,
            input: Sign::Unsigned,
            input_zero: 100,
            requant: Some(&requant),
            out_zero: 90,
            clamp: (0, 255),
        };
        let conv = IntConv::pack(Isa::best(), &spec).unwrap();
        let run = |threads: usize| {
            let mut y = vec![0u8; n];
            conv.run(threads, 1, &bytes, &mut y).unwrap();
            y
        };
        assert!((2..=5).all(|t| run(t) == run(1)));
    }
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let case = large(1);
    let pack = |weights: &[f32], filters: usize, channels: usize| {
        FloatConv::pack(Isa::best(), weights, filters, None, &case.geom, channels, case.image).map(|_| ())
    };
    assert!(pack(&[0.0; 48 * 48 * 9], 48, 48).is_ok());
    assert!(pack(&[0.0; 7], 48, 48).is_err());
    let tiny = FloatConv::pack(Isa::best(), &[0.0; 9], 1, None, &ConvGeom { pads: [0; 4], ..case.geom }, 1, [2, 2]);
    assert!(tiny.is_err(), "a window larger than the image");
}
