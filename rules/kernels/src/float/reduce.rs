//! Long sums: eight partial sums over the elements `i`, `i + 8`, …, joined in a fixed tree, so that the bits do not
//! depend on vector width.

/// Sum of all elements.
pub fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (chunks, rest) = x.as_chunks::<8>();
    for chunk in chunks {
        for l in 0..8 {
            lanes[l] += chunk[l];
        }
    }
    for (l, v) in rest.iter().enumerate() {
        lanes[l] += v;
    }
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// Arithmetic mean: the sum divided by the count; NaN of nothing.
pub fn mean(x: &[f32]) -> f32 {
    sum(x) / x.len() as f32
}

/// Largest element; -infinity of nothing. NaN wins.
pub fn max_of(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 8];
    let (chunks, rest) = x.as_chunks::<8>();
    let pick = |a: f32, v: f32| if a >= v || a.is_nan() { a } else { v };
    for chunk in chunks {
        for l in 0..8 {
            lanes[l] = pick(lanes[l], chunk[l]);
        }
    }
    rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |a, &v| pick(a, v))
}

/// Inner product in double precision, eight partial sums in the same tree.
pub fn dot_f64(x: &[f32], y: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    for (i, (a, b)) in x.iter().zip(y).enumerate() {
        lanes[i % 8] += f64::from(*a) * f64::from(*b);
    }
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_follow_the_written_tree() {
        let x: Vec<f32> = (0..19).map(|i| 1.0 / (i as f32 + 1.0)).collect();
        let lane = |l: usize| x.iter().skip(l).step_by(8).fold(0.0f32, |a, v| a + v);
        let expect = ((lane(0) + lane(4)) + (lane(2) + lane(6))) + ((lane(1) + lane(5)) + (lane(3) + lane(7)));
        assert_eq!(sum(&x).to_bits(), expect.to_bits());
        assert_eq!(max_of(&[1.0, f32::NAN, 3.0]).to_bits() & 0x7fc0_0000, 0x7fc0_0000);
        assert_eq!(max_of(&[-3.0; 20]), -3.0);
    }
}
