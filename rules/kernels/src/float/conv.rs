//! Convolution with weights packed once.

use super::activation::Activation;
#[cfg(target_arch = "x86_64")]
use super::avx512_filters;
use super::depthwise;
use super::gemm::{SPEED, pack_panels, pack_rows, product, product_by_filters, product_of_rows, tile_rows};
use super::scratch;
use super::tile::{MR, NR};
use super::windows::{self, Offsets, Pieces};
use crate::error::expect_len;
use crate::planes::Planes;
use crate::{Isa, KernelError, parallel};
use ptq_ir::ops::ConvGeom;

/// Up to this many output pixels, filters go along the vector lanes.
const FEW_PIXELS: usize = 8;
/// As [`FEW_PIXELS`] where filters are many.
const SOME_PIXELS: usize = 63;

/// A 2-D convolution of a fixed image size, weights packed. Layout NCHW.
#[derive(Clone, Debug)]
pub struct FloatConv {
    pub(super) isa: Isa,
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) bias: Vec<f32>,
    pub(super) geom: ConvGeom,
    pub(super) image: [usize; 2],
    planes: Planes,
    packed: Packed,
    /// Where the steps of k of one group read; nothing for a depthwise convolution.
    offsets: Offsets,
    pub(super) activation: Activation,
}

/// Weights in the order in which they are read.
#[derive(Clone, Debug)]
enum Packed {
    /// As given, one filter after the other.
    Depthwise(Vec<f32>),
    /// For each group, tiles of rows for the image as it is.
    Rows(Vec<Vec<f32>>),
    /// For each group, tiles of rows for padded planes, whose pixels lie in these tiles.
    Windows(Vec<Vec<f32>>, Pieces),
    /// For each group, panels of filters and their padded bias.
    Filters(Vec<(Vec<f32>, Vec<f32>)>),
}

impl FloatConv {
    /// Packs weights (OIHW, `filters` of them) for images of `channels × image` and the instructions of `isa`.
    ///
    /// # Errors
    /// When weights, bias, channels and window do not fit.
    pub fn pack(
        isa: Isa,
        weights: &[f32],
        filters: usize,
        bias: Option<&[f32]>,
        geom: &ConvGeom,
        channels: usize,
        image: [usize; 2],
    ) -> Result<FloatConv, KernelError> {
        let groups = geom.group;
        let whole = |n: usize| n > 0 && n.is_multiple_of(groups);
        if groups == 0 || !whole(channels) || !whole(filters) {
            return Err(KernelError::Geometry(format!("{channels} channels, {filters} filters in {groups} groups")));
        }
        let planes = Planes::new(geom, image)?;
        let (per_group, filters_of) = (channels / groups, filters / groups);
        let k = per_group * geom.kernel[0] * geom.kernel[1];
        expect_len("weights", weights.len(), filters * k)?;
        let bias = bias.map_or_else(|| vec![0.0; filters], <[f32]>::to_vec);
        expect_len("bias", bias.len(), filters)?;
        let pixels = planes.out[0] * planes.out[1];
        let by_group = weights.chunks_exact(filters_of * k);
        let offset = |c| planes.taps.iter().map(move |t| c * planes.plane + t);
        let offsets = if per_group == 1 { Vec::new() } else { (0..per_group).flat_map(offset).collect() };
        let packed = if per_group == 1 {
            Packed::Depthwise(weights.to_vec())
        } else if pixels <= if filters_of < 2 * NR { FEW_PIXELS } else { SOME_PIXELS } {
            let padded = |g: usize| {
                let mut b = bias[g * filters_of..(g + 1) * filters_of].to_vec();
                b.resize(filters_of.div_ceil(NR) * NR, 0.0);
                b
            };
            Packed::Filters(by_group.enumerate().map(|(g, w)| (pack_panels(w, filters_of, k), padded(g))).collect())
        } else {
            let rows = by_group.map(|w| pack_rows(w, [filters_of, k], tile_rows(isa))).collect();
            // A window of one pixel at stride 1 and without padding reads the image as it is.
            if planes.in_place() && planes.plane == pixels && planes.taps == [0] {
                Packed::Rows(rows)
            } else {
                Packed::Windows(rows, Pieces::new(isa, &planes))
            }
        };
        let (offsets, activation) = (Offsets::new(offsets), Activation::None);
        Ok(FloatConv {
            isa,
            in_channels: channels,
            out_channels: filters,
            bias,
            geom: *geom,
            image,
            planes,
            packed,
            offsets,
            activation,
        })
    }

    /// The same convolution with an activation behind it.
    #[must_use]
    pub fn with_activation(mut self, activation: Activation) -> FloatConv {
        self.activation = activation;
        self
    }

    /// Output height and width.
    pub fn out_hw(&self) -> [usize; 2] {
        self.planes.out
    }

