//! Plans spread over cores, cut into function calls, replayed, and stripped of details: the same results, never predicted slower.

use crate::builder::Builder;
use crate::compare::{assert_timing, inputs, march, reference, searched, trace};
use ptq_compile::{CompileMode, Followed, OptimizeLevel, Options, Search, Spread, compile_with};
use ptq_ir::ops::{ConvGeom, PoolGeom};
use ptq_ir::{DType, QGraph, Rounding, TensorId};
use ptq_march::{Hardware, MacArray, March};
use ptq_sim::artifact::{self, Body, Npu};
use ptq_sim::timing::Timing;
use ptq_sim::{Command, ProgramError};

/// A march with this many cores, each slow enough that a second one is worth something.
fn cores(graph: &QGraph, sram: u32, cores: u32) -> March {
    let mut march = march(graph, Some(sram));
    let mac = MacArray { ic: 4, oc: 8, px: 1, dw_lanes: 16, channel_multiple: 4 };
    march.hardware = march.hardware.map(|h| Hardware { cores, mac, vector_lanes: 16, ..h });
    march
}

fn geom(kernel: usize, stride: usize, pad: usize, group: usize) -> ConvGeom {
    ConvGeom { kernel: [kernel; 2], strides: [stride; 2], pads: [pad; 4], dilations: [1, 1], group }
}

/// Residual blocks with a depthwise layer, a branch that leaves early, odd extents.
fn network(seed: u64, side: usize) -> QGraph {
    let mut b = Builder::new(Rounding::Fixed, DType::I8, seed);
    let x = b.input(&[1, 5, side, side + 2]);
    let mut x = b.conv(x, 24, geom(3, 2, 1, 1), false);
    for _ in 0..3 {
        let a = b.conv(x, 48, geom(1, 1, 0, 1), false);
        let d = b.conv(a, 48, geom(3, 1, 1, 48), false);
        let p = b.conv(d, 24, geom(1, 1, 0, 1), false);
        let s = b.add(x, p);
        x = b.lut(s);
    }
    let early = b.conv(x, 7, geom(5, 1, 2, 1), false);
    let down = b.conv(x, 40, geom(3, 2, 0, 1), false);
    let [_, _, h, w] = b.shape(down)[..] else { panic!("rank 4") };
    let pooled = b.average_pool(down, PoolGeom::global([h, w]));
    b.output(early);
    b.output(pooled);
    b.finish()
}

fn programs(bin: &[u8]) -> Vec<Npu> {
    let model = artifact::decode(bin).unwrap();
    model.segments.into_iter().filter_map(|s| if let Body::Npu(npu) = s.body { Some(npu) } else { None }).collect()
}

/// Every level and mode on several cores: exact, not worse than one core, not worse than a lower level, and something is split.
#[test]
fn rows_divided_among_cores_give_the_same_bits_in_no_more_time() {
    let mut divided = 0;
    for (seed, side, sram) in [(1, 40, 1 << 18), (2, 63, 1 << 16), (3, 17, 1 << 15)] {
        let graph = network(seed, side);
        let inputs = inputs(&graph, seed);
        let expect = reference(&graph, &inputs);
        for count in [2u8, 3, 4] {
            let march = cores(&graph, sram, count.into());
            let mut below = u64::MAX;
            for level in [OptimizeLevel::O0, OptimizeLevel::O1, OptimizeLevel::O2, OptimizeLevel::O3] {
                for mode in [CompileMode::Latency, CompileMode::Bandwidth] {
                    let alone = searched(&graph, &march, Search { level, mode, ..Search::default() }).1;
                    let spread = Spread { cores: count, call_us: 0 };
                    let (bin, report) = searched(&graph, &march, Search { level, mode, spread, ..Search::default() });
                    assert_timing(&bin, &march);
                    assert_eq!(trace(&bin, &inputs, 1).1, expect.1, "{count} cores at {level:?} for {mode:?}");
                    match mode {
                        CompileMode::Latency => {
                            assert!(report.cycles <= alone.cycles, "{count} cores at {level:?}: {report:?} {alone:?}");
                            assert!(report.cycles <= below, "{count} cores: {level:?} is slower than the level below");
                            below = report.cycles;
                        }
                        _ => assert!(report.ddr_bytes <= alone.ddr_bytes, "{level:?}: {report:?} {alone:?}"),
                    }
                    divided += usize::from(programs(&bin).iter().any(|p| p.program.cores() > 1));
                }
            }
        }
    }
    assert!(divided >= 6, "only {divided} programs use more than one core");
}

