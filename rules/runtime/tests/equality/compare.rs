//! The same program on the interpreter (the reference), the simulator and the integer executor.

use crate::builder::Rng;
use ptq_compile::{CompileMode, OptimizeLevel, Report, Search, compile};
use ptq_exec::Interpreter;
use ptq_ir::{QGraph, Tensor, numel};
use ptq_march::{Hardware, March};
use ptq_runtime::{Model, RunOptions};
use ptq_sim::Command;
use ptq_sim::artifact::{self, Body};
use ptq_sim::timing::Timing;
use std::collections::BTreeMap;

/// A march for a hand-made program: with an accelerator of this much scratch memory, or without one.
pub(crate) fn march(graph: &QGraph, sram_bytes: Option<u32>) -> March {
    let mut march = March::from_toml(&ptq_march::source("bayes").unwrap()).unwrap();
    march.name = graph.march.clone();
    march.quantization.rounding = graph.rounding;
    let hardware = march.hardware.take().unwrap();
    march.hardware = sram_bytes.map(|sram_bytes| Hardware { sram_bytes, align: 64, ..hardware });
    march
}

/// The file's bytes for a march.
pub(crate) fn compiled(graph: &QGraph, sram_bytes: Option<u32>) -> Vec<u8> {
    searched(graph, &march(graph, sram_bytes), Search::default()).0
}

/// The file's bytes and what the search did.
pub(crate) fn searched(graph: &QGraph, march: &March, search: Search) -> (Vec<u8>, Report) {
    let (model, report) = compile(graph, march, [7; 32], &search).unwrap();
    (artifact::encode(&model), report)
}

/// Every level and mode computes what the reference says; no level is predicted worse than one below at what its mode asks
/// for, none tries fewer plans, and on graphs of eight and more nodes each tries more.
pub(crate) fn assert_levels(graph: &QGraph, march: &March, inputs: &[Tensor], expect: &Trace) {
    use OptimizeLevel::{O0, O1, O2, O3};
    let balance = CompileMode::Balance(50);
    for mode in [CompileMode::Latency, CompileMode::Bandwidth, balance] {
        let mut below: Option<Report> = None;
        for level in [O0, O1, O2, O3] {
            let (bin, report) = searched(graph, march, Search { level, mode, ..Search::default() });
            let again = searched(graph, march, Search { level, mode, ..Search::default() });
            assert_eq!((&bin, report), (&again.0, again.1), "equal inputs, equal bytes");
            assert_timing(&bin, march);
            let got = trace(&bin, inputs, 1);
            assert_eq!(got.1, expect.1, "outputs at {level:?} for {mode:?}");
            let shown = got.0.iter().filter(|(name, _)| expect.0.contains_key(*name));
            shown.for_each(|(name, t)| assert_eq!(Some(t), expect.0.get(name), "{name} at {level:?} for {mode:?}"));
            if let Some(below) = below {
                assert!(below.evaluated <= report.evaluated, "{level:?}: {below:?} {report:?}");
                if computing(graph) >= 8 {
                    assert!(below.evaluated < report.evaluated, "{level:?}: {below:?} {report:?}");
                }
                match mode {
                    CompileMode::Latency => assert!(report.cycles <= below.cycles, "{level:?}: {below:?} {report:?}"),
                    CompileMode::Bandwidth => {
                        assert!(report.ddr_bytes <= below.ddr_bytes, "{level:?}: {below:?} {report:?}");
                    }
                    // Both are measured against the best that the higher level has seen, which includes all that the
                    // lower one has.
                    CompileMode::Balance(factor) => {
                        let worth = |r: &Report| {
                            let factor = u128::from(factor);
                            factor * u128::from(r.cycles) * u128::from(report.least_bytes)
                                + (100 - factor) * u128::from(r.ddr_bytes) * u128::from(report.least_cycles)
                        };
                        assert!(worth(&report) <= worth(&below), "{level:?}: {below:?} {report:?}");
                        assert!(report.least_cycles <= below.least_cycles && report.least_bytes <= below.least_bytes);
                    }
                }
            }
            below = Some(report);
        }
    }
}

