//! CONV and DWCONV.

use super::dot::{centred, dot, dot_wide, multiply_add, multiply_add_wide};
use super::scale::{Channel, channels};
use crate::memory::Memory;
use crate::{CHANNEL_CONSTANT_BYTES, Conv, Elem, Sram, TrapKind};
use ptq_kernels::requant::store;

/// Operand ranges as (start, bytes).
pub(crate) fn operands(c: &Conv) -> [(Sram, u64); 3] {
    let product = |v: &[u16]| v.iter().map(|&v| u64::from(v)).product::<u64>();
    let taps = u64::from(c.kernel[0]) * u64::from(c.kernel[1]);
    let weights = u64::from(c.out_hwc[2]) * taps * u64::from(c.group_channels);
    let constants = u64::from(c.out_hwc[2]) * CHANNEL_CONSTANT_BYTES as u64;
    [(c.ifm, product(&c.in_hwc) * c.x_type.bytes() as u64), (c.weights, weights), (c.constants, constants)]
}

/// Operands read from SRAM, and the geometry as plain numbers.
struct Tile<'a> {
    x: &'a [u8],
    w: &'a [u8],
    channels: Vec<Channel>,
    in_h: usize,
    in_w: usize,
    in_c: usize,
    kernel: [usize; 2],
}

impl<'a> Tile<'a> {
    fn read(c: &Conv, sram: &'a Memory) -> Result<Tile<'a>, TrapKind> {
        let read = |(at, bytes): (Sram, u64)| sram.read(u64::from(at.0), bytes);
        let [x, w, constants] = operands(c);
        sram.bounds(u64::from(c.ofm.0), c.ofm_reach())?;
        Ok(Tile {
            x: read(x)?,
            w: read(w)?,
            channels: channels(read(constants)?, c.rounding, c.out_type)?,
            in_h: usize::from(c.in_hwc[0]),
            in_w: usize::from(c.in_hwc[1]),
            in_c: usize::from(c.in_hwc[2]),
            kernel: c.kernel.map(usize::from),
        })
    }

    /// Byte of the pixel that tap `(ky, kx)` of output pixel `(oy, ox)` reads; `None` outside the image.
    fn pixel(&self, c: &Conv, out: [usize; 2], tap: [usize; 2]) -> Option<usize> {
        let at = |d: usize, pad: u16| {
            let place = out[d] * usize::from(c.strides[d]) + tap[d] * usize::from(c.dilations[d]);
            place.checked_sub(usize::from(pad))
        };
        let (y, x) = (at(0, c.pad_top)?, at(1, c.pad_left)?);
        (y < self.in_h && x < self.in_w).then(|| (y * self.in_w + x) * self.in_c * c.x_type.bytes())
    }
}

/// Convolution of any grouping: gathers one window at a time and multiplies it with every filter of its group.
pub(super) fn conv(c: &Conv, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let tile = Tile::read(c, sram)?;
    let weights: Vec<i8> = tile.w.iter().map(|&b| b as i8).collect();
    let [out_h, out_w, out_c] = c.out_hwc.map(usize::from);
    let group_channels = usize::from(c.group_channels);
    let groups = tile.in_c / group_channels;
    let filters = out_c / groups;
    let depth = tile.kernel[0] * tile.kernel[1] * group_channels;
    let mut window = vec![0i16; depth];
    let mut out = Vec::with_capacity(out_h * out_w * out_c * c.out_type.bytes());
    for oy in 0..out_h {
        for ox in 0..out_w {
            for g in 0..groups {
                gather_window(c, &tile, [oy, ox], g * group_channels, &mut window);
                for o in g * filters..(g + 1) * filters {
                    let w = &weights[o * depth..(o + 1) * depth];
                    let acc = if c.x_type == Elem::I16 { dot_wide(&window, w) } else { dot(&window, w).into() };
                    put(c, tile.channels[o], acc, &mut out);
                }
            }
        }
    }
    Ok(out)
}

fn gather_window(c: &Conv, tile: &Tile<'_>, out: [usize; 2], channel: usize, window: &mut [i16]) {
    let (n, elem) = (usize::from(c.group_channels), c.x_type.bytes());
    let mut slots = window.chunks_exact_mut(n);
    for ky in 0..tile.kernel[0] {
        for kx in 0..tile.kernel[1] {
            let Some(slot) = slots.next() else { return };
            match tile.pixel(c, out, [ky, kx]) {
                Some(at) => centred(slot, &tile.x[at + channel * elem..][..n * elem], c.x_type, c.x_zero),
                None => slot.fill(0),
            }
        }
    }
}

/// Depthwise convolution: all channels of a pixel at once, tap by tap.
pub(super) fn depthwise(c: &Conv, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let tile = Tile::read(c, sram)?;
    let [out_h, out_w, n] = c.out_hwc.map(usize::from);
    let wide = c.x_type == Elem::I16;
    let (mut acc, mut wide_acc) = (vec![0i32; n], vec![0i64; n]);
    let mut pixel = vec![0i16; n];
    let mut out = Vec::with_capacity(out_h * out_w * n * c.out_type.bytes());
    for oy in 0..out_h {
        for ox in 0..out_w {
            acc.fill(0);
            wide_acc.fill(0);
            for ky in 0..tile.kernel[0] {
                for kx in 0..tile.kernel[1] {
                    if let Some(at) = tile.pixel(c, [oy, ox], [ky, kx]) {
                        centred(&mut pixel, &tile.x[at..][..n * c.x_type.bytes()], c.x_type, c.x_zero);
                        let tap = (ky * tile.kernel[1] + kx) * n;
                        let w = &tile.w[tap..tap + n];
                        if wide {
                            multiply_add_wide(&mut wide_acc, &pixel, w);
                        } else {
                            multiply_add(&mut acc, &pixel, w);
                        }
                    }
                }
            }
            for (o, &channel) in tile.channels.iter().enumerate() {
                put(c, channel, if wide { wide_acc[o] } else { acc[o].into() }, &mut out);
            }
        }
    }
    Ok(out)
}

/// Adds the bias, requantizes and appends the result's bytes.
fn put(c: &Conv, channel: Channel, acc: i64, out: &mut Vec<u8>) {
    let acc = match c.x_type {
        Elem::I16 => acc + i64::from(channel.bias),
        _ => (acc as i32).wrapping_add(channel.bias).into(),
    };
    let value = match c.out_type {
        Elem::I32 => acc.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
        _ => store(channel.scale.apply(acc), c.out_zero.into(), c.clamp_lo.into(), c.clamp_hi.into()),
    };
    c.out_type.push(value, out);
}
