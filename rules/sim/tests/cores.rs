//! Programs for several cores and in several function calls: what is refused, what overlaps, what is lost; and what reports read
//! out of programs: who made what, what makes a layer slow.
#![allow(clippy::unwrap_used)]

use ptq_ir::Rounding;
use ptq_march::{Hardware, March};
use ptq_sim::timing::{Occupied, Timing, losses};
use ptq_sim::{
    Command, Conv, Ddr, Elem, Lut, Maker, Program, ProgramError, QUEUES, Record, Simulator, Sram, Transfer, TrapKind,
    add_waits, makers,
};

fn hardware() -> Hardware {
    let march = March::from_toml(&ptq_march::source("bayes").unwrap()).unwrap();
    Hardware { ddr_bytes_per_cycle: 64.0, sync_cycles: 20, ..march.hardware.unwrap() }
}

fn transfer(ddr: u32, sram: u32, bytes: u32) -> Transfer {
    Transfer { ddr: Ddr(ddr), sram: Sram(sram), outer: [1, 1], bytes, ddr_strides: [0; 2], sram_strides: [0; 2] }
}

fn lut(ifm: u32, ofm: u32, count: u32) -> Command {
    Command::Lut(Lut { ifm: Sram(ifm), table: Sram(0), ofm: Sram(ofm), count, x_type: Elem::U8, words: 0 })
}

/// A table and 4,096 bytes of the input at DDR 256, through it to DDR 16384, by one core; `half`: which part of two.
fn part(core: u8, half: u32) -> Vec<(u8, u16, Command)> {
    let (at, bytes) = (half * 2048, 2048);
    [
        Command::Load(transfer(0, 0, 256)),
        Command::Load(transfer(256 + at, 1024, bytes)),
        lut(1024, 4096, bytes),
        Command::Store(transfer(16384 + at, 4096, bytes)),
    ]
    .map(|c| (core, 0, c))
    .to_vec()
}

fn program(commands: Vec<(u8, u16, Command)>) -> Program {
    let end = [(0, 1, Command::Sync), (0, 0, Command::End)];
    let record = |(core, layer, command)| Record { layer, wait: [0; QUEUES], core, command };
    let mut commands: Vec<Record> = commands.into_iter().chain(end).map(record).collect();
    add_waits(&mut commands);
    Program {
        commands,
        constants: (0..=255u8).collect::<Vec<_>>().into(),
        sram_bytes: 8192,
        align: 64,
        ddr_bytes: 32768,
        layers: vec!["first".into(), "second".into()],
        calls: Vec::new(),
    }
}

/// Reads what the first layer stored at both halves.
fn second(from: u32) -> Vec<(u8, u16, Command)> {
    [Command::Load(transfer(from, 6144, 64)), Command::Store(transfer(24576, 6144, 64))].map(|c| (0, 1, c)).to_vec()
}

#[test]
fn cores_work_beside_each_other_and_meet_at_sync() {
    let hw = hardware();
    let time = |commands| {
        let p = program(commands);
        p.check().unwrap();
        Timing::of(&p, &[], &hw)
    };
    let one = time([part(0, 0), part(0, 1)].concat());
    let two = time([part(0, 0), part(1, 1)].concat());
    assert!(two.cycles < one.cycles, "{} {}", two.cycles, one.cycles);
    assert_eq!((one.cores, two.cores, one.multicore_sync, two.multicore_sync), (1, 2, 0, 20));
    assert_eq!(one.bound.compute, 2 * two.bound.compute);
    // A second section begins on both cores when the slower one is done.
    let mut commands = part(0, 0);
    commands.push((0, 0, Command::Sync));
    commands.extend(part(1, 1));
    let apart = time(commands);
    let sync = apart.spans[4];
    assert!(apart.spans[5..9].iter().all(|s| s.start >= sync.end));
    // Both halves through DDR give what one core gives.
    let run = |commands| {
        let p = program(commands);
        let mut s = Simulator::new(&p);
        s.write_ddr(256, &(0..4096).map(|i| (i * 7) as u8).collect::<Vec<_>>()).unwrap();
        s.run().unwrap();
        s.read_ddr(16384, 4096).unwrap().to_vec()
    };
    assert_eq!(run([part(0, 0), part(0, 1)].concat()), run([part(0, 0), part(1, 1)].concat()));
}

