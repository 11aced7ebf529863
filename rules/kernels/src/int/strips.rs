//! Strips: rows of the padded image in the form that vector code reads, made block by block so that they stay in cache.

use super::Sign;
use super::conv::IntConvSpec;
use crate::Isa;
use std::cell::RefCell;

/// Bytes of a strip, about; it stays in the second-level cache while all panels read it.
const STRIP_BYTES: usize = 1 << 17;

/// Elements that may be read beyond the last row, where weights are 0.
pub(super) const SLACK: usize = 16;

/// Pixels that rows of a block are gathered to when they are short.
const TOGETHER: usize = 12;

/// Where strips of an image lie and what they hold.
#[derive(Clone, Debug)]
pub(super) struct Strips {
    isa: Isa,
    sign: Sign,
    /// Input byte that stands for the zero point.
    pad: u8,
    channels: usize,
    /// Image rows and columns.
    image: [usize; 2],
    /// Result rows and columns.
    pub(super) out: [usize; 2],
    /// Rows above, columns to the left that padding adds.
    pads: [usize; 2],
    /// Vertical step.
    stride: usize,
    /// Rows that a window covers, columns of the padded image.
    span: [usize; 2],
    /// Result rows of a block.
    pub(super) block: usize,
}

/// Memory of strips, kept from run to run.
#[derive(Default)]
struct Memory {
    wide: Vec<i16>,
    bytes: Vec<u8>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = const { RefCell::new(Memory { wide: Vec::new(), bytes: Vec::new() }) };
}

impl Strips {
    /// Strips for windows over an image of extent `image` with result extent `out`, whose elements take `size` bytes.
    pub(super) fn new(isa: Isa, spec: &IntConvSpec<'_>, image: [usize; 2], out: [usize; 2], size: usize) -> Strips {
        let g = spec.geom;
        let need = (out[1] - 1) * g.strides[1] + (g.kernel[1] - 1) * g.dilations[1] + 1;
        let span = [(g.kernel[0] - 1) * g.dilations[0] + 1, need.max(g.pads[1] + image[1])];
        let bytes_a_row = g.strides[0] * span[1] * spec.channels * size;
        let block = (STRIP_BYTES / bytes_a_row).clamp(1, out[0]).next_multiple_of(TOGETHER.div_ceil(out[1]));
        Strips {
            isa,
            sign: spec.input,
            pad: spec.input_zero as u8,
            channels: spec.channels,
            image,
            out,
            pads: [g.pads[0], g.pads[1]],
            stride: g.strides[0],
            span,
            block,
        }
    }

    /// Elements of one row of a strip.
    pub(super) fn row(&self) -> usize {
        self.span[1] * self.channels
    }

    /// Elements from one result row's windows to the next's.
    pub(super) fn step(&self) -> usize {
        self.stride * self.row()
    }

    /// Result rows that a thread should take together.
    pub(super) fn rows_together(&self) -> usize {
        TOGETHER.div_ceil(self.out[1])
    }

    /// Whether rows of a strip are rows of the image.
    pub(super) fn is_unpadded(&self) -> bool {
        let rows = (self.out[0] - 1) * self.stride + self.span[0];
        self.pads == [0; 2] && self.span[1] == self.image[1] && rows <= self.image[0]
    }

    /// First image element of the strip of result rows from `y` on, where the image is not padded.
    pub(super) fn start(&self, y: usize) -> usize {
        y * self.step()
    }

    /// Calls `f` with the strip of `rows` result rows from `y` on, widened to 16 bits.
    pub(super) fn wide<R>(&self, x: &[u8], y: usize, rows: usize, f: impl FnOnce(&[i16]) -> R) -> R {
        MEMORY.with_borrow_mut(|memory| {
            f(match self.sign {
                Sign::Unsigned => self.fill(x, y, rows, &mut memory.wide, i16::from),
                Sign::Signed => self.fill(x, y, rows, &mut memory.wide, |b| i16::from(b as i8)),
            })
        })
    }

    /// Calls `f` with the strip of `rows` result rows from `y` on as unsigned bytes: 128 is added to signed ones.
    pub(super) fn bytes<R>(&self, x: &[u8], y: usize, rows: usize, f: impl FnOnce(&[u8]) -> R) -> R {
        MEMORY.with_borrow_mut(|memory| {
            f(match self.sign {
                Sign::Unsigned => self.fill(x, y, rows, &mut memory.bytes, |b| b),
                // Adding 128 to a signed byte is flipping its top bit.
                Sign::Signed => self.fill(x, y, rows, &mut memory.bytes, |b| b ^ 0x80),
            })
        })
    }

    fn fill<'a, T: Copy + Default>(
        &self,
        x: &[u8],
        y: usize,
        rows: usize,
        out: &'a mut Vec<T>,
        convert: impl Fn(u8) -> T,
    ) -> &'a [T] {
        let (first, width) = (y * self.stride, self.row());
        let len = ((rows - 1) * self.stride + self.span[0]) * width;
        if out.len() < len + SLACK {
            out.resize(len + SLACK, T::default());
        }
        let (pad, line, left) = (convert(self.pad), self.image[1] * self.channels, self.pads[1] * self.channels);
        let body = &mut out[..len];
        super::vectorized(self.isa, || {
            let copy = |to: &mut [T], from: &[u8]| to.iter_mut().zip(from).for_each(|(t, &s)| *t = convert(s));
            if self.pads == [0; 2] && width == line && first * line + len <= x.len() {
                return copy(body, &x[first * line..][..len]);
            }
            for (r, row) in body.chunks_exact_mut(width).enumerate() {
                let source = (first + r).checked_sub(self.pads[0]).filter(|&y| y < self.image[0]);
                let Some(y) = source else {
                    row.fill(pad);
                    continue;
                };
                row[..left].fill(pad);
                copy(&mut row[left..left + line], &x[y * line..][..line]);
                row[left + line..].fill(pad);
            }
        });
        &out[..len + SLACK]
    }
}
