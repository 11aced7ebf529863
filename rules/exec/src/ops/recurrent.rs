//! LSTM, GRU and RNN: all directions, sequence lengths, initial states, peepholes, clipping, activations, both layouts.
//!
//! A gate's sum is one chain: bias, then the input's products, then the state's.

use super::activations::{Activation, activations};
use super::transpose::permuted;
use crate::ExecError;
use crate::call::Call;
use ptq_ir::Tensor;
use ptq_kernels::{Isa, Start, matmul};

pub(super) fn lstm(call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    recurrent(call, Kind::Lstm)
}

pub(super) fn gru(call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    recurrent(call, Kind::Gru)
}

pub(super) fn rnn(call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    recurrent(call, Kind::Rnn)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Lstm,
    Gru,
    Rnn,
}

impl Kind {
    fn gates(self) -> usize {
        match self {
            Kind::Lstm => 4,
            Kind::Gru => 3,
            Kind::Rnn => 1,
        }
    }

    fn defaults(self) -> &'static [&'static str] {
        match self {
            Kind::Lstm => &["Sigmoid", "Tanh", "Tanh"],
            Kind::Gru => &["Sigmoid", "Tanh"],
            Kind::Rnn => &["Tanh"],
        }
    }
}

/// Extents and options that all directions share.
struct Cell<'a> {
    kind: Kind,
    steps: usize,
    batch: usize,
    inputs: usize,
    hidden: usize,
    lengths: Vec<usize>,
    clip: f32,
    couples_forget: bool,
    linear_before_reset: bool,
    call: &'a Call<'a>,
}

/// One direction's parameters; weights are `[inputs][gates · hidden]`.
struct Direction<'a> {
    reverse: bool,
    w: Vec<f32>,
    r: Vec<f32>,
    w_bias: &'a [f32],
    r_bias: &'a [f32],
    peepholes: Option<&'a [f32]>,
    activations: &'a [Activation],
}

fn recurrent(call: &Call<'_>, kind: Kind) -> Result<Vec<Tensor>, ExecError> {
    let batch_first = call.attrs.int("layout", 0) != 0;
    let x = if batch_first { permuted(call.input(0)?, &[1, 0, 2])? } else { call.input(0)?.clone() };
    let (w, r) = (call.input(1)?, call.input(2)?);
    let (&[steps, batch, inputs], &[directions, rows, _], &[_, _, hidden]) = (x.shape(), w.shape(), r.shape()) else {
        return Err(call.bad("input, weights or recurrent weights do not have rank 3"));
    };
    let gates = kind.gates();
    let fits = rows == gates * hidden
        && w.shape() == [directions, rows, inputs]
        && r.shape() == [directions, rows, hidden]
        && hidden > 0;
    if !fits {
        return Err(call.bad(format!("weights {:?} and {:?} do not fit {inputs} inputs", w.shape(), r.shape())));
    }
    let reversed: &[bool] = match (call.attrs.str("direction", "forward"), directions) {
        ("forward", 1) => &[false],
        ("reverse", 1) => &[true],
        ("bidirectional", 2) => &[false, true],
        (other, n) => return Err(call.bad(format!("direction {other} with {n} sets of weights"))),
    };
    let lengths = match call.ints(4)? {
        None => vec![steps; batch],
        Some(l) => l.iter().map(|&n| usize::try_from(n).unwrap_or(0).min(steps)).collect(),
    };
    let functions = activations(call, kind.defaults(), directions)?;
    let clip = call.attrs.float("clip", f32::INFINITY);
    let cell = Cell {
        kind,
        steps,
        batch,
        inputs,
        hidden,
        lengths,
        clip,
        couples_forget: call.attrs.int("input_forget", 0) != 0,
        linear_before_reset: call.attrs.int("linear_before_reset", 0) != 0,
        call,
    };
    let state = |i: usize| -> Result<Vec<f32>, ExecError> {
        let Some(t) = call.optional(i).filter(|_| i != 6 || kind == Kind::Lstm) else {
            return Ok(vec![0.0; directions * batch * hidden]);
        };
        let t = if batch_first { permuted(t, &[1, 0, 2])? } else { t.clone() };
        cell.sized(t.f32s()?, directions * batch * hidden, "initial state").map(<[f32]>::to_vec)
    };
    let (mut h, mut c) = (state(5)?, state(6)?);
    let bias = match call.optional(3) {
        Some(b) => cell.sized(b.f32s()?, directions * 2 * rows, "bias")?.to_vec(),
        None => vec![0.0; directions * 2 * rows],
    };
    let peepholes = match call.optional(7).filter(|_| kind == Kind::Lstm) {
        Some(p) => Some(cell.sized(p.f32s()?, directions * 3 * hidden, "peepholes")?),
        None => None,
    };
    let (wt, rt) = (permuted(w, &[0, 2, 1])?, permuted(r, &[0, 2, 1])?);
    let mut y = vec![0.0; call.bounded(&[steps, directions, batch, hidden])?];
    let size = batch * hidden;
    for (d, &reverse) in reversed.iter().enumerate() {
        let biases = &bias[d * 2 * rows..][..2 * rows];
        let direction = Direction {
            reverse,
            w: wt.f32s()?[d * inputs * rows..][..inputs * rows].to_vec(),
            r: rt.f32s()?[d * hidden * rows..][..hidden * rows].to_vec(),
            w_bias: &biases[..rows],
            r_bias: &biases[rows..],
            peepholes: peepholes.map(|p| &p[d * 3 * hidden..][..3 * hidden]),
            activations: &functions[d],
        };
        let (h, c) = (&mut h[d * size..][..size], &mut c[d * size..][..size]);
        cell.run(&direction, x.f32s()?, h, c, &mut |t, b, state| {
            y[((t * directions + d) * batch + b) * hidden..][..hidden].copy_from_slice(state);
        })?;
    }
    let y = Tensor::from_f32([steps, directions, batch, hidden], y)?;
    let y_h = Tensor::from_f32([directions, batch, hidden], h)?;
    let y_c = Tensor::from_f32([directions, batch, hidden], c)?;
    let mut out = match batch_first {
        false => vec![y, y_h, y_c],
        true => vec![permuted(&y, &[2, 0, 1, 3])?, permuted(&y_h, &[1, 0, 2])?, permuted(&y_c, &[1, 0, 2])?],
    };
    if kind != Kind::Lstm {
        out.pop();
    }
    Ok(out)
}

