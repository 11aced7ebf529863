//! `i8` slices seen as bytes.
#![allow(unsafe_code)]

/// The same memory as bytes in two's complement.
pub fn bytes_of(x: &[i8]) -> &[u8] {
    // SAFETY: i8 and u8 have the same size, alignment and validity; the borrow is kept.
    unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), x.len()) }
}

/// The same memory as bytes in two's complement.
pub fn bytes_of_mut(x: &mut [i8]) -> &mut [u8] {
    // SAFETY: i8 and u8 have the same size, alignment and validity; the unique borrow is kept.
    unsafe { std::slice::from_raw_parts_mut(x.as_mut_ptr().cast(), x.len()) }
}
