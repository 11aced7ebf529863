//! The timed simulator against times worked out by hand.
#![allow(clippy::unwrap_used)]

use ptq_ir::Rounding;
use ptq_march::{Feed, Hardware, MacArray, March};
use ptq_sim::timing::{Timing, cost};
use ptq_sim::{Command, Conv, Ddr, Elem, Lut, Program, QUEUES, Record, Sram, Transfer, add_waits, serialize};

/// March `bayes` with round numbers: 8 bytes a cycle, 100 cycles of latency, issue 10 and 5, a barrier 20.
fn hardware() -> Hardware {
    let march = March::from_toml(&ptq_march::source("bayes").unwrap()).unwrap();
    Hardware {
        ddr_bytes_per_cycle: 8.0,
        ddr_burst_bytes: 16,
        ddr_latency_cycles: 100,
        dma_issue_cycles: 10,
        cmd_issue_cycles: 5,
        sync_cycles: 20,
        vector_lanes: 64,
        sram_banks: 4,
        sram_bank_bytes_per_cycle: 64,
        ..march.hardware.unwrap()
    }
}

fn transfer(ddr: u32, sram: u32, bytes: u32) -> Transfer {
    Transfer { ddr: Ddr(ddr), sram: Sram(sram), outer: [1, 1], bytes, ddr_strides: [0; 2], sram_strides: [0; 2] }
}

fn lut(ifm: u32, ofm: u32, count: u32) -> Command {
    Command::Lut(Lut { ifm: Sram(ifm), table: Sram(0), ofm: Sram(ofm), count, x_type: Elem::I8, words: 0 })
}

/// A table, then two tiles of 640 bytes through it.
fn program(waits: fn(&mut [Record])) -> Program {
    let commands = [
        Command::Load(transfer(0, 0, 256)),
        Command::Load(transfer(256, 1024, 640)),
        lut(1024, 4096, 640),
        Command::Store(transfer(2048, 4096, 640)),
        Command::Load(transfer(896, 2048, 640)),
        lut(2048, 5120, 640),
        Command::Store(transfer(2688, 5120, 640)),
        Command::Sync,
        Command::End,
    ];
    let mut commands: Vec<Record> =
        commands.map(|command| Record { layer: 0, wait: [0; QUEUES], core: 0, command }).into_iter().collect();
    waits(&mut commands);
    Program {
        commands,
        constants: vec![0; 1536].into(),
        sram_bytes: 8192,
        align: 64,
        ddr_bytes: 4096,
        layers: vec!["lut".into()],
        calls: Vec::new(),
    }
}

#[test]
fn queues_overlap_where_nothing_makes_them_wait() {
    let (p, hw) = (program(add_waits), hardware());
    p.check().unwrap();
    let t = Timing::of(&p, std::slice::from_ref(&(2048..3328)), &hw);
    let times: Vec<(u64, u64, u64)> = t.spans.iter().map(|s| (s.start, s.end, s.busy)).collect();
    // Streams 1024 and 4096 begin in bank 0, with the table at 0: (256 + 1280) · 3 / 256 = 18 cycles instead of 10.
    let expect = [
        (10, 142, 32),  // 256 bytes; the next transfer is issued meanwhile
        (42, 222, 80),  // behind it
        (227, 245, 18), // its data, and 5 to issue
        (255, 435, 80), // 10 to issue
        (122, 302, 80), // not held up by anything but the connection
        (307, 325, 18),
        (335, 515, 80),
        (515, 535, 0),
        (535, 535, 0),
    ];
    assert_eq!(times, expect);
    assert_eq!((t.cycles, t.loaded_bytes, t.stored_bytes), (535, 1536, 1280));
    let l = &t.layers[0];
    assert_eq!((l.start, l.end, l.share), (10, 515, 535));
    assert_eq!((l.compute, l.load, l.store), (36, 192, 160));
    assert_eq!((t.bound.ddr, t.bound.ddr_bytes, t.bound.cycles()), (352, 2816, 352));
    assert_eq!(t.runs_per_second(&hw, 1), 1e9 / 535.0);
    assert_eq!(t.runs_per_second(&hw, 2), 1e9 / 352.0, "two cores share one connection");
}

#[test]
fn a_program_without_overlap_takes_the_sum() {
    let t = Timing::of(&program(serialize), &[], &hardware());
    let transfers = [32, 80, 80, 80, 80].iter().map(|b| 10 + b + 100).sum::<u64>();
    assert_eq!(t.cycles, transfers + 2 * (5 + 18) + 20);
    assert_eq!(t.bound.ddr_bytes, 1536, "nobody reads the results");
}

