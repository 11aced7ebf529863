//! Attention (23, 24, 25) as MatMul, Softmax, MatMul with masks.
//!
//! Positions that a key must not be seen from are left out by Where, not by adding a large number: no value of the graph
//! then has a range that calibration could not represent. A query that sees no key gives zeros.

use super::parts::{Parts, signed};
use super::{Conversion, Converted};
use ptq_ir::{Attr, DType, Diagnostic, Tensor};

/// Extents of the operands.
struct Sizes {
    batch: usize,
    heads: usize,
    kv_heads: usize,
    queries: usize,
    /// Keys with the past ones.
    keys: usize,
    past: usize,
    head: usize,
    v_head: usize,
}

/// `softmax(Q·Kᵀ·scale, capped, masked)·V` for all heads.
pub(super) fn attention(c: Conversion<'_>) -> Converted {
    let rank = c.shape()?.len();
    let sizes = Sizes::of(&c)?;
    let (s, attrs) = (&sizes, c.node.attrs.clone());
    let scale = attrs.float("scale", 1.0 / (s.head as f32).sqrt());
    let cap = attrs.float("softcap", 0.0);
    let mode = attrs.int("qk_matmul_output_mode", 0);
    let mut parts = Parts::of(c);
    let names = [parts.input(0)?, parts.input(1)?, parts.input(2)?];
    let [q, k, v] = if rank == 3 { s.split_heads(&mut parts, &names) } else { names };
    let k = with_past(&mut parts, k, 4, 1);
    let v = with_past(&mut parts, v, 5, 2);
    let factor = parts.number("scale", scale);
    let q = parts.op("Mul", &[&q, &factor], &[]);
    // The queries of all heads that share one key head are one matrix.
    let shared = s.heads / s.kv_heads;
    let grouped = [s.batch, s.kv_heads, shared * s.queries];
    let q = if shared > 1 { parts.reshape(&q, &[grouped[0], grouped[1], grouped[2], s.head]) } else { q };
    let turned = parts.transpose(&k, &[0, 1, 3, 2]);
    let all = [s.batch, s.heads, s.queries, s.keys];
    let mut scores = parts.op("MatMul", &[&q, &turned], &[]);
    if shared > 1 {
        scores = parts.reshape(&scores, &all);
    }
    let mut stages = vec![scores.clone()];
    if cap > 0.0 {
        let cap = parts.number("softcap", cap);
        let small = parts.op("Div", &[&scores, &cap], &[]);
        let bent = parts.op("Tanh", &[&small], &[]);
        scores = parts.op("Mul", &[&bent, &cap], &[]);
    }
    stages.push(scores.clone());
    let mask = Mask::of(&mut parts, s)?;
    if let Some(addend) = &mask.addend {
        scores = parts.op("Add", &[&scores, addend], &[]);
    }
    if let Some(allowed) = &mask.allowed {
        let never = parts.number("never", f32::NEG_INFINITY);
        scores = parts.op("Where", &[allowed, &scores, &never], &[]);
    }
    stages.push(scores.clone());
    let mut weights = parts.op("Softmax", &[&scores], &[("axis", Attr::Int(-1))]);
    if let Some(seen) = &mask.seen {
        let zero = parts.number("zero", 0.0);
        weights = parts.op("Where", &[seen, &weights, &zero], &[]);
    }
    stages.push(weights.clone());
    if parts.makes(3) {
        let stage = usize::try_from(mode).ok().and_then(|m| stages.get(m)).cloned();
        let stage = stage.ok_or_else(|| parts.c.error(format!("qk_matmul_output_mode {mode} is not defined")))?;
        parts.result(3, "Identity", &[&stage], &[]);
    }
    if shared > 1 {
        weights = parts.reshape(&weights, &[grouped[0], grouped[1], grouped[2], s.keys]);
    }
    if rank == 4 && shared == 1 {
        return parts.finish("MatMul", &[&weights, &v], &[]);
    }
    let mut y = parts.op("MatMul", &[&weights, &v], &[]);
    let mut target = vec![s.batch, s.heads, s.queries, s.v_head];
    if rank == 3 {
        if shared > 1 {
            y = parts.reshape(&y, &target);
        }
        y = parts.transpose(&y, &[0, 2, 1, 3]);
        target = vec![s.batch, s.queries, s.heads * s.v_head];
    }
    let target = parts.ints("shape", signed(&target));
    parts.finish("Reshape", &[&y, &target], &[])
}

