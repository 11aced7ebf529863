//! Random valid float graphs over the operators of vision models, for the suite `random_graphs`.
//!
//! A graph is a function of a list of numbers, its choices: proptest shrinks the list, and a failure is replayed from it.
//! The generator knows the shape of everything that it makes, so that every graph is valid.

mod forms;
mod images;
mod rows;

use ptq_ir::{Attr, Attrs, DType, Graph, Node, Tensor, ValueId};

/// Most elements of any value.
const MAX_ELEMENTS: usize = 6000;
/// Most steps of one graph.
const MAX_STEPS: usize = 12;

/// Choices in order; zero when they run out, which is the simplest choice everywhere.
pub struct Choices<'a> {
    list: &'a [u32],
    at: usize,
}

impl Choices<'_> {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        let value = self.list.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        value as usize % n.max(1)
    }

    /// A number of `from..=to`.
    fn within(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to - from + 1)
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn is_empty(&self) -> bool {
        self.at >= self.list.len()
    }
}

/// A value and its shape.
#[derive(Clone, Debug)]
struct Value {
    id: ValueId,
    shape: Vec<usize>,
}

/// The graph under construction.
struct Generator<'a> {
    graph: Graph,
    choices: Choices<'a>,
    seed: u64,
    /// Earlier values that a later node may read again.
    branches: Vec<Value>,
}

/// The graph of a list of choices.
pub fn graph(choices: &[u32]) -> Graph {
    let mut g = Generator {
        graph: Graph { name: "random".into(), ..Graph::default() },
        choices: Choices { list: choices, at: 0 },
        seed: 0x9e37_79b9,
        branches: Vec::new(),
    };
    let channels = g.choices.within(1, 6);
    let (h, w) = (g.choices.within(3, 17), g.choices.within(3, 17));
    let shape = vec![1, channels, h, w];
    let id = g.graph.add_value("x", DType::F32, shape.clone());
    g.graph.inputs.push(id);
    let mut x = Value { id, shape };
    // A Conv first: a graph without one has nothing to accelerate.
    x = g.conv(x);
    for _ in 0..MAX_STEPS {
        if g.choices.is_empty() {
            break;
        }
        if g.choices.below(4) == 3 {
            g.branches.push(x.clone());
        }
        x = match x.shape.len() {
            4 => g.image_step(x),
            _ => g.row_step(x),
        };
    }
    g.graph.outputs.push(x.id);
    if let Some(branch) = g.branches.first().filter(|b| b.id != x.id && b.id != id).cloned()
        && g.choices.flag()
    {
        g.graph.outputs.push(branch.id);
    }
    g.graph
}