/// Nodes that the accelerator computes.
fn computing(graph: &QGraph) -> usize {
    let on_bpu = |n: &&ptq_ir::QNode| graph.segment(n).device == ptq_ir::Device::Bpu;
    graph.nodes.iter().filter(on_bpu).count()
}

/// What the timed simulator says of every program must hold together.
pub(crate) fn assert_timing(bin: &[u8], march: &March) {
    let Some(hardware) = &march.hardware else { return };
    let model = artifact::decode(bin).unwrap();
    for segment in &model.segments {
        let Body::Npu(npu) = &segment.body else { continue };
        let t = Timing::of_segment(&model, segment, npu, hardware);
        assert!(t.bound.cycles() <= t.cycles, "{:?} {}", t.bound, t.cycles);
        assert_eq!(t.layers.iter().map(|l| l.share).sum::<u64>(), t.cycles);
        let moved = npu.program.commands.iter().map(|r| match &r.command {
            Command::Load(t) | Command::Store(t) => t.total_bytes(),
            _ => 0,
        });
        assert_eq!(moved.sum::<u64>(), t.ddr_bytes());
        assert!(t.layers.iter().all(|l| l.bound.cycles() <= l.compute.max(l.load + l.store)));
    }
}

/// Random inputs that use the whole range of the quantized input.
pub(crate) fn inputs(graph: &QGraph, seed: u64) -> Vec<Tensor> {
    let mut rng = Rng(seed);
    let make = |shape: &[usize]| {
        let data = (0..numel(shape).unwrap()).map(|_| rng.range(-2000, 2000) as f32 * 0.005).collect();
        Tensor::from_f32(shape, data).unwrap()
    };
    graph.inputs.iter().map(|&id| graph.tensor(id).shape.as_slice()).map(make).collect()
}

/// Every tensor of a run by name, and the outputs.
pub(crate) type Trace = (BTreeMap<String, Tensor>, Vec<Tensor>);

pub(crate) fn trace(bin: &[u8], inputs: &[Tensor], threads: usize) -> Trace {
    let model = Model::load(bin).unwrap();
    let mut seen = BTreeMap::new();
    let mut sink = |name: &str, t: &Tensor| {
        assert!(seen.insert(name.to_owned(), t.clone()).is_none(), "{name} was shown twice");
    };
    let options = RunOptions { threads };
    let outputs = model.run_with(inputs, &options, &mut sink).unwrap();
    assert_eq!(model.run(inputs, &options).unwrap(), outputs, "watching changes nothing");
    (seen, outputs)
}

/// What the reference says.
pub(crate) fn reference(graph: &QGraph, inputs: &[Tensor]) -> Trace {
    let mut seen = BTreeMap::new();
    let mut sink = |id, t: &Tensor| {
        if !graph.inputs.contains(&id) {
            seen.insert(graph.tensor(id).name.clone(), t.clone());
        }
    };
    let outputs = Interpreter::new(graph).unwrap().run(inputs, &mut sink).unwrap();
    (seen, outputs)
}

/// Asserts that all evaluations of the program agree bit for bit, at every scratch size.
pub(crate) fn assert_equal_everywhere(graph: &QGraph, sram_sizes: &[u32]) {
    let inputs = inputs(graph, 11);
    let expect = reference(graph, &inputs);
    for threads in [1, 2] {
        let got = trace(&compiled(graph, None), &inputs, threads);
        assert_same(graph, &format!("integer executor with {threads} threads"), &got, &expect);
    }
    for &sram in sram_sizes {
        let bin = compiled(graph, Some(sram));
        assert_timing(&bin, &march(graph, Some(sram)));
        let got = trace(&bin, &inputs, 1);
        assert_same(graph, &format!("simulator with {sram} bytes"), &got, &expect);
        assert_levels(graph, &march(graph, Some(sram)), &inputs, &expect);
    }
}

fn assert_same(graph: &QGraph, who: &str, got: &Trace, expect: &Trace) {
    for node in &graph.nodes {
        let name = &graph.tensor(node.outputs[0]).name;
        let (g, e) = (got.0.get(name), expect.0.get(name));
        assert_eq!(g, e, "{who}: first difference at node {} ({:?})", node.name, node.op);
    }
    assert_eq!(got, expect, "{who}");
}
