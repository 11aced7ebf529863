//! YOLO detectors at 640 × 640 and 80 classes: backbone, neck and heads up to the last convolutions, whose accumulators are
//! the outputs. v5u, v8, v10 and 11, as their authors' model descriptions say.

use super::{Act, Builder};
use ptq_ir::TensorId;

/// Number of classes.
const CLASSES: usize = 80;

/// Sizes of one member of a family: depth, width in hundredths, most channels before the width is applied.
#[derive(Clone, Copy)]
struct Scale {
    size: char,
    depth: f64,
    width: f64,
    most: usize,
}

impl Scale {
    fn channels(&self, c: usize) -> usize {
        ((c.min(self.most) as f64 * self.width / 8.0).ceil() * 8.0) as usize
    }

    fn repeats(&self, n: usize) -> usize {
        ((n as f64 * self.depth).round() as usize).max(1)
    }
}

/// Builds a detector such as `v8n`; `None` when there is none of this name.
pub(crate) fn build(name: &str, march: &str) -> Option<Builder> {
    let size = name.chars().next_back()?;
    let scale = |sizes: &[(char, f64, f64, usize)]| {
        let found = sizes.iter().find(|s| s.0 == size);
        found.map(|&(size, depth, width, most)| Scale { size, depth, width, most })
    };
    let mut b = Builder::new(name, march);
    let x = b.input(3, 640, 640);
    let v8 = &[
        ('n', 0.33, 0.25, 1024),
        ('s', 0.33, 0.5, 1024),
        ('m', 0.67, 0.75, 768),
        ('l', 1.0, 1.0, 512),
        ('x', 1.0, 1.25, 512),
    ];
    match name.trim_end_matches(size) {
        "v5" => {
            let s = scale(&[
                ('n', 0.33, 0.25, 1024),
                ('s', 0.33, 0.5, 1024),
                ('m', 0.67, 0.75, 1024),
                ('l', 1.0, 1.0, 1024),
                ('x', 1.33, 1.25, 1024),
            ])?;
            v5(&mut b, x, s);
        }
        "v8" => v8_net(&mut b, x, scale(v8)?),
        "v10" => {
            let mut sizes = v8.to_vec();
            sizes.push(('b', 0.67, 1.0, 512));
            v10(&mut b, x, scale(&sizes)?);
        }
        "11" => {
            let s = scale(&[
                ('n', 0.5, 0.25, 1024),
                ('s', 0.5, 0.5, 1024),
                ('m', 0.5, 1.0, 512),
                ('l', 1.0, 1.0, 512),
                ('x', 1.0, 1.5, 512),
            ])?;
            v11(&mut b, x, s);
        }
        _ => return None,
    }
    Some(b)
}

fn silu(b: &mut Builder, x: TensorId, c: usize, kernel: usize, stride: usize) -> TensorId {
    b.conv_act(x, c, kernel, stride, 1, Act::Table)
}

/// Two convolutions, and a sum around them where it fits.
fn bottleneck(b: &mut Builder, x: TensorId, hidden: usize, first: usize, sum: bool) -> TensorId {
    let c = b.channels(x);
    let y = silu(b, x, hidden, first, 1);
    let y = silu(b, y, c, 3, 1);
    if sum { b.add(x, y) } else { y }
}

/// What stands in a [`c2f`].
#[derive(Clone, Copy)]
enum Inner {
    /// Two 3 × 3 convolutions with a share of the channels between them.
    Bottleneck { halved: bool },
    /// A C3 of two bottlenecks.
    C3,
    /// Depthwise and pointwise in turn; 7 × 7 in the middle where `large`.
    Compact { large: bool },
}

