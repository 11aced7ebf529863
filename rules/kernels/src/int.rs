//! Exact integer kernels on 8-bit activations, and on 16-bit ones (`words`, `word_*`). Sums of exact products are associative modulo 2^32, so tiles, threads
//! and instruction sets cannot change a bit; only the requantization rounds, and it is that of [`crate::requant`].
//!
//! Activations are NHWC (channels innermost): a pointwise convolution then reads the image in place, a window is a few
//! contiguous runs, and results are stored as they are computed. [`to_nhwc`] and [`to_nchw`] convert.
//! Kernels take bytes; whether a byte is `uint8` or `int8` is said by [`Sign`], and [`bytes_of`] views `i8` as bytes.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod border;
mod bytes;
mod conv;
mod depthwise;
mod elementwise;
mod finish;
mod layout;
mod lines;
mod lookup;
mod matmul;
mod narrow;
#[cfg(target_arch = "aarch64")]
mod neon;
mod peak;
mod pool;
mod prepare;
mod sink;
mod stored;
mod strips;
mod tile;
#[cfg(target_arch = "x86_64")]
mod vnni;
#[cfg(target_arch = "x86_64")]
mod vnni512;
mod windows;
mod word_conv;
mod word_matmul;
mod words;

use crate::vectorized::vectorized;

pub use border::{dequantize_bytes, dequantize_rows, fake_quantize, quantize_bytes};
pub use bytes::{bytes_of, bytes_of_mut};
pub use conv::{IntConv, IntConvSpec};
pub use elementwise::{IntAdd, IntMul, byte_pairs};
pub use layout::{swap_axes, to_nchw, to_nhwc};
pub use lines::byte_lines;
pub use lookup::{lookup, requant_table};
pub use matmul::IntMatMul;
pub use peak::multiply_add_loop;
pub use pool::{IntAveragePool, IntImage, int_max_pool};
pub use stored::Stored;
pub use word_conv::{MAX_WEIGHTS, WordConv};
pub use word_matmul::WordMatMul;
pub use words::{WordPairs, word_lookup, word_map};

/// How a byte is read as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// 0 to 255.
    Unsigned,
    /// -128 to 127.
    Signed,
}

impl Sign {
    /// The number that a byte stands for.
    #[inline(always)]
    pub fn value(self, byte: u8) -> i32 {
        match self {
            Sign::Unsigned => i32::from(byte),
            Sign::Signed => i32::from(byte as i8),
        }
    }

    /// Lowest and highest number.
    pub fn range(self) -> (i32, i32) {
        match self {
            Sign::Unsigned => (0, 255),
            Sign::Signed => (-128, 127),
        }
    }
}
