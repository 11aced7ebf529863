//! Pad: constant, reflect and edge.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_type};
use crate::loops::steps_of;
use ptq_ir::Tensor;

pub(super) fn pad(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let rank = x.shape().len();
    let raw = call.input(1)?.to_i64s()?;
    let axes = match call.ints(3)? {
        Some(axes) => axes.iter().map(|&a| call.axis(a, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    if raw.len() != 2 * axes.len() {
        return Err(call.bad(format!("{} pads for {} axes", raw.len(), axes.len())));
    }
    let mode = call.attrs.str("mode", "constant");
    // For each axis the source index of each output index; `None` is the constant.
    let mut maps: Vec<Vec<Option<usize>>> = x.shape().iter().map(|&n| (0..n).map(Some).collect()).collect();
    for (i, &d) in axes.iter().enumerate() {
        maps[d] = source_indices(call, mode, x.shape()[d], raw[i], raw[i + axes.len()])?;
    }
    let shape: Vec<usize> = maps.iter().map(Vec::len).collect();
    call.bounded(&shape)?;
    each_type!(x, v => filled(call, v, x.shape(), &shape, &maps))
}

fn source_indices(
    call: &Call<'_>,
    mode: &str,
    extent: usize,
    before: i64,
    after: i64,
) -> Result<Vec<Option<usize>>, ExecError> {
    let n = extent as i64;
    let total = n.saturating_add(before).saturating_add(after);
    if !(0..=1 << 30).contains(&total) {
        return Err(call.bad(format!("pads {before} and {after} do not fit extent {n}")));
    }
    (0..total)
        .map(|o| {
            let i = o - before;
            let inside = (0..n).contains(&i);
            match mode {
                _ if inside => Ok(Some(i as usize)),
                "constant" => Ok(None),
                "edge" if n > 0 => Ok(Some(i.clamp(0, n - 1) as usize)),
                "reflect" if n > 1 => {
                    let period = 2 * (n - 1);
                    let r = i.rem_euclid(period);
                    Ok(Some(r.min(period - r) as usize))
                }
                "reflect" if n == 1 => Ok(Some(0)),
                "edge" | "reflect" => Err(call.bad("cannot extend an empty axis")),
                other => Err(call.bad(format!("mode {other:?} is not supported"))),
            }
        })
        .collect()
}

fn filled<T: Element>(
    call: &Call<'_>,
    v: &[T],
    from: &[usize],
    shape: &[usize],
    maps: &[Vec<Option<usize>>],
) -> Result<Tensor, ExecError> {
    let value = match call.optional(2).filter(|t| !t.is_empty()) {
        Some(t) => T::of(t)?[0],
        None => T::default(),
    };
    let steps = steps_of(from);
    let (Some((inner, outer)), Some(inner_step)) = (maps.split_last(), steps.last()) else {
        return Ok(T::tensor(shape, v.to_vec())?);
    };
    // With constant padding, what lies inside is one run of the row.
    let lead = inner.iter().take_while(|i| i.is_none()).count();
    let run: Vec<usize> = inner.iter().flatten().copied().collect();
    let whole = run.windows(2).all(|w| w[0] + 1 == w[1]) && inner[lead..].iter().take(run.len()).all(Option::is_some);
    let mut out = T::room(call.buffers, shape.iter().product());
    let rows: usize = shape[..shape.len() - 1].iter().product();
    for row in 0..rows {
        let mut rest = row;
        let mut start = Some(0usize);
        for d in (0..outer.len()).rev() {
            let source = outer[d][rest % shape[d]];
            rest /= shape[d];
            start = start.zip(source).map(|(s, i)| s + i * steps[d] as usize);
        }
        match start {
            Some(s) if whole && !run.is_empty() => {
                out.extend(std::iter::repeat_n(value, lead));
                out.extend_from_slice(&v[s + run[0]..s + run[0] + run.len()]);
                out.extend(std::iter::repeat_n(value, inner.len() - lead - run.len()));
            }
            Some(s) => out.extend(inner.iter().map(|i| i.map_or(value, |i| v[s + i * *inner_step as usize]))),
            None => out.extend(std::iter::repeat_n(value, inner.len())),
        }
    }
    Ok(T::tensor(shape, out)?)
}
