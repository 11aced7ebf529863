//! Dot products and multiply-accumulates of the simulator, written so that compilers vectorize them.

/// `Σ x·w` with 32-bit wrap-around.
pub(super) fn dot(x: &[i16], w: &[i8]) -> i32 {
    x.iter().zip(w).fold(0i32, |sum, (&x, &w)| sum.wrapping_add(i32::from(x) * i32::from(w)))
}

/// `acc += x·w`, channel by channel, with 32-bit wrap-around.
pub(super) fn multiply_add(acc: &mut [i32], x: &[i16], w: &[u8]) {
    for ((a, &x), &w) in acc.iter_mut().zip(x).zip(w) {
        *a = a.wrapping_add(i32::from(x) * i32::from(w as i8));
    }
}

/// Values of 8-bit elements less their zero point.
pub(super) fn centred(out: &mut [i16], bytes: &[u8], signed: bool, zero: i16) {
    if signed {
        out.iter_mut().zip(bytes).for_each(|(o, &b)| *o = i16::from(b as i8) - zero);
    } else {
        out.iter_mut().zip(bytes).for_each(|(o, &b)| *o = i16::from(b) - zero);
    }
}
