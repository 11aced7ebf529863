//! Dot products and multiply-accumulates of the simulator, written so that compilers vectorize them.

use crate::Elem;

/// `Σ x·w` with 32-bit wrap-around.
pub(super) fn dot(x: &[i16], w: &[i8]) -> i32 {
    x.iter().zip(w).fold(0i32, |sum, (&x, &w)| sum.wrapping_add(i32::from(x) * i32::from(w)))
}

/// `Σ x·w` of 16-bit numbers, exact.
pub(super) fn dot_wide(x: &[i16], w: &[i8]) -> i64 {
    x.iter().zip(w).map(|(&x, &w)| i64::from(i32::from(x) * i32::from(w))).sum()
}

/// `acc += x·w` of 16-bit numbers, exact.
pub(super) fn multiply_add_wide(acc: &mut [i64], x: &[i16], w: &[u8]) {
    for ((a, &x), &w) in acc.iter_mut().zip(x).zip(w) {
        *a += i64::from(i32::from(x) * i32::from(w as i8));
    }
}

/// `acc += x·w`, channel by channel, with 32-bit wrap-around.
pub(super) fn multiply_add(acc: &mut [i32], x: &[i16], w: &[u8]) {
    for ((a, &x), &w) in acc.iter_mut().zip(x).zip(w) {
        *a = a.wrapping_add(i32::from(x) * i32::from(w as i8));
    }
}

/// Numbers less their zero point, which 16-bit elements do not have.
pub(super) fn centred(out: &mut [i16], bytes: &[u8], elem: Elem, zero: i16) {
    match elem {
        Elem::I8 => out.iter_mut().zip(bytes).for_each(|(o, &b)| *o = i16::from(b as i8) - zero),
        Elem::I16 => out.iter_mut().zip(bytes.as_chunks::<2>().0).for_each(|(o, &w)| *o = i16::from_le_bytes(w)),
        _ => out.iter_mut().zip(bytes).for_each(|(o, &b)| *o = i16::from(b) - zero),
    }
}