/// Half of the channels passes through `n` blocks; every result is kept and joined.
fn c2f(b: &mut Builder, x: TensorId, out: usize, hidden: usize, n: usize, inner: Inner, sum: bool) -> TensorId {
    let both = silu(b, x, 2 * hidden, 1, 1);
    let mut parts = vec![b.slice(both, 0, hidden), b.slice(both, hidden, hidden)];
    for _ in 0..n {
        let last = parts[parts.len() - 1];
        let y = match inner {
            Inner::Bottleneck { halved } => bottleneck(b, last, if halved { hidden / 2 } else { hidden }, 3, sum),
            Inner::C3 => c3(b, last, hidden, 2, 3, sum),
            Inner::Compact { large } => compact(b, last, large, sum),
        };
        parts.push(y);
    }
    let joined = b.concat(&parts);
    silu(b, joined, out, 1, 1)
}

fn c3(b: &mut Builder, x: TensorId, out: usize, n: usize, first: usize, sum: bool) -> TensorId {
    let mut y = silu(b, x, out / 2, 1, 1);
    let other = silu(b, x, out / 2, 1, 1);
    for _ in 0..n {
        y = bottleneck(b, y, out / 2, first, sum);
    }
    let joined = b.concat(&[y, other]);
    silu(b, joined, out, 1, 1)
}

fn compact(b: &mut Builder, x: TensorId, large: bool, sum: bool) -> TensorId {
    let c = b.channels(x);
    let y = b.conv_act(x, c, 3, 1, c, Act::Table);
    let y = silu(b, y, 2 * c, 1, 1);
    let y = b.conv_act(y, 2 * c, if large { 7 } else { 3 }, 1, 2 * c, Act::Table);
    let y = silu(b, y, c, 1, 1);
    let y = b.conv_act(y, c, 3, 1, c, Act::Table);
    if sum { b.add(x, y) } else { y }
}

/// Maxima over growing windows, joined.
fn sppf(b: &mut Builder, x: TensorId, out: usize) -> TensorId {
    let half = b.channels(x) / 2;
    let mut parts = vec![silu(b, x, half, 1, 1)];
    for _ in 0..3 {
        let y = b.max_pool(parts[parts.len() - 1], 5, 1, 2);
        parts.push(y);
    }
    let joined = b.concat(&parts);
    silu(b, joined, out, 1, 1)
}

/// Attention over all pixels, heads of 64 channels.
fn attention(b: &mut Builder, x: TensorId) -> TensorId {
    let [_, c, h, w] = b.shape(x);
    let (heads, pixels) = ((c / 64).max(1), h * w);
    let (value, key) = (c / heads, c / heads / 2);
    let all = b.conv(x, c + 2 * key * heads, 1, 1, 1);
    let all = b.reshape(all, &[1, heads, 2 * key + value, pixels]);
    let (q, k) = (b.slice_axis(all, 2, 0, key), b.slice_axis(all, 2, key, key));
    let v = b.slice_axis(all, 2, 2 * key, value);
    let q = b.transpose(q, &[0, 1, 3, 2]);
    let scores = b.matmul(q, k);
    let weights = b.softmax(scores);
    let weights = b.transpose(weights, &[0, 1, 3, 2]);
    let mixed = b.matmul(v, weights);
    let mixed = b.reshape(mixed, &[1, c, h, w]);
    let image = b.reshape(v, &[1, c, h, w]);
    let place = b.depthwise(image, 3, 1);
    let sum = b.add(mixed, place);
    b.conv(sum, c, 1, 1, 1)
}

/// Half of the channels passes through attention and two pointwise layers, `n` times.
fn c2psa(b: &mut Builder, x: TensorId, n: usize) -> TensorId {
    let c = b.channels(x);
    let both = silu(b, x, c, 1, 1);
    let (head, mut y) = (b.slice(both, 0, c / 2), b.slice(both, c / 2, c / 2));
    for _ in 0..n {
        let z = attention(b, y);
        y = b.add(y, z);
        let z = silu(b, y, c, 1, 1);
        let z = b.conv(z, c / 2, 1, 1, 1);
        y = b.add(y, z);
    }
    let joined = b.concat(&[head, y]);
    silu(b, joined, c, 1, 1)
}