impl Generator<'_> {
    /// Reproducible numbers, roughly bell-shaped.
    fn numbers(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n)
            .map(|_| {
                let mut unit = || {
                    self.seed =
                        self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (self.seed >> 40) as f32 / (1u32 << 24) as f32 - 0.5
                };
                (unit() + unit() + unit()) * scale
            })
            .collect()
    }

    fn tensor(&mut self, shape: &[usize], scale: f32) -> ValueId {
        let data = self.numbers(shape.iter().product(), scale);
        self.constant(Tensor::from_f32(shape, data))
    }

    /// Numbers above zero.
    fn positive(&mut self, n: usize) -> ValueId {
        let data = self.numbers(n, 0.5).into_iter().map(|v| v.abs() + 0.5).collect();
        self.constant(Tensor::from_f32([n], data))
    }

    fn scalar(&mut self, v: f32) -> ValueId {
        self.constant(Ok(Tensor::scalar_f32(v)))
    }

    fn integers(&mut self, list: &[usize]) -> ValueId {
        self.constant(Ok(Tensor::vec_i64(list.iter().map(|&v| v as i64).collect())))
    }

    fn signed(&mut self, list: &[i64]) -> ValueId {
        self.constant(Ok(Tensor::vec_i64(list.to_vec())))
    }

    fn constant(&mut self, tensor: Result<Tensor, ptq_ir::TensorError>) -> ValueId {
        let name = format!("c{}", self.graph.values.len());
        let tensor = tensor.unwrap_or_else(|e| panic!("{name}: {e}"));
        self.graph.add_constant(name, tensor)
    }

    /// A node with one output of this shape.
    fn node(&mut self, op: &str, inputs: &[ValueId], attrs: Attrs, shape: &[usize]) -> Value {
        let inputs = inputs.iter().map(|&v| Some(v)).collect();
        self.node_of(op, inputs, attrs, &[shape.to_vec()]).swap_remove(0)
    }

    /// A node with optional inputs and several outputs.
    fn node_of(&mut self, op: &str, inputs: Vec<Option<ValueId>>, attrs: Attrs, shapes: &[Vec<usize>]) -> Vec<Value> {
        let name = format!("{op}_{}", self.graph.nodes.len());
        let made: Vec<Value> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| Value {
                id: self.graph.add_value(format!("{name}_out{i}"), DType::F32, shape.clone()),
                shape: shape.clone(),
            })
            .collect();
        self.graph.nodes.push(Node {
            name,
            op: op.to_owned(),
            domain: String::new(),
            inputs,
            outputs: made.iter().map(|v| v.id).collect(),
            attrs,
            covers: Vec::new(),
            fusible_into: None,
        });
        made
    }

    /// A function of each element.
    fn activation(&mut self, x: Value) -> Value {
        let alpha = |v: f32| Attrs::of([("alpha", Attr::Float(v))]);
        let shape = x.shape.clone();
        match self.choices.below(11) {
            0 => self.node("Relu", &[x.id], Attrs::default(), &shape),
            1 => self.node("LeakyRelu", &[x.id], alpha(0.2), &shape),
            2 => self.node("Sigmoid", &[x.id], Attrs::default(), &shape),
            3 => self.node("Tanh", &[x.id], Attrs::default(), &shape),
            4 => self.node("HardSwish", &[x.id], Attrs::default(), &shape),
            5 => self.node("HardSigmoid", &[x.id], alpha(0.25), &shape),
            6 => self.node("Elu", &[x.id], alpha(0.7), &shape),
            7 => self.node("Softplus", &[x.id], Attrs::default(), &shape),
            8 => {
                let (lo, hi) = (self.choices.of(&[0.0, -1.0]), self.choices.of(&[6.0, 1.0]));
                let (lo, hi) = (self.scalar(lo), self.scalar(hi));
                self.node("Clip", &[x.id, lo, hi], Attrs::default(), &shape)
            }
            9 => {
                let gate = self.node("Sigmoid", &[x.id], Attrs::default(), &shape);
                self.node("Mul", &[x.id, gate.id], Attrs::default(), &shape)
            }
            _ => {
                let root = self.scalar(std::f32::consts::SQRT_2);
                let (one, half) = (self.scalar(1.0), self.scalar(0.5));
                let d = self.node("Div", &[x.id, root], Attrs::default(), &shape);
                let e = self.node("Erf", &[d.id], Attrs::default(), &shape);
                let s = self.node("Add", &[e.id, one], Attrs::default(), &shape);
                let p = self.node("Mul", &[x.id, s.id], Attrs::default(), &shape);
                self.node("Mul", &[p.id, half], Attrs::default(), &shape)
            }
        }
    }

    /// `x` with a constant or with an earlier value of its shape.
    fn arithmetic(&mut self, x: Value) -> Value {
        let op = self.choices.of(&["Add", "Mul", "Sub"]);
        let same: Vec<Value> = self.branches.iter().filter(|b| b.shape == x.shape).cloned().collect();
        let shape = x.shape.clone();
        let other = match (self.choices.below(3), same.is_empty()) {
            (0, false) => same[self.choices.below(same.len())].id,
            (1, _) => self.scalar(0.75),
            _ => {
                let axis = if shape.len() == 4 { 1 } else { shape.len() - 1 };
                let mut broadcast = vec![1; shape.len()];
                broadcast[axis] = shape[axis];
                self.tensor(&broadcast, 1.0)
            }
        };
        let inputs = if self.choices.flag() { [other, x.id] } else { [x.id, other] };
        self.node(op, &inputs, Attrs::default(), &shape)
    }
}

fn ints(list: &[usize]) -> Attr {
    Attr::Ints(list.iter().map(|&v| v as i64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_generator_reaches_every_operator_and_only_makes_valid_graphs() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for length in (8..90).cycle().take(900) {
            let choices: Vec<u32> = (0..length).map(|_| next()).collect();
            let graph = graph(&choices);
            assert_eq!(graph.verify(), [], "{graph}");
            graph.nodes.iter().for_each(|n| *counts.entry(n.op.clone()).or_default() += 1);
        }
        assert!(counts.len() >= 53, "{} operators: {counts:?}", counts.len());
        assert!(counts.values().all(|&n| n >= 5), "{counts:?}");
    }
}