#[test]
fn what_another_core_touches_needs_a_sync() {
    let race = |commands: Vec<(u8, u16, Command)>| program(commands).check();
    // Reads what core 1 writes in the same section, writes what it writes, writes what it reads.
    let read = [part(1, 1), second(16384 + 2048)].concat();
    assert!(matches!(race(read), Err(ProgramError::CoreRace { index: 4, core: 0, .. })));
    assert!(matches!(race([part(0, 0), part(1, 0)].concat()), Err(ProgramError::CoreRace { index: 7, core: 1, .. })));
    let mut reads = second(256);
    reads.push((1, 0, Command::Load(transfer(0, 0, 64))));
    reads.push((1, 0, Command::Store(transfer(256, 0, 64))));
    assert!(matches!(race(reads), Err(ProgramError::CoreRace { index: 3, core: 1, .. })));
    // With a SYNC between, and with bytes that both only read, nothing is wrong.
    let mut meet = part(1, 1);
    meet.push((0, 0, Command::Sync));
    meet.extend(second(16384 + 2048));
    assert_eq!(race(meet), Ok(()));
    assert_eq!(race([part(0, 0), part(1, 1)].concat()), Ok(()));
}

#[test]
fn sram_belongs_to_one_core_and_one_call() {
    let mut other = part(0, 0);
    other[2].0 = 1;
    let p = program(other);
    let trap = Simulator::new(&p).run().unwrap_err();
    assert!(matches!(trap.kind, TrapKind::Unwritten { space: "DDR", .. }), "the input is missing: {trap}");
    let run = |p: &Program| {
        let mut s = Simulator::new(p);
        s.write_ddr(256, &[1; 4096]).unwrap();
        s.run()
    };
    let trap = run(&p).unwrap_err();
    assert!(trap.index == 2 && matches!(trap.kind, TrapKind::Unwritten { space: "SRAM", .. }), "{trap}");
    let mut commands = part(0, 0);
    commands.insert(2, (0, 0, Command::Sync));
    let mut p = program(commands);
    run(&p).unwrap();
    p.calls = vec![3];
    p.check().unwrap();
    let trap = run(&p).unwrap_err();
    assert!(trap.index == 3 && matches!(trap.kind, TrapKind::Unread { space: "SRAM", .. }), "{trap}");
    let t = Timing::of(&p, &[], &hardware());
    assert_eq!((t.calls.len(), t.calls.iter().sum::<u64>()), (2, t.cycles));
    for wrong in [vec![2], vec![0], vec![3, 3], vec![99]] {
        p.calls = wrong;
        assert!(matches!(p.check(), Err(ProgramError::Call(_))), "{:?}", p.calls);
    }
}

#[test]
fn makers_are_found_behind_transfers() {
    let mut commands = part(0, 0);
    commands.extend(second(16384));
    commands.push((0, 1, lut(6144, 7168, 64)));
    let inputs = 256..4352;
    let found = makers(&program(commands), std::slice::from_ref(&inputs));
    assert_eq!(found[0].iter().copied().collect::<Vec<_>>(), [Maker::Input(0)], "a table is nobody's");
    assert_eq!(found[1].iter().copied().collect::<Vec<_>>(), [Maker::Layer(0)]);
}

#[test]
fn losses_name_what_does_not_fit() {
    let hw = hardware();
    let conv = Conv {
        ifm: Sram(0),
        weights: Sram(1024),
        constants: Sram(2048),
        ofm: Sram(4096),
        in_hwc: [6, 6, 3],
        out_hwc: [4, 4, 64],
        kernel: [3, 3],
        strides: [1, 1],
        dilations: [1, 1],
        pad_top: 0,
        pad_left: 0,
        group_channels: 3,
        ofm_pixel: 64,
        x_type: Elem::I8,
        out_type: Elem::I8,
        rounding: Rounding::Fixed,
        x_zero: 0,
        out_zero: 0,
        clamp_lo: -128,
        clamp_hi: 127,
    };
    let short = Transfer { outer: [1, 8], ddr_strides: [0, 64], sram_strides: [0, 16], ..transfer(0, 0, 16) };
    let p = program(vec![(0, 0, Command::Conv(conv)), (0, 1, Command::Load(short)), (0, 1, Command::Load(short))]);
    let found = losses(&p, &hw);
    let find = |layer: usize, what: &str| found[layer].iter().find(|l| l.what == what);
    // Of 4 channels a tap one is nothing; 36 of 64 lanes are used; all 64 columns and all 16 pixels are.
    let cycles = 2.0;
    assert_eq!(find(0, "channels 3 -> 4 padded").map(|l| l.cycles), Some(cycles * 0.25));
    assert_eq!(
        find(0, "taps x channels 36 -> 64 lanes").map(|l| (l.of, l.cycles)),
        Some((Occupied::Compute, cycles * 28.0 / 64.0))
    );
    assert!(found[0].iter().all(|l| !l.what.starts_with("output") && !l.what.starts_with("pixels")));
    // Each run of 16 bytes takes a burst of 64, and all of it is loaded twice.
    let bursts = find(1, "runs of 16 bytes take 64 in bursts").unwrap();
    assert_eq!((bursts.of, bursts.cycles), (Occupied::Ddr, 16.0 * 0.75));
    assert_eq!(find(1, "128 of 256 loaded bytes are loaded again").map(|l| l.cycles), Some(2.0));
}