/// Boxes and classes of one size of objects.
fn heads(b: &mut Builder, levels: [TensorId; 3], light: bool) {
    let first = b.channels(levels[0]);
    let (boxes, classes) = ((first / 4).max(64), first.max(CLASSES.min(100)));
    for x in levels {
        let y = silu(b, x, boxes, 3, 1);
        let y = silu(b, y, boxes, 3, 1);
        b.tail_conv(y, 64);
        let y = head_conv(b, x, classes, light);
        let y = head_conv(b, y, classes, light);
        b.tail_conv(y, CLASSES);
    }
}

fn head_conv(b: &mut Builder, x: TensorId, c: usize, light: bool) -> TensorId {
    if light {
        let own = b.channels(x);
        let y = b.conv_act(x, own, 3, 1, own, Act::Table);
        silu(b, y, c, 1, 1)
    } else {
        silu(b, x, c, 3, 1)
    }
}

/// The way up and down again. `join(b, x, level, n)` makes a block; `down` halves the image.
struct Neck<'a> {
    block: &'a dyn Fn(&mut Builder, TensorId, usize) -> TensorId,
    down: &'a dyn Fn(&mut Builder, TensorId, usize) -> TensorId,
}

impl Neck<'_> {
    /// From the three levels of a backbone to those of the heads.
    fn run(&self, b: &mut Builder, p3: TensorId, p4: TensorId, p5: TensorId) -> [TensorId; 3] {
        let up = b.upsample(p5);
        let x = b.concat(&[up, p4]);
        let mid = (self.block)(b, x, 0);
        let up = b.upsample(mid);
        let x = b.concat(&[up, p3]);
        let small = (self.block)(b, x, 1);
        let x = (self.down)(b, small, 0);
        let x = b.concat(&[x, mid]);
        let medium = (self.block)(b, x, 2);
        let x = (self.down)(b, medium, 1);
        let x = b.concat(&[x, p5]);
        [small, medium, (self.block)(b, x, 3)]
    }
}

fn v5(b: &mut Builder, x: TensorId, s: Scale) {
    let c = |n| s.channels(n);
    let x = b.padded_conv(x, c(64), (6, 2, 2), 1);
    let mut x = b.lut(x);
    let mut levels = Vec::new();
    for (width, n) in [(128, 3), (256, 6), (512, 9), (1024, 3)] {
        x = silu(b, x, c(width), 3, 2);
        x = c3(b, x, c(width), s.repeats(n), 1, true);
        levels.push(x);
    }
    let p5 = sppf(b, x, c(1024));
    let p5 = silu(b, p5, c(512), 1, 1);
    let up = b.upsample(p5);
    let x = b.concat(&[up, levels[2]]);
    let x = c3(b, x, c(512), s.repeats(3), 1, false);
    let mid = silu(b, x, c(256), 1, 1);
    let up = b.upsample(mid);
    let x = b.concat(&[up, levels[1]]);
    let small = c3(b, x, c(256), s.repeats(3), 1, false);
    let x = silu(b, small, c(256), 3, 2);
    let x = b.concat(&[x, mid]);
    let medium = c3(b, x, c(512), s.repeats(3), 1, false);
    let x = silu(b, medium, c(512), 3, 2);
    let x = b.concat(&[x, p5]);
    let large = c3(b, x, c(1024), s.repeats(3), 1, false);
    heads(b, [small, medium, large], false);
}

fn v8_net(b: &mut Builder, x: TensorId, s: Scale) {
    let c = |n| s.channels(n);
    let plain = Inner::Bottleneck { halved: false };
    let mut x = silu(b, x, c(64), 3, 2);
    let mut levels = Vec::new();
    for (width, n) in [(128, 3), (256, 6), (512, 6), (1024, 3)] {
        x = silu(b, x, c(width), 3, 2);
        x = c2f(b, x, c(width), c(width) / 2, s.repeats(n), plain, true);
        levels.push(x);
    }
    let p5 = sppf(b, x, c(1024));
    let widths = [c(512), c(256), c(512), c(1024)];
    let block = |b: &mut Builder, x, i: usize| c2f(b, x, widths[i], widths[i] / 2, s.repeats(3), plain, false);
    let down = |b: &mut Builder, x, i: usize| silu(b, x, [c(256), c(512)][i], 3, 2);
    let levels = Neck { block: &block, down: &down }.run(b, levels[1], levels[2], p5);
    heads(b, levels, false);
}

