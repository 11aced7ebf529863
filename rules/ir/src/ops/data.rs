//! Facts about constant data that decide a result's shape: places that are not zero, distinct slices, parts of shapes.

use super::axis;
use crate::tensor::each_variant;
use crate::{Attrs, Tensor, TensorData};
use std::cmp::Ordering;

/// The extents `start..end` of a shape (operator Shape), with ONNX's clamping of the attributes.
pub fn shape_slice(attrs: &Attrs, shape: &[usize]) -> Vec<i64> {
    let rank = shape.len() as i64;
    let wrap = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
    let (start, end) = (wrap(attrs.int("start", 0)), wrap(attrs.int("end", rank)));
    shape.get(start..end).unwrap_or(&[]).iter().map(|&n| n as i64).collect()
}

/// Row-major places of the elements that are not zero.
pub fn non_zero(x: &Tensor) -> Vec<usize> {
    fn places<T: Default + PartialEq>(v: &[T]) -> Vec<usize> {
        let zero = T::default();
        (0..v.len()).filter(|&i| v[i] != zero).collect()
    }
    each_variant!(x.data(), v => places(v))
}

/// The order of two numbers, NaN behind all others.
pub fn ordered<T: PartialOrd>(a: &T, b: &T) -> Ordering {
    let is_nan = |v: &T| v.partial_cmp(v).is_none();
    a.partial_cmp(b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)))
}

/// The distinct slices of a tensor (operator Unique).
#[derive(Clone, Debug, PartialEq)]
pub struct Unique {
    /// Axis that is cut into slices; `None` for single elements.
    pub axis: Option<usize>,
    /// Index of the first slice of each kind: ascending by value, or with `sorted = 0` by place.
    pub first: Vec<usize>,
    /// For each slice its kind, an index into `first`.
    pub inverse: Vec<usize>,
    /// Slices of each kind.
    pub counts: Vec<usize>,
}

impl Unique {
    /// The distinct slices; `None` when `axis` is outside the rank.
    pub fn of(x: &Tensor, attrs: &Attrs) -> Option<Unique> {
        let axis = match attrs.get("axis") {
            Some(_) => Some(axis(attrs.int("axis", 0), x.shape().len())?),
            None => None,
        };
        let extent = axis.map_or(x.len(), |a| x.shape()[a]);
        let inner: usize = axis.map_or(1, |a| x.shape()[a + 1..].iter().product());
        let outer = x.len().checked_div(extent * inner).unwrap_or(0);
        let places =
            move |slice: usize| (0..outer).flat_map(move |o| (0..inner).map(move |i| (o * extent + slice) * inner + i));
        let order = |a: usize, b: usize| {
            each_variant!(x.data(), v => {
                let unequal = places(a).zip(places(b)).map(|(p, q)| ordered(&v[p], &v[q]));
                unequal.into_iter().find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
            })
        };
        let mut sorted: Vec<usize> = (0..extent).collect();
        sorted.sort_by(|&a, &b| order(a, b));
        let mut kinds: Vec<Vec<usize>> = Vec::new();
        for slice in sorted {
            match kinds.last_mut() {
                Some(kind) if order(kind[0], slice).is_eq() => kind.push(slice),
                _ => kinds.push(vec![slice]),
            }
        }
        if attrs.int("sorted", 1) == 0 {
            kinds.sort_by_key(|kind| kind[0]);
        }
        let mut inverse = vec![0; extent];
        for (k, kind) in kinds.iter().enumerate() {
            kind.iter().for_each(|&slice| inverse[slice] = k);
        }
        let first = kinds.iter().map(|kind| kind[0]).collect();
        Some(Unique { axis, first, inverse, counts: kinds.iter().map(Vec::len).collect() })
    }
}
