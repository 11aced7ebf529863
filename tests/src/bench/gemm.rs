//! Integer products of the shapes of ResNet against the peak of the instructions that they use.

use crate::clock::{self, Summary};
use crate::figure::Figure;
use crate::inference::isas;
use crate::options::Options;
use ptq_ir::Requant;
use ptq_ir::ops::ConvGeom;
use ptq_kernels::{IntConv, IntConvSpec, Isa, Sign, multiply_add_loop};

/// Filters, depth, pixels.
const SHAPES: [[usize; 3]; 10] = [
    [64, 147, 12544],
    [64, 576, 3136],
    [128, 1152, 784],
    [256, 2304, 196],
    [512, 4608, 49],
    [256, 64, 3136],
    [64, 256, 3136],
    [1024, 256, 196],
    [1024, 1024, 1024],
    [1000, 2048, 1],
];

/// Operations of one measurement of the peak, about.
const PEAK_ROUNDS: usize = 200_000;

/// Measures every shape on every wanted instruction set, on one thread: packed weights, bytes in, requantized bytes
/// out; two operations for each multiplication.
///
/// # Errors
/// When a shape does not run.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    clock::pin(&[cores - 1])?;
    for isa in isas(options)? {
        for [filters, depth, pixels] in SHAPES {
            let name = format!("{filters}x{depth}x{pixels}");
            if !options.wants(&name) {
                continue;
            }
            // Peak and product in turns, so that both see the same clock.
            let mut product = Product::new(isa, filters, depth, pixels)?;
            let (mut peaks, mut times) = (Vec::new(), Vec::new());
            let mut operations = 0;
            let repeats = (40_000_000_usize / (filters * depth * pixels)).clamp(1, 200);
            for _ in 0..options.rounds {
                peaks.push(clock::time(|| operations = multiply_add_loop(isa, PEAK_ROUNDS)));
                for _ in 0..repeats {
                    let mut done = Ok(());
                    times.push(clock::time(|| done = product.run()));
                    done?;
                }
            }
            let peak = operations as f64 / Summary::of(&peaks).cpu[0] * 1e-9;
            let speed = (2 * filters * depth * pixels) as f64 / Summary::of(&times).cpu[0] * 1e-9;
            Figure::share(&format!("gemm {} {name} against the peak", isa.name()), speed, peak);
        }
    }
    Ok(())
}

/// A product as a pointwise convolution of one row of pixels.
struct Product {
    conv: IntConv,
    x: Vec<u8>,
    y: Vec<u8>,
}

impl Product {
    fn new(isa: Isa, filters: usize, depth: usize, pixels: usize) -> Result<Product, String> {
        let weights: Vec<i8> = (0..filters * depth).map(|i| (i * 31 + i / 7) as i8).collect();
        let requant = Requant::Float(vec![0.001; filters]);
        let spec = IntConvSpec {
            weights: &weights,
            filters,
            bias: None,
            geom: &ConvGeom { kernel: [1, 1], strides: [1, 1], pads: [0; 4], dilations: [1, 1], group: 1 },
            channels: depth,
            image: [1, pixels],
            input: Sign::Unsigned,
            input_zero: 128,
            requant: Some(&requant),
            out_zero: 128,
            clamp: (0, 255),
        };
        let conv = IntConv::pack(isa, &spec).map_err(|e| e.to_string())?;
        let x = (0..depth * pixels).map(|i| (i * 17 + i / 5) as u8).collect();
        Ok(Product { conv, x, y: vec![0; filters * pixels] })
    }

    fn run(&mut self) -> Result<(), String> {
        self.conv.run(1, 1, &self.x, &mut self.y).map_err(|e| e.to_string())
    }
}