impl Cell<'_> {
    fn sized<'t>(&self, data: &'t [f32], n: usize, what: &str) -> Result<&'t [f32], ExecError> {
        if data.len() == n {
            return Ok(data);
        }
        Err(self.call.bad(format!("{what} has {} entries instead of {n}", data.len())))
    }

    /// Walks one direction; `h` and `c` are the states `[batch][hidden]`, `emit` gets each new state of a sequence.
    fn run(
        &self,
        d: &Direction<'_>,
        x: &[f32],
        h: &mut [f32],
        c: &mut [f32],
        emit: &mut dyn FnMut(usize, usize, &[f32]),
    ) -> Result<(), ExecError> {
        let rows = self.kind.gates() * self.hidden;
        // The last gate of a GRU with linear_before_reset gets the state's part, with its bias, apart.
        let apart = self.kind == Kind::Gru && self.linear_before_reset;
        let last = rows - self.hidden;
        let start = |j: usize| if apart && j >= last { d.w_bias[j] } else { d.w_bias[j] + d.r_bias[j] };
        let bias: Vec<f32> = (0..rows).map(start).collect();
        let mut of_input: Vec<f32> = bias.iter().copied().cycle().take(self.steps * self.batch * rows).collect();
        matmul(Isa::best(), 1, [self.steps * self.batch, self.inputs, rows], x, &d.w, Start::Out, &mut of_input)?;
        let mut gates = vec![0.0; self.batch * rows];
        for step in 0..self.steps {
            let time = |b: usize| {
                let left = self.lengths[b].checked_sub(step + 1)?;
                Some(if d.reverse { left } else { step })
            };
            for (b, row) in gates.chunks_exact_mut(rows).enumerate() {
                match time(b) {
                    Some(t) => row.copy_from_slice(&of_input[(t * self.batch + b) * rows..][..rows]),
                    None => row.fill(0.0),
                }
            }
            let reset = if self.kind == Kind::Gru { Some(self.gru_sums(d, h, &mut gates)?) } else { None };
            if reset.is_none() {
                matmul(Isa::best(), 1, [self.batch, self.hidden, rows], h, &d.r, Start::Out, &mut gates)?;
            }
            for b in 0..self.batch {
                let Some(t) = time(b) else { continue };
                let (h, c) = (&mut h[b * self.hidden..][..self.hidden], &mut c[b * self.hidden..][..self.hidden]);
                let gates = &gates[b * rows..][..rows];
                match self.kind {
                    Kind::Lstm => self.lstm(d, gates, h, c),
                    Kind::Gru => self.gru(d, gates, h),
                    Kind::Rnn => h.iter_mut().zip(gates).for_each(|(h, &g)| *h = self.act(d, 0, g)),
                }
                emit(t, b, h);
            }
        }
        Ok(())
    }

    fn act(&self, d: &Direction<'_>, f: usize, x: f32) -> f32 {
        d.activations[f].of(x.clamp(-self.clip, self.clip))
    }

    /// Gates i, o, f, c.
    fn lstm(&self, d: &Direction<'_>, gates: &[f32], h: &mut [f32], c: &mut [f32]) {
        let n = self.hidden;
        let peep = |k: usize, j: usize, c: f32| d.peepholes.map_or(0.0, |p| p[k * n + j] * c);
        for j in 0..n {
            let old = c[j];
            let i = self.act(d, 0, gates[j] + peep(0, j, old));
            let f = match self.couples_forget {
                true => 1.0 - i,
                false => self.act(d, 0, gates[2 * n + j] + peep(2, j, old)),
            };
            let new = f * old + i * self.act(d, 1, gates[3 * n + j]);
            let o = self.act(d, 0, gates[n + j] + peep(1, j, new));
            c[j] = new;
            h[j] = o * self.act_plain(d, new);
        }
    }

    /// The output function of an LSTM, which is not clipped.
    fn act_plain(&self, d: &Direction<'_>, x: f32) -> f32 {
        d.activations[2].of(x)
    }

    /// Adds the state's part to the gates z, r and, through r, to h.
    fn gru_sums(&self, d: &Direction<'_>, h: &[f32], gates: &mut [f32]) -> Result<(), ExecError> {
        let (n, rows) = (self.hidden, 3 * self.hidden);
        let columns = |from: usize, to: usize| -> Vec<f32> {
            d.r.chunks_exact(rows).flat_map(|row| row[from..to].iter().copied()).collect()
        };
        let part = |gates: &[f32], from: usize, to: usize| -> Vec<f32> {
            gates.chunks_exact(rows).flat_map(|row| row[from..to].iter().copied()).collect()
        };
        let mut first = part(gates, 0, 2 * n);
        matmul(Isa::best(), 1, [self.batch, n, 2 * n], h, &columns(0, 2 * n), Start::Out, &mut first)?;
        let reset: Vec<f32> =
            first.chunks_exact(2 * n).flat_map(|row| row[n..].iter().map(|&g| self.act(d, 0, g))).collect();
        let state = if self.linear_before_reset {
            let mut linear: Vec<f32> = d.r_bias[2 * n..].iter().copied().cycle().take(self.batch * n).collect();
            matmul(Isa::best(), 1, [self.batch, n, n], h, &columns(2 * n, rows), Start::Out, &mut linear)?;
            let of_input = part(gates, 2 * n, rows);
            of_input.iter().zip(&linear).zip(&reset).map(|((x, l), r)| x + r * l).collect()
        } else {
            let gated: Vec<f32> = h.iter().zip(&reset).map(|(h, r)| r * h).collect();
            let mut sum = part(gates, 2 * n, rows);
            matmul(Isa::best(), 1, [self.batch, n, n], &gated, &columns(2 * n, rows), Start::Out, &mut sum)?;
            sum
        };
        for (b, row) in gates.chunks_exact_mut(rows).enumerate() {
            row[..2 * n].copy_from_slice(&first[b * 2 * n..][..2 * n]);
            row[2 * n..].copy_from_slice(&state[b * n..][..n]);
        }
        Ok(())
    }

    /// `(1 − z)·h̃ + z·h`.
    fn gru(&self, d: &Direction<'_>, gates: &[f32], h: &mut [f32]) {
        let n = self.hidden;
        for j in 0..n {
            let z = self.act(d, 0, gates[j]);
            h[j] = (1.0 - z) * self.act(d, 1, gates[2 * n + j]) + z * h[j];
        }
    }
}
