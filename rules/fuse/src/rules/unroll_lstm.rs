//! FUSE26 unroll-lstm.

use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::reshape::reshape;
use ptq_ir::{Attr, Attrs, DType, Graph, Node, NodeId, Tensor, ValueId, numel};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE26` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE26",
    name: "unroll-lstm",
    summary: "Where `fuse.with` asks: an LSTM over one short sequence becomes the steps that it stands for.",
    why: "Accelerators have no state. With i, o, f, g the quarters of W·x(t) + R·h(t-1) + b, a step is c(t) = σ(f)·c(t-1) + \
          σ(i)·tanh(g), h(t) = σ(o)·tanh(c(t)) (ONNX, LSTM): two convolutions of one pixel, tables, products and a sum, each \
          with thresholds of its own. W·x is one Conv for all steps. About 14 nodes a step, so only on request, and up to 64 \
          steps; weights and bias must be constant, the batch 1, the direction forward, the functions the usual ones.",
    example: "lstm = LSTM(x, w, r) -> lstm_out:float32[1, 1, 1, 2], h:float32[1, 1, 2], c:float32[1, 1, 2]\n\
              =>\n\
              lstm_columns = Reshape(x, lstm_columns_shape) -> lstm_columns:float32[1, 3, 1, 1]\n\
              lstm = Conv(lstm_columns, lstm_weight) -> lstm_seen:float32[1, 8, 1, 1]\n\
              lstm_gates = Split(lstm_seen) -> lstm_gate:float32[1, 2, 1, 1], lstm_gate_2:float32[1, 2, 1, 1], \
              lstm_gate_3:float32[1, 2, 1, 1], lstm_gate_4:float32[1, 2, 1, 1]\n\
              lstm_open = Sigmoid(lstm_gate) -> lstm_open:float32[1, 2, 1, 1]\n\
              lstm_open_2 = Sigmoid(lstm_gate_2) -> lstm_open_2:float32[1, 2, 1, 1]\n\
              lstm_new = Tanh(lstm_gate_4) -> lstm_new:float32[1, 2, 1, 1]\n\
              lstm_taken = Mul(lstm_open, lstm_new) -> lstm_taken:float32[1, 2, 1, 1]\n\
              lstm_shown = Tanh(lstm_taken) -> lstm_shown:float32[1, 2, 1, 1]\n\
              lstm_state = Mul(lstm_open_2, lstm_shown) -> lstm_state:float32[1, 2, 1, 1]\n\
              lstm_result = Reshape(lstm_state, lstm_result_shape) -> lstm_out:float32[1, 1, 1, 2]\n\
              lstm_result_2 = Reshape(lstm_state, lstm_result_2_shape) -> h:float32[1, 1, 2]\n\
              lstm_result_3 = Reshape(lstm_taken, lstm_result_3_shape) -> c:float32[1, 1, 2]",
    since: "0.2.0",
};

/// The rule; it runs where it is asked for.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Convert };

/// Most steps.
const MOST_STEPS: usize = 64;

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    graph.node(id).is("LSTM")
}

/// What the chain is made of.
struct Plan {
    steps: usize,
    inputs: usize,
    hidden: usize,
    /// `[4·hidden, inputs, 1, 1]` and `[4·hidden, hidden, 1, 1]`.
    weights: [Tensor; 2],
    bias: Option<Tensor>,
}

fn rewrite(graph: &mut Graph, _: &Links, id: NodeId) -> Outcome {
    let plan = match guard(graph, id) {
        Ok(plan) => plan,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let old = graph.node(id).clone();
    let mut chain = Chain { graph, name: old.name.clone(), nodes: Vec::new() };
    let results = chain.steps(&plan, &old);
    for (&output, from) in old.outputs.iter().zip(results) {
        let shape = chain.graph.value(output).shape.clone();
        let name = chain.fresh("result");
        let node = reshape(chain.graph, name, Some(from), &shape, output);
        chain.nodes.push(node);
    }
    let nodes = chain.nodes;
    let at = id.0 as usize;
    graph.nodes.splice(at..=at, nodes);
    Outcome::Fired
}

/// The nodes so far, which are not yet in the graph.
struct Chain<'a> {
    graph: &'a mut Graph,
    name: String,
    nodes: Vec<Node>,
}

impl Chain<'_> {
    fn fresh(&self, what: &str) -> String {
        let base = format!("{}_{what}", self.name);
        let free = |n: &String| self.graph.find_node(n).is_none() && !self.nodes.iter().any(|m| m.name == *n);
        let numbered = (2..).map(|i| format!("{base}_{i}"));
        std::iter::once(base.clone()).chain(numbered).find(free).unwrap_or(base)
    }

    fn value(&mut self, what: &str, shape: &[usize]) -> ValueId {
        let name = self.graph.fresh_value_name(&format!("{}_{what}", self.name));
        self.graph.add_value(name, DType::F32, shape.to_vec())
    }

    fn constant(&mut self, what: &str, data: Tensor) -> ValueId {
        let name = self.graph.fresh_value_name(&format!("{}_{what}", self.name));
        self.graph.add_constant(name, data)
    }

    fn node(&mut self, what: &str, op: &str, inputs: &[ValueId], attrs: Attrs, outputs: Vec<ValueId>) {
        let (name, inputs) = (self.fresh(what), inputs.iter().copied().map(Some).collect());
        let (op, domain, covers, fusible_into) = (op.to_owned(), String::new(), Vec::new(), None);
        self.nodes.push(Node { name, op, domain, inputs, outputs, attrs, covers, fusible_into });
    }

    /// Adds a node with one result.
    fn one(&mut self, what: &str, op: &str, inputs: &[ValueId], attrs: Attrs, shape: &[usize]) -> ValueId {
        let out = self.value(what, shape);
        self.node(what, op, inputs, attrs, vec![out]);
        out
    }

    fn shaped(&mut self, what: &str, from: ValueId, shape: &[usize]) -> ValueId {
        let (out, name) = (self.value(what, shape), self.fresh(what));
        let node = reshape(self.graph, name, Some(from), shape, out);
        self.nodes.push(node);
        out
    }

    /// The steps; all states one behind the other, the last state, the last cell.
    fn steps(&mut self, plan: &Plan, old: &Node) -> [ValueId; 3] {
        let (n, state) = (plan.hidden, [1, plan.hidden, 1, 1]);
        let [w, r] = plan.weights.clone();
        let (w, r) = (self.constant("weight", w), self.constant("state_weight", r));
        // The guard has seen it.
        let x = old.input(0).unwrap_or(w);
        let x = self.shaped("columns", x, &[plan.steps, plan.inputs, 1, 1]);
        let mut operands = vec![x, w];
        if let Some(bias) = plan.bias.clone() {
            operands.push(self.constant("bias", bias));
        }
        let pixel = || Attrs::of([("kernel_shape", Attr::Ints(vec![1, 1]))]);
        let seen = self.one("seen", "Conv", &operands, pixel(), &[plan.steps, 4 * n, 1, 1]);
        if let Some(conv) = self.nodes.last_mut() {
            conv.name.clone_from(&old.name);
            conv.covers.clone_from(&old.covers);
        }
        let [mut h, mut c] = [5, 6].map(|i| old.input(i).map(|v| self.shaped("before", v, &state)));
        let mut states = Vec::with_capacity(plan.steps);
        for t in 0..plan.steps {
            let gates = [1, 4 * n, 1, 1];
            let mut sum = if plan.steps == 1 { seen } else { self.item(seen, t, &gates) };
            if let Some(h) = h {
                let own = self.one("recalled", "Conv", &[h, r], pixel(), &gates);
                sum = self.one("sum", "Add", &[sum, own], Attrs::default(), &gates);
            }
            let parts: Vec<ValueId> = (0..4).map(|_| self.value("gate", &state)).collect();
            self.node("gates", "Split", &[sum], Attrs::of([("axis", Attr::Int(1))]), parts.clone());
            // ONNX's order: input, output, forget, cell.
            let [i, o, f] = [0, 1, 2].map(|k| self.one("open", "Sigmoid", &[parts[k]], Attrs::default(), &state));
            let g = self.one("new", "Tanh", &[parts[3]], Attrs::default(), &state);
            let mut cell = self.one("taken", "Mul", &[i, g], Attrs::default(), &state);
            if let Some(c) = c {
                let kept = self.one("kept", "Mul", &[f, c], Attrs::default(), &state);
                cell = self.one("cell", "Add", &[kept, cell], Attrs::default(), &state);
            }
            let shown = self.one("shown", "Tanh", &[cell], Attrs::default(), &state);
            let out = self.one("state", "Mul", &[o, shown], Attrs::default(), &state);
            states.push(out);
            (h, c) = (Some(out), Some(cell));
        }
        let last = states.last().copied().unwrap_or(seen);
        let all = match states.as_slice() {
            [one] => *one,
            all => {
                let axis = Attrs::of([("axis", Attr::Int(1))]);
                let all = all.to_vec();
                self.one("states", "Concat", &all, axis, &[1, plan.steps * n, 1, 1])
            }
        };
        [all, last, c.unwrap_or(last)]
    }

    /// Item `t` of the first axis.
    fn item(&mut self, from: ValueId, t: usize, shape: &[usize]) -> ValueId {
        let bounds = [("starts", t), ("ends", t + 1), ("axes", 0)];
        let mut operands = vec![from];
        for (what, v) in bounds {
            operands.push(self.constant(&format!("{what}_{t}"), Tensor::vec_i64(vec![v as i64])));
        }
        self.one("item", "Slice", &operands, Attrs::default(), shape)
    }
}

fn guard(graph: &Graph, id: NodeId) -> Result<Plan, String> {
    let node = graph.node(id);
    let shape = |i: usize| node.input(i).map(|v| graph.value(v).shape.as_slice());
    let constant = |i: usize, what: &str| {
        let data = graph.const_input(node, i).ok_or_else(|| format!("its {what} are not constant"))?;
        Ok::<_, String>((data.shape(), data.f32s().map_err(|e| format!("its {what}: {e}"))?))
    };
    let (w_shape, w) = constant(1, "weights")?;
    let (r_shape, r) = constant(2, "weights")?;
    let (Some(&[a, b, inputs]), &[1, rows, columns], &[1, _, hidden]) = (shape(0), w_shape, r_shape) else {
        return Err("it has two directions, or an input of another rank".to_owned());
    };
    if graph.value(node.input(0).ok_or("it has no input")?).dtype != DType::F32 {
        return Err("it is not of float32".to_owned());
    }
    let (steps, batch) = if node.attrs.int("layout", 0) == 0 { (a, b) } else { (b, a) };
    if batch != 1 || !(1..=MOST_STEPS).contains(&steps) {
        return Err(format!(
            "it runs {steps} steps of {batch} sequences, one sequence of at most {MOST_STEPS} is unrolled"
        ));
    }
    let fits = Some(rows) == hidden.checked_mul(4) && columns == inputs && r_shape[1] == rows && hidden > 0;
    if !fits || node.attrs.int("hidden_size", hidden as i64) != hidden as i64 {
        return Err("its weights do not fit".to_owned());
    }
    if node.attrs.str("direction", "forward") != "forward" {
        return Err("its direction is not forward".to_owned());
    }
    let usual = |all: &[String]| all.iter().map(|f| f.to_lowercase()).eq(["sigmoid", "tanh", "tanh"]);
    let functions = node.attrs.get("activations").is_none_or(|a| matches!(a, Attr::Strs(all) if usual(all)));
    if !functions || node.attrs.get("clip").is_some() {
        return Err("it names functions, or a bound, of its own".to_owned());
    }
    if node.attrs.int("input_forget", 0) != 0 || node.input(7).is_some() {
        return Err("it couples its gates, or its gates see the cell".to_owned());
    }
    if node.input(4).is_some() {
        let lengths = graph.const_input(node, 4).and_then(|t| t.to_i64s().ok());
        if lengths.is_none_or(|all| all != [steps as i64]) {
            return Err("its sequence may be shorter than its input".to_owned());
        }
    }
    if [5, 6].iter().any(|&i| shape(i).is_some_and(|s| numel(s) != Some(hidden))) {
        return Err("its first state does not fit".to_owned());
    }
    let text = |e: ptq_ir::TensorError| e.to_string();
    let bias = match node.input(3) {
        None => None,
        Some(_) => {
            let (_, both) = constant(3, "biases")?;
            let (of_input, of_state) = both.split_at_checked(rows).ok_or("its biases do not fit")?;
            if of_state.len() != rows {
                return Err("its biases do not fit".to_owned());
            }
            let sum = of_input.iter().zip(of_state).map(|(a, b)| a + b).collect();
            Some(Tensor::from_f32([rows], sum).map_err(text)?)
        }
    };
    let weights = [
        Tensor::from_f32([rows, inputs, 1, 1], w.to_vec()).map_err(text)?,
        Tensor::from_f32([rows, hidden, 1, 1], r.to_vec()).map_err(text)?,
    ];
    Ok(Plan { steps, inputs, hidden, weights, bias })
}
