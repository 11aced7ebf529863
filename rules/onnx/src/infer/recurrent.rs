//! LSTM, GRU and RNN.

use super::{InferCtx, Inferred};
use ptq_ir::DType;

pub(super) fn lstm(ctx: &InferCtx<'_>) -> Inferred {
    recurrent(ctx, 4, 3)
}

pub(super) fn gru(ctx: &InferCtx<'_>) -> Inferred {
    recurrent(ctx, 3, 2)
}

pub(super) fn rnn(ctx: &InferCtx<'_>) -> Inferred {
    recurrent(ctx, 1, 2)
}

/// All states, then the last state (and cell) of each direction.
fn recurrent(ctx: &InferCtx<'_>, gates: usize, outputs: usize) -> Inferred {
    let (x, w, r) = (ctx.shape(0)?, ctx.shape(1)?, ctx.shape(2)?);
    let batch_first = ctx.node().attrs.int("layout", 0) != 0;
    let (&[a, b, inputs], &[directions, rows, wi], &[rd, rr, hidden]) = (x, w, r) else {
        return Err(ctx.error(format!("input {x:?}, weights {w:?} and {r:?} must have rank 3")));
    };
    let (steps, batch) = if batch_first { (b, a) } else { (a, b) };
    let stated = ctx.node().attrs.int("hidden_size", hidden as i64);
    let wanted = if ctx.node().attrs.str("direction", "forward") == "bidirectional" { 2 } else { 1 };
    let fits = wi == inputs && rd == directions && rr == rows && hidden.checked_mul(gates) == Some(rows);
    if !fits || stated != hidden as i64 || directions != wanted || hidden == 0 {
        return Err(ctx.error(format!("weights {w:?} and {r:?} do not fit input {x:?}, {wanted} directions")));
    }
    let state = if batch_first { vec![batch, directions, hidden] } else { vec![directions, batch, hidden] };
    let parameters = [(3, vec![directions, 2 * rows]), (4, vec![batch]), (5, state.clone()), (6, state.clone())];
    for (i, shape) in parameters.into_iter().chain([(7, vec![directions, 3 * hidden])]) {
        if let Some(value) = ctx.optional(i)
            && value.shape != shape
        {
            return Err(ctx.error(format!("{} is {:?}, {shape:?} is expected", value.name, value.shape)));
        }
    }
    if ctx.optional(4).is_some_and(|v| v.dtype != DType::I32) {
        return Err(ctx.error("sequence lengths must be int32"));
    }
    let all = if batch_first { vec![batch, steps, directions, hidden] } else { vec![steps, directions, batch, hidden] };
    let dtype = ctx.dtype(0)?;
    let mut out = vec![(dtype, all)];
    out.extend((1..outputs).map(|_| (dtype, state.clone())));
    Ok(out)
}
