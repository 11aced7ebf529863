//! Float kernels. Every output of a convolution or product is one chain of fused multiply-adds in the order of k,
//! starting from the bias: `acc = fma(w[k], x[k], acc)`. Taps outside the image take part with `x = 0`. The bits
//! therefore depend neither on tiling nor on threads nor on vector width.

mod activation;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_depthwise;
#[cfg(target_arch = "x86_64")]
mod avx512_filters;
#[cfg(target_arch = "x86_64")]
mod avx512_product;
#[cfg(target_arch = "x86_64")]
mod avx512_tile;
#[cfg(target_arch = "x86_64")]
mod avx512_windows;
mod conv;
mod depthwise;
mod gemm;
mod map;
mod pool;
mod reduce;
mod scratch;
mod tile;
mod windows;

pub use activation::Activation;
pub use conv::FloatConv;
pub use gemm::{Start, matmul};
pub use map::map;
pub(crate) use pool::inside;
pub use pool::{average_pool, max_pool};
pub use reduce::{dot_f64, max_of, mean, sum};