/// Tensors inside groups agree as well, where they are in DDR.
#[test]
fn every_tensor_of_a_divided_program_is_right() {
    let graph = network(4, 33);
    let inputs = inputs(&graph, 4);
    let expect = reference(&graph, &inputs);
    let march = cores(&graph, 1 << 17, 2);
    let search = Search { level: OptimizeLevel::O2, spread: Spread { cores: 2, call_us: 0 }, ..Search::default() };
    let (bin, _) = searched(&graph, &march, search);
    let got = trace(&bin, &inputs, 1);
    let shown = got.0.iter().filter(|(name, _)| expect.0.contains_key(*name));
    assert!(shown.clone().count() > 2);
    shown.for_each(|(name, t)| assert_eq!(Some(t), expect.0.get(name), "{name}"));
}

#[test]
fn a_core_that_reads_what_another_writes_is_refused_without_a_sync() {
    let divided = [(1, 40, 1 << 18), (2, 63, 1 << 16), (3, 17, 1 << 15)].into_iter().find_map(|(seed, side, sram)| {
        let graph = network(seed, side);
        let march = cores(&graph, sram, 2);
        [OptimizeLevel::O1, OptimizeLevel::O2, OptimizeLevel::O3].into_iter().find_map(|level| {
            let search = Search { level, spread: Spread { cores: 2, call_us: 0 }, ..Search::default() };
            programs(&searched(&graph, &march, search).0).into_iter().find(|npu| npu.program.cores() == 2)
        })
    });
    let mut npu = divided.expect("some program uses both cores");
    npu.program.check().unwrap();
    let sync = |r: &ptq_sim::Record| r.command == Command::Sync;
    npu.program.commands.retain(|r| !sync(r));
    npu.program.calls.clear();
    let error = npu.program.check().unwrap_err();
    assert!(matches!(error, ProgramError::CoreRace { .. } | ProgramError::Race { .. }), "{error}");
}

/// Function calls are short enough, hold nothing in SRAM from one to the next, and give the same bits.
#[test]
fn function_calls_are_as_short_as_asked() {
    let graph = network(5, 40);
    let inputs = inputs(&graph, 5);
    let expect = reference(&graph, &inputs);
    for count in [1u8, 2] {
        let march = cores(&graph, 1 << 18, count.into());
        let hardware = march.hardware.clone().unwrap();
        for level in [OptimizeLevel::O0, OptimizeLevel::O1, OptimizeLevel::O2, OptimizeLevel::O3] {
            let whole = searched(&graph, &march, Search { level, ..Search::default() }).1;
            // In clock cycles of 1,000 a microsecond.
            let call_us = (whole.cycles / 2 / 1000).max(4) as u32;
            let spread = Spread { cores: count, call_us };
            let (bin, report) = searched(&graph, &march, Search { level, spread, ..Search::default() });
            assert_eq!(trace(&bin, &inputs, 1).1, expect.1, "{level:?}");
            let model = artifact::decode(&bin).unwrap();
            for segment in &model.segments {
                let Body::Npu(npu) = &segment.body else { continue };
                let t = Timing::of_segment(&model, segment, npu, &hardware);
                assert_eq!(t.calls.iter().sum::<u64>(), t.cycles);
                assert_eq!(t.cycles, report.cycles);
                assert!(t.calls.len() > 1, "{level:?}: {} of {}", report.cycles, whole.cycles);
                let longest = t.calls.iter().max().copied().unwrap();
                assert!(longest <= u64::from(call_us) * 1000, "{level:?}: {longest} in {:?}", t.calls);
            }
        }
    }
}