    /// Number of filters.
    pub fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// Convolves `batch` images.
    ///
    /// # Errors
    /// When a slice does not have the size of its shape.
    pub fn run(&self, threads: usize, batch: usize, x: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
        let image = self.in_channels * self.image[0] * self.image[1];
        let result = self.out_channels * self.planes.out[0] * self.planes.out[1];
        expect_len("input", x.len(), batch * image)?;
        expect_len("output", out.len(), batch * result)?;
        if let (true, Packed::Filters(packed)) = (batch > 1 && image == self.in_channels, &self.packed)
            && let [(w, bias)] = &packed[..]
        {
            let size = [self.in_channels, self.out_channels];
            product_of_rows(self.isa, threads, self.activation, (w, bias), size, x, out);
            return Ok(());
        }
        for (x, y) in x.chunks_exact(image).zip(out.chunks_exact_mut(result)) {
            self.image(threads, x, y);
        }
        Ok(())
    }

    fn image(&self, threads: usize, x: &[f32], y: &mut [f32]) {
        let groups = self.geom.group;
        let pixels = self.planes.out[0] * self.planes.out[1];
        let per_group = self.in_channels / groups;
        let filters = self.out_channels / groups;
        let k = per_group * self.planes.taps.len();
        let nanoseconds = filters * k * pixels / SPEED;
        let Packed::Depthwise(weights) = &self.packed else {
            let images = x.chunks_exact(x.len() / groups).zip(y.chunks_exact_mut(filters * pixels)).enumerate();
            for (g, (x, y)) in images {
                self.group(threads, g, x, y, nanoseconds);
            }
            return;
        };
        parallel::split(threads, nanoseconds * groups * 4, y, pixels, |first, y| {
            depthwise::run(self, weights, x, &self.planes, first, y);
        });
    }

    fn group(&self, threads: usize, g: usize, x: &[f32], y: &mut [f32], nanoseconds: usize) {
        let channels = self.in_channels / self.geom.group;
        let filters = self.out_channels / self.geom.group;
        let n = self.planes.out[0] * self.planes.out[1];
        let k = channels * self.planes.taps.len();
        let bias = &self.bias[g * filters..(g + 1) * filters];
        match &self.packed {
            Packed::Depthwise(_) => {}
            Packed::Rows(packed) => {
                product(self.isa, threads, nanoseconds, &packed[g], Some(bias), self.activation, [k, n], x, y);
            }
            Packed::Windows(packed, pieces) => {
                windows::with_planes(self.isa, &self.planes, threads, x, channels, |data| {
                    windows::run(self, threads, (&packed[g], bias), data, &self.offsets, pieces, nanoseconds, y);
                })
            }
            Packed::Filters(packed) => {
                let data = self.planes.of(x, channels, 0.0);
                self.few_pixels(threads, (&packed[g].0, &packed[g].1), &data, nanoseconds, y);
            }
        }
    }

    /// Filters along the lanes.
    fn few_pixels(&self, threads: usize, (w, bias): (&[f32], &[f32]), data: &[f32], nanoseconds: usize, y: &mut [f32]) {
        let isa = self.isa;
        let (n, k) = (self.planes.out[0] * self.planes.out[1], self.offsets.list().len());
        #[cfg(target_arch = "x86_64")]
        if isa.avx512_vnni() {
            let (clip, rest) = self.activation.clip_and_rest();
            let corners: Vec<usize> = (0..n).map(|p| self.corner(p)).collect();
            return scratch::with(avx512_filters::packed_len(n, k), |pixels| {
                avx512_filters::pack(isa, threads, data, self.offsets.list(), &corners, pixels);
                parallel::split(threads, nanoseconds, y, 2 * NR * n, |pair, y| {
                    let operands = (&w[2 * pair * k * NR..], &bias[2 * pair * NR..]);
                    avx512_filters::product(isa, operands, [k, n], pixels, clip, y);
                    rest.apply(isa, y);
                });
            });
        }
        scratch::with(n.div_ceil(MR) * k * MR, |pixels| {
            self.pixel_tiles(data, self.offsets.list(), pixels);
            parallel::split(threads, nanoseconds, y, 2 * NR * n, |pair, y| {
                let panel = 2 * pair;
                product_by_filters(isa, &w[panel * k * NR..], &bias[panel * NR..], k, n, pixels, y);
                self.activation.apply(isa, y);
            });
        });
    }

    /// Where the window of pixel `p` begins in the planes.
    fn corner(&self, p: usize) -> usize {
        let width = self.planes.out[1];
        p / width * self.planes.row_step + p % width
    }

    /// Writes the windows of all pixels as tiles `[n / MR][k][MR]`, 0 where there is no pixel.
    fn pixel_tiles(&self, data: &[f32], offsets: &[usize], tiles: &mut [f32]) {
        let ([height, width], k) = (self.planes.out, offsets.len());
        for (t, tile) in tiles.chunks_exact_mut(k * MR).enumerate() {
            let bases: [Option<usize>; MR] = std::array::from_fn(|i| {
                let p = t * MR + i;
                (p < height * width).then(|| self.corner(p))
            });
            let (first, last) = (bases[0].unwrap_or(0), bases[MR - 1]);
            let neighbours = last == Some(first + MR - 1);
            for (out, offset) in tile.as_chunks_mut::<MR>().0.iter_mut().zip(offsets) {
                if neighbours {
                    out.copy_from_slice(&data[offset + first..][..MR]);
                } else {
                    out.iter_mut().zip(&bases).for_each(|(o, base)| *o = base.map_or(0.0, |base| data[offset + base]));
                }
            }
        }
    }
}