#[test]
fn a_run_takes_whole_bursts() {
    let runs = Transfer { outer: [1, 10], ddr_strides: [0, 50], sram_strides: [0, 17], ..transfer(0, 0, 17) };
    assert_eq!(cost(&Command::Load(runs), &hardware()).cycles, 10 * 32 / 8);
}

/// Banks so wide that only the units matter.
fn wide_banks() -> Hardware {
    Hardware { sram_bank_bytes_per_cycle: 4096, ..hardware() }
}

/// 3 × 3 over 8 × 8 pixels of 3 channels, 65 filters.
fn conv() -> Conv {
    Conv {
        ifm: Sram(0),
        weights: Sram(64),
        constants: Sram(128),
        ofm: Sram(192),
        in_hwc: [8, 8, 3],
        out_hwc: [8, 8, 65],
        kernel: [3, 3],
        strides: [1, 1],
        dilations: [1, 1],
        pad_top: 1,
        pad_left: 1,
        group_channels: 3,
        ofm_pixel: 65,
        x_zero: 0,
        out_zero: 0,
        clamp_lo: -128,
        clamp_hi: 127,
        x_type: Elem::I8,
        out_type: Elem::I8,
        rounding: Rounding::Fixed,
    }
}

#[test]
fn convolutions_fill_the_array_as_far_as_their_extents_allow() {
    let (hw, conv) = (wide_banks(), conv());
    // 9 taps of 3 channels, padded to 4, over 32 lanes: 2; 65 filters over 64: 2; 64 pixels over 16: 4.
    let full = cost(&Command::Conv(conv), &hw);
    assert_eq!((full.cycles, full.macs, full.memory), (2 * 2 * 4, 64 * 65 * 27, 0));
    assert_eq!(full.ideal_mac, (64 * 65 * 27) as f64 / 32768.0);
    let groups = Conv { in_hwc: [8, 8, 64], out_hwc: [8, 8, 64], group_channels: 1, ..conv };
    let depthwise = cost(&Command::DwConv(groups), &hw);
    assert_eq!(depthwise.cycles, 9 * (64 * 64 / 1024));
    let grouped = cost(&Command::Conv(groups), &hw);
    assert_eq!(grouped.cycles, 64 * 2 * 4, "one group after the other leaves the array almost empty");
}

#[test]
fn what_feeds_the_units_keeps_them_waiting() {
    let with = |feed: Feed, command: Command| cost(&command, &Hardware { feed, ..wide_banks() }).cycles;
    let free = Feed::default();
    let dense = |feed| with(feed, Command::Conv(conv()));
    assert_eq!(dense(free), 16);
    // 9 taps become 18, of 4 channels each: 72 over 32 lanes.
    assert_eq!(dense(Feed { tap_multiple: 18, ..free }), 3 * 2 * 4);
    assert_eq!(dense(Feed { fold_cycles: 94, ..free }), 2 * 2 * (4 + 94), "each of four folds");
    // 36 deep, 128 columns: 4,608 weights.
    assert_eq!(dense(Feed { weights_per_cycle: 16, ..free }), 288);
    assert_eq!(dense(Feed { weights_per_cycle: 4608, ..free }), 16);
    assert_eq!(dense(Feed { results_per_cycle: 8, ..free }), 520, "64 x 65 results");
    // Blocks of 1,024 results, 64 channels each: 4 places, 2 blocks each. Constants: 4 · 65 · 2.5 = 650; one block in eight of 16.
    let blocks = Feed { block_results: 1024, block_channels: 64, channel_cycles: 2.5, ..free };
    assert_eq!(dense(blocks), 650 + 16 / 8);
    assert_eq!(dense(Feed { results_per_cycle: 4, ..blocks }), 1040 + 16 / 8, "results take longer than constants");

    let depthwise = Conv { in_hwc: [8, 8, 64], out_hwc: [8, 8, 64], group_channels: 1, ..conv() };
    let lanes = |feed, command| {
        let mac = MacArray { dw_lanes: 256, ..wide_banks().mac };
        cost(&command, &Hardware { feed, mac, ..wide_banks() }).cycles
    };
    let three = Conv { out_hwc: [3, 3, 20], in_hwc: [3, 3, 20], ..depthwise };
    assert_eq!(lanes(free, Command::DwConv(three)), 9, "180 outputs in 256 lanes");
    // 16 pixels and 16 channels: 9 pixels once, 20 channels twice.
    assert_eq!(lanes(Feed { dw_px: 16, tap_multiple: 4, ..free }, Command::DwConv(three)), 12 * 2);
}