/// A call that needs what an earlier one left in SRAM stops.
#[test]
fn sram_does_not_survive_a_function_call() {
    let graph = network(6, 30);
    let inputs = inputs(&graph, 6);
    let (bin, _) =
        searched(&graph, &march(&graph, Some(1 << 18)), Search { level: OptimizeLevel::O0, ..Search::default() });
    let mut model = artifact::decode(&bin).unwrap();
    let Body::Npu(npu) = &mut model.segments[1].body else { panic!("no program") };
    // A SYNC between a layer's load and its computation, and a call that begins there.
    let compute = npu.program.commands.iter().position(|r| matches!(r.command, Command::Conv(_))).unwrap();
    let record = npu.program.commands[compute];
    let sync = ptq_sim::Record { command: Command::Sync, wait: [0; 4], ..record };
    npu.program.commands.insert(compute, sync);
    npu.program.calls = vec![compute as u32 + 1];
    let model = ptq_runtime::Model::from_artifact(model).unwrap();
    let error = model.run(&inputs, &ptq_runtime::RunOptions::default()).unwrap_err();
    assert!(error.to_string().contains("was loaded and never read"), "{error}");
}

/// The stored plan gives the same bytes again, without a search; one that does not fit is refused.
#[test]
fn a_plan_is_replayed_or_refused() {
    let graph = network(7, 40);
    let march = cores(&graph, 1 << 18, 2);
    for (level, spread) in [
        (OptimizeLevel::O0, Spread::default()),
        (OptimizeLevel::O2, Spread { cores: 2, call_us: 0 }),
        (OptimizeLevel::O3, Spread { cores: 1, call_us: 20 }),
    ] {
        let search = Search { level, spread, ..Search::default() };
        let (bin, _) = searched(&graph, &march, search);
        let plans: Vec<Followed> =
            programs(&bin).iter().map(|npu| serde_json::from_str(&npu.follows).unwrap()).collect();
        let options = Options { replay: Some(&plans), ..Options::default() };
        let (again, report) = compile_with(&graph, &march, [7; 32], &search, &options).unwrap();
        assert!(artifact::encode(&again) == bin, "{level:?}: other bytes");
        assert_eq!(report.evaluated, 1);
        // Of another network, of none, and changed by hand.
        let refused = |graph: &QGraph, plans: &[Followed]| {
            let options = Options { replay: Some(plans), ..Options::default() };
            let problems = compile_with(graph, &march, [7; 32], &search, &options).map(|_| ()).unwrap_err();
            assert!(problems.iter().all(|p| p.code == "COMP11"), "{problems:?}");
            problems[0].to_string()
        };
        let mut small = Builder::new(Rounding::Fixed, DType::I8, 1);
        let x = small.input(&[1, 4, 6, 6]);
        let y: TensorId = small.lut(x);
        small.output(y);
        assert!(refused(&small.finish(), &plans).contains("the segment has 1"));
        assert!(refused(&graph, &[]).contains("0 BPU segments"));
        let mut wrong = plans.clone();
        wrong[0].division.split = vec![1_000_000];
        wrong[0].division.cores = 2;
        refused(&graph, &wrong);
        let mut wrong = plans.clone();
        wrong[0].plan.kept = vec![9_999];
        refused(&graph, &wrong);
    }
}

#[test]
fn threads_change_no_byte_and_details_can_be_left_away() {
    let graph = network(8, 24);
    let march = cores(&graph, 1 << 17, 2);
    let search = Search { level: OptimizeLevel::O2, ..Search::default() };
    let with = |options: Options<'_>| compile_with(&graph, &march, [7; 32], &search, &options).unwrap().0;
    let all = artifact::encode(&with(Options::default()));
    assert!(all == artifact::encode(&with(Options { threads: 4, ..Options::default() })));
    let bare = with(Options { without_debug: true, ..Options::default() });
    let bin = artifact::encode(&bare);
    assert!(bin.len() < all.len());
    let npu = programs(&bin).remove(0);
    assert!(npu.plan.iter().all(|l| l.node.starts_with("layer_") && l.op.is_empty() && l.tile.is_empty()));
    assert!(!artifact::decode(&bin).unwrap().debug);
    let inputs = inputs(&graph, 8);
    assert_eq!(trace(&bin, &inputs, 1).1, trace(&all, &inputs, 1).1);
}

#[test]
fn more_cores_than_the_target_has_are_refused() {
    let graph = network(9, 16);
    let march = cores(&graph, 1 << 17, 2);
    let search = Search { spread: Spread { cores: 3, call_us: 0 }, ..Search::default() };
    let problems = compile_with(&graph, &march, [7; 32], &search, &Options::default()).map(|_| ()).unwrap_err();
    assert_eq!(problems[0].code, "COMP10");
}