impl Sizes {
    fn of(c: &Conversion<'_>) -> Result<Sizes, Diagnostic> {
        let shape = |i: usize| c.node.input(i).and_then(|n| c.env.typed(n)).map(|(_, s)| s).unwrap_or_default();
        let (q, k, v) = (shape(0), shape(1), shape(2));
        let heads_of = |name: &str| usize::try_from(c.node.attrs.int(name, 0)).unwrap_or(0);
        let (heads, kv_heads) = (heads_of("q_num_heads"), heads_of("kv_num_heads"));
        let past = if c.node.input(4).is_some() { shape(4).get(2).copied().unwrap_or(0) } else { 0 };
        let misfit = || c.error(format!("Q {q:?}, K {k:?} and V {v:?} with {heads} and {kv_heads} heads do not fit"));
        let sizes = match (&q[..], &k[..], &v[..]) {
            (&[batch, heads, queries, head], &[_, kv_heads, keys, _], &[_, _, _, v_head]) => {
                Sizes { batch, heads, kv_heads, queries, keys: keys + past, past, head, v_head }
            }
            (&[batch, queries, hidden], &[_, keys, _], &[_, _, v_hidden]) if heads > 0 && kv_heads > 0 => Sizes {
                batch,
                heads,
                kv_heads,
                queries,
                keys: keys + past,
                past,
                head: hidden / heads,
                v_head: v_hidden / kv_heads,
            },
            _ => return Err(misfit()),
        };
        if sizes.kv_heads == 0 || sizes.heads % sizes.kv_heads != 0 || sizes.head == 0 {
            return Err(misfit());
        }
        Ok(sizes)
    }

    /// `[batch][position][head · size]` as `[batch][head][position][size]`.
    fn split_heads(&self, parts: &mut Parts<'_>, names: &[String; 3]) -> [String; 3] {
        let new_keys = self.keys - self.past;
        let shapes = [
            [self.batch, self.queries, self.heads, self.head],
            [self.batch, new_keys, self.kv_heads, self.head],
            [self.batch, new_keys, self.kv_heads, self.v_head],
        ];
        std::array::from_fn(|i| {
            let split = parts.reshape(&names[i], &shapes[i]);
            parts.transpose(&split, &[0, 2, 1, 3])
        })
    }
}

/// Keys or values behind those of the past (input `past`), which are output `present` too.
fn with_past(parts: &mut Parts<'_>, new: String, past: usize, present: usize) -> String {
    let axis = [("axis", Attr::Int(2))];
    match (parts.input(past).ok(), parts.makes(present)) {
        (None, false) => new,
        (None, true) => parts.result(present, "Identity", &[&new], &[]),
        (Some(past), false) => parts.op("Concat", &[&past, &new], &axis),
        (Some(past), true) => parts.result(present, "Concat", &[&past, &new], &axis),
    }
}

/// What keeps queries from seeing keys.
#[derive(Default)]
struct Mask {
    /// Numbers added to the scores.
    addend: Option<String>,
    /// Truth values: whether the score counts.
    allowed: Option<String>,
    /// Truth values that are false for each key of a query that sees none; absent where no query can be so.
    seen: Option<String>,
}

impl Mask {
    fn of(parts: &mut Parts<'_>, s: &Sizes) -> Result<Mask, Diagnostic> {
        let mut mask = Mask::default();
        let mut conditions = by_position(parts, s)?;
        // A causal mask alone lets each query see the first key.
        let mut may_be_empty = conditions.len() > 1 || parts.c.node.input(6).is_some();
        if let Some(given) = parts.c.node.input(3).map(str::to_owned) {
            let (dtype, shape) = parts.c.env.typed(&given).unwrap_or((DType::F32, vec![]));
            let lowest = parts.number("lowest", f32::MIN);
            let filled = padded(parts, given, dtype, &shape, s.keys)?;
            if dtype == DType::Bool {
                conditions.push(filled);
                may_be_empty = true;
            } else if !finite(parts, &filled) {
                // Minus infinity hides a key as a truth value does.
                let visible = parts.op("Greater", &[&filled, &lowest], &[]);
                conditions.push(visible);
                mask.addend = Some(filled);
                may_be_empty = true;
            } else {
                mask.addend = Some(filled);
            }
        }
        let hides = !conditions.is_empty();
        let all = conditions.into_iter().reduce(|a, b| parts.op("And", &[&a, &b], &[]));
        mask.seen = all.clone().filter(|_| may_be_empty);
        mask.allowed = all.filter(|_| hides);
        Ok(mask)
    }
}