/// Pointwise, then depthwise with stride 2.
fn sc_down(b: &mut Builder, x: TensorId, c: usize) -> TensorId {
    let y = silu(b, x, c, 1, 1);
    b.depthwise(y, 3, 2)
}

fn v10(b: &mut Builder, x: TensorId, s: Scale) {
    let c = |n| s.channels(n);
    let large = matches!(s.size, 'n' | 's');
    let (plain, compact) = (Inner::Bottleneck { halved: false }, Inner::Compact { large });
    // Where a size has compact blocks: third and fourth block of the backbone, then those of the neck.
    let has = match s.size {
        'n' => [false, false, false, false, false, true],
        's' => [false, true, false, false, false, true],
        'm' => [false, true, false, false, true, true],
        'x' => [true, true, true, false, true, true],
        _ => [false, true, true, false, true, true],
    };
    let pick = |at: usize| if has[at] { compact } else { plain };
    let mut x = silu(b, x, c(64), 3, 2);
    let mut levels = Vec::new();
    for (i, (width, n)) in [(128, 3), (256, 6), (512, 6), (1024, 3)].into_iter().enumerate() {
        x = if i < 2 { silu(b, x, c(width), 3, 2) } else { sc_down(b, x, c(width)) };
        let inner = if i < 2 { plain } else { pick(i - 2) };
        x = c2f(b, x, c(width), c(width) / 2, s.repeats(n), inner, true);
        levels.push(x);
    }
    let x = sppf(b, x, c(1024));
    let p5 = c2psa(b, x, 1);
    let widths = [c(512), c(256), c(512), c(1024)];
    let block = |b: &mut Builder, x, i: usize| {
        let (inner, sum) = (pick(i + 2), has[i + 2]);
        c2f(b, x, widths[i], widths[i] / 2, s.repeats(3), inner, sum)
    };
    let down = |b: &mut Builder, x, i: usize| {
        if i == 0 { silu(b, x, c(256), 3, 2) } else { sc_down(b, x, c(512)) }
    };
    let levels = Neck { block: &block, down: &down }.run(b, levels[1], levels[2], p5);
    heads(b, levels, true);
}

fn v11(b: &mut Builder, x: TensorId, s: Scale) {
    let c = |n| s.channels(n);
    let deep = matches!(s.size, 'm' | 'l' | 'x');
    let inner = |c3: bool| if c3 || deep { Inner::C3 } else { Inner::Bottleneck { halved: true } };
    let mut x = silu(b, x, c(64), 3, 2);
    let mut levels = Vec::new();
    for (down, out, quarter, c3) in
        [(128, 256, true, false), (256, 512, true, false), (512, 512, false, true), (1024, 1024, false, true)]
    {
        x = silu(b, x, c(down), 3, 2);
        let hidden = if quarter { c(out) / 4 } else { c(out) / 2 };
        x = c2f(b, x, c(out), hidden, s.repeats(2), inner(c3), true);
        levels.push(x);
    }
    let x = sppf(b, x, c(1024));
    let p5 = c2psa(b, x, s.repeats(2));
    let widths = [c(512), c(256), c(512), c(1024)];
    let block = |b: &mut Builder, x, i: usize| c2f(b, x, widths[i], widths[i] / 2, s.repeats(2), inner(i == 3), true);
    let down = |b: &mut Builder, x, i: usize| silu(b, x, [c(256), c(512)][i], 3, 2);
    let levels = Neck { block: &block, down: &down }.run(b, levels[1], levels[2], p5);
    heads(b, levels, true);
}
