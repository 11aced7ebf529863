//! Random chains of operators with branches.

use crate::builder::Builder;
use crate::compare::assert_equal_everywhere;
use proptest::prelude::*;
use ptq_ir::ops::{BlockMove, BlockOrder, ConvGeom, PoolGeom};
use ptq_ir::{DType, QGraph, Rounding, TensorId};

/// Largest tensor of a chain, in elements.
const MAX_ELEMENTS: usize = 40_000;

/// The smallest scratch memory of the chains.
const SMALL: u32 = 8192;

/// Whether the smallest tile of a layer fits it: compile cuts rows and channels, not columns, and refuses what is wider.
/// Half a kibibyte goes to alignment and small tables.
fn one_tile_fits(bytes: usize) -> bool {
    bytes + 512 <= SMALL as usize
}

/// A program from a list of operator choices; every list gives a valid program.
fn chain(rounding: Rounding, act: DType, seed: u64, steps: &[u8]) -> QGraph {
    let mut b = Builder::new(rounding, act, seed);
    let shape = [b.rng.size(1, 2), b.rng.size(1, 20), b.rng.size(1, 18), b.rng.size(1, 18)];
    let mut pool = vec![b.input(&shape)];
    for &step in steps {
        let at = b.rng.size(0, pool.len() - 1);
        // Mostly go on from the newest tensor.
        let x = if b.rng.chance(70) { pool[pool.len() - 1] } else { pool[at] };
        pool.extend(apply(&mut b, &pool, x, step));
    }
    let last = pool[pool.len() - 1];
    if b.graph.nodes.len() > 1 {
        b.output(last);
        let at = b.rng.size(1, pool.len() - 1);
        if pool[at] != last {
            b.output(pool[at]);
        }
    } else {
        let y = b.lut(last);
        b.output(y);
    }
    b.finish()
}

/// One more operator behind `x`, or nothing when this choice does not fit.
fn apply(b: &mut Builder, pool: &[TensorId], x: TensorId, step: u8) -> Option<TensorId> {
    let shape = b.shape(x);
    let elements: usize = shape.iter().product();
    match (step % 14, &shape[..]) {
        (13, _) => Some(b.requantize(x)),
        (0..=2, &[_, c, h, w]) => {
            let geom = random_conv(b, c, h, w);
            let oc = if b.rng.chance(50) { c } else { geom.group * b.rng.size(1, (40 / geom.group).max(1)) };
            let [oh, ow] = geom.out_hw([h, w])?;
            let depth = c / geom.group;
            let rows = ((geom.kernel[0] - 1) * geom.dilations[0] + 1).min(h);
            let tile = rows * w * depth + geom.kernel[0] * geom.kernel[1] * depth + ow;
            (one_tile_fits(tile) && shape[0] * oc * oh * ow <= MAX_ELEMENTS).then(|| b.conv(x, oc, geom, false))
        }
        (3, _) => {
            let same: Vec<TensorId> = pool.iter().copied().filter(|&p| b.shape(p) == shape).collect();
            let other = same[b.rng.size(0, same.len() - 1)];
            Some(b.add(x, other))
        }
        (4, _) => {
            let mask = b.rng.next();
            let small: Vec<usize> =
                shape.iter().enumerate().map(|(i, &d)| if mask >> i & 1 == 1 { 1 } else { d }).collect();
            let c = b.constant(&small);
            Some(if b.rng.chance(50) { b.mul(x, c) } else { b.add(c, x) })
        }
        (5, _) => {
            let axis = b.rng.size(0, shape.len() - 1);
            let scaled = [b.rng.chance(50), b.rng.chance(50)];
            (2 * elements <= MAX_ELEMENTS).then(|| b.concat(&[(x, scaled[0]), (x, scaled[1])], axis))
        }
        (6, &[_, _, h, w]) => {
            let geom = random_pool(b, h, w);
            let [_, ow] = geom.out_hw([h, w])?;
            if !one_tile_fits(geom.kernel[0].min(h) * w + ow) {
                return None;
            }
            Some(if b.rng.chance(50) { b.average_pool(x, geom) } else { b.max_pool(x, geom) })
        }
        (7, _) => Some(b.lut(x)),
        (8, &[.., h, w]) => {
            let (oh, ow) = (b.rng.size(1, 2 * h), b.rng.size(1, 2 * w));
            let fits = one_tile_fits(w + 3 * ow) && elements / (h * w) * oh * ow <= MAX_ELEMENTS;
            fits.then(|| b.resize(x, oh, ow))
        }
        (9, _) => {
            let d = (1..=elements.min(50)).rev().find(|&d| elements.is_multiple_of(d))?;
            let rest = elements / d;
            let e = (1..=rest.min(20)).rev().find(|&e| rest.is_multiple_of(e))?;
            let shapes = [vec![d, rest], vec![1, d, e, rest / e], vec![elements], vec![1, 1, d, e, rest / e]];
            let pick = b.rng.size(0, shapes.len() - 1);
            Some(b.reshape(x, &shapes[pick]))
        }
        (10, _) => {
            let mut perm: Vec<usize> = (0..shape.len()).collect();
            (1..perm.len()).for_each(|i| {
                let j = b.rng.size(0, i);
                perm.swap(i, j);
            });
            Some(b.transpose(x, &perm))
        }
        (11, _) => {
            let starts: Vec<usize> = shape.iter().map(|&d| b.rng.size(0, d - 1)).collect();
            let extents: Vec<usize> = shape.iter().zip(&starts).map(|(&d, &s)| b.rng.size(1, d - s)).collect();
            Some(b.slice(x, &starts, &extents))
        }
        (12, &[n, c, h, w]) => {
            let order = if b.rng.chance(50) { BlockOrder::Dcr } else { BlockOrder::Crd };
            let divides = |d: usize| (2..=3).find(|&b| d.is_multiple_of(b * b));
            match divides(c) {
                Some(block) => Some(b.depth_to_space(x, BlockMove { block, order })),
                None => {
                    let block = (2..=3).find(|&s| h.is_multiple_of(s) && w.is_multiple_of(s))?;
                    (n * c > 0).then(|| b.space_to_depth(x, block))
                }
            }
        }
        _ => None,
    }
}