/// Conditions from positions alone: causal order, windows, the number of valid keys.
fn by_position(parts: &mut Parts<'_>, s: &Sizes) -> Result<Vec<String>, Diagnostic> {
    let attrs = parts.c.node.attrs.clone();
    let (left, right) = (attrs.int("left_window_size", -1), attrs.int("right_window_size", -1));
    let valid = parts.c.node.input(6).map(str::to_owned);
    // The key at the query's own position is `i + offset`; valid keys that precede the queries are the offset.
    let distance = |offset: i64| -> Vec<i64> {
        (0..s.queries).flat_map(|i| (0..s.keys).map(move |j| j as i64 - i as i64 - offset)).collect()
    };
    let mut conditions = Vec::new();
    let mut bounds = Vec::new();
    if attrs.int("is_causal", 0) != 0 {
        bounds.push((0, true));
    }
    if right >= 0 {
        bounds.push((right, true));
    }
    if left >= 0 {
        bounds.push((-left, false));
    }
    let matrix = |parts: &Parts<'_>, shape: &[usize], data: Vec<i64>| {
        Tensor::from_i64(shape, data).map_err(|e| parts.c.error(e.to_string()))
    };
    let Some(valid) = valid else {
        for (bound, upper) in bounds {
            let seen = distance(s.past as i64).iter().map(|&d| if upper { d <= bound } else { d >= bound }).collect();
            let tensor = Tensor::from_bool([s.queries, s.keys], seen).map_err(|e| parts.c.error(e.to_string()))?;
            conditions.push(parts.constant("visible", tensor));
        }
        return Ok(conditions);
    };
    let valid = parts.op("Cast", &[&valid], &[("to", Attr::Int(i64::from(DType::I64.onnx())))]);
    let valid = parts.reshape(&valid, &[s.batch, 1, 1, 1]);
    for (bound, upper) in bounds {
        // j − i + queries ≤ valid + bound, because the offset is valid − queries.
        let at: Vec<i64> = distance(0).iter().map(|d| d + s.queries as i64 - bound).collect();
        let at = matrix(parts, &[s.queries, s.keys], at)?;
        let at = parts.constant("distance", at);
        let op = if upper { "LessOrEqual" } else { "GreaterOrEqual" };
        conditions.push(parts.op(op, &[&at, &valid], &[]));
    }
    let keys = matrix(parts, &[s.keys], (0..s.keys as i64).collect())?;
    let keys = parts.constant("keys", keys);
    conditions.push(parts.op("Less", &[&keys, &valid], &[]));
    Ok(conditions)
}

/// A mask for all keys: those behind its end are hidden.
fn padded(
    parts: &mut Parts<'_>,
    mask: String,
    dtype: DType,
    shape: &[usize],
    keys: usize,
) -> Result<String, Diagnostic> {
    let Some(missing) = shape.last().and_then(|&n| keys.checked_sub(n)).filter(|&m| m > 0 && shape.last() != Some(&1))
    else {
        return Ok(mask);
    };
    let mut rest = shape.to_vec();
    rest[shape.len() - 1] = missing;
    let count = rest.iter().product();
    let filler = match dtype {
        DType::Bool => Tensor::from_bool(rest, vec![false; count]),
        _ => Tensor::from_f32(rest, vec![f32::NEG_INFINITY; count]),
    };
    let filler = filler.map_err(|e| parts.c.error(e.to_string()))?;
    let filler = parts.constant("hidden", filler);
    Ok(parts.op("Concat", &[&mask, &filler], &[("axis", Attr::Int(-1))]))
}

/// Whether a value is a constant of finite numbers.
fn finite(parts: &Parts<'_>, name: &str) -> bool {
    let constant = parts.c.env.constant(name);
    constant.is_some_and(|t| t.f32s().is_ok_and(|v| v.iter().all(|x| x.is_finite())))
}