fn random_conv(b: &mut Builder, c: usize, h: usize, w: usize) -> ConvGeom {
    let divisors: Vec<usize> = (1..=c).filter(|&g| c.is_multiple_of(g)).collect();
    let group = match b.rng.range(0, 2) {
        0 => c,
        1 => divisors[b.rng.size(0, divisors.len() - 1)],
        _ => 1,
    };
    let mut axis = |extent: usize| {
        let kernel = b.rng.size(1, 4);
        let dilation = b.rng.size(1, 2);
        let span = (kernel - 1) * dilation + 1;
        // Enough padding that the window fits.
        let needed = span.saturating_sub(extent);
        (kernel, dilation, b.rng.size(1, 3), b.rng.size(0, 2) + needed, b.rng.size(0, 2))
    };
    let (y, x) = (axis(h), axis(w));
    ConvGeom { kernel: [y.0, x.0], strides: [y.2, x.2], pads: [y.3, x.3, y.4, x.4], dilations: [y.1, x.1], group }
}

fn random_pool(b: &mut Builder, h: usize, w: usize) -> PoolGeom {
    if b.rng.chance(20) {
        return PoolGeom::global([h, w]);
    }
    let mut axis = || {
        let kernel = b.rng.size(1, 4);
        (kernel, b.rng.size(1, 3), b.rng.size(0, kernel - 1), b.rng.size(0, kernel - 1))
    };
    let (y, x) = (axis(), axis());
    PoolGeom {
        kernel: [y.0, x.0],
        strides: [y.1, x.1],
        pads: [y.2, x.2, y.3, x.3],
        dilations: [1, 1],
        ceil_mode: b.rng.chance(30),
        count_include_pad: b.rng.chance(30),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_chains_are_equal_everywhere(
        fixed: bool,
        act in 0usize..4,
        seed: u64,
        steps in proptest::collection::vec(any::<u8>(), 1..9),
    ) {
        let rounding = if fixed { Rounding::Fixed } else { Rounding::Float };
        let act = [DType::I8, DType::U8, DType::I16, DType::I16][act];
        // A table of 16 bits for 16 bits has 128 KiB.
        let sizes = if act == DType::I16 { [1 << 19, 1 << 18] } else { [1 << 18, SMALL] };
        assert_equal_everywhere(&chain(rounding, act, seed, &steps), &sizes);
    }
}
