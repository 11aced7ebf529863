//! Programs that do what no correct program does: each stops at the command, with its layer and reason.
#![allow(clippy::unwrap_used)]

use ptq_ir::Rounding;
use ptq_sim::{
    Command, Ddr, Elem, Lut, Pool, PoolKind, Program, ProgramError, QUEUES, Record, Simulator, Sram, Transfer,
    TrapKind, add_waits,
};

fn transfer(ddr: u32, sram: u32, bytes: u32) -> Transfer {
    Transfer { ddr: Ddr(ddr), sram: Sram(sram), outer: [1, 1], bytes, ddr_strides: [0; 2], sram_strides: [0; 2] }
}

/// A program over 256 constant bytes (0, 1, 2, …), 1 KiB of SRAM and 1 KiB of DDR.
fn program(commands: &[Command]) -> Program {
    let record = |&command| Record { layer: 0, wait: [0; QUEUES], core: 0, command };
    let mut records: Vec<Record> = commands.iter().chain(&[Command::Sync, Command::End]).map(record).collect();
    add_waits(&mut records);
    Program {
        commands: records,
        constants: (0..=255u8).collect::<Vec<_>>().into(),
        sram_bytes: 1024,
        align: 64,
        ddr_bytes: 1024,
        layers: vec!["conv_7".into()],
        calls: Vec::new(),
    }
}

fn trap(commands: &[Command]) -> TrapKind {
    let program = program(commands);
    program.check().unwrap();
    let trap = Simulator::new(&program).run().unwrap_err();
    assert_eq!(trap.layer, "conv_7");
    assert_eq!(trap.index, commands.len() - 1, "the last command is the wrong one: {trap}");
    assert!(trap.to_string().starts_with(&format!("command {} ({} of layer conv_7): ", trap.index, trap.command)));
    trap.kind
}

fn lut(ifm: u32, ofm: u32, count: u32) -> Command {
    Command::Lut(Lut { ifm: Sram(ifm), table: Sram(256), ofm: Sram(ofm), count, x_type: Elem::U8, words: 0 })
}

fn table() -> Command {
    Command::Load(transfer(0, 256, 256))
}

#[test]
fn a_correct_program_runs() {
    let p = program(&[table(), Command::Load(transfer(10, 0, 5)), lut(0, 64, 5), Command::Store(transfer(512, 64, 5))]);
    p.check().unwrap();
    let mut simulator = Simulator::new(&p);
    simulator.run().unwrap();
    assert_eq!(simulator.read_ddr(512, 5).unwrap(), [10, 11, 12, 13, 14]);
}

#[test]
fn strided_transfers_gather_and_scatter() {
    let gather = Transfer { outer: [2, 2], ddr_strides: [100, 10], sram_strides: [6, 3], ..transfer(1, 0, 3) };
    let scatter = Transfer { outer: [1, 4], ddr_strides: [0, 8], sram_strides: [0, 3], ..transfer(512, 0, 3) };
    let p = program(&[Command::Load(gather), Command::Store(scatter)]);
    let mut simulator = Simulator::new(&p);
    simulator.run().unwrap();
    for (at, first) in [(512, 1), (520, 11), (528, 101), (536, 111)] {
        assert_eq!(simulator.read_ddr(at, 3).unwrap(), [first, first + 1, first + 2]);
    }
    assert!(matches!(simulator.read_ddr(512, 4), Err(TrapKind::Unwritten { first: 515, .. })));
}

#[test]
fn unwritten_bytes_of_either_memory() {
    let kind = trap(&[Command::Load(transfer(256, 0, 4))]);
    assert!(matches!(kind, TrapKind::Unwritten { space: "DDR", first: 256, .. }), "{kind}");
    let kind = trap(&[table(), Command::Load(transfer(0, 0, 7)), lut(0, 64, 8)]);
    assert!(matches!(kind, TrapKind::Unwritten { space: "SRAM", first: 7, .. }), "{kind}");
}

#[test]
fn ranges_of_either_memory() {
    let kind = trap(&[Command::Load(transfer(0, 960, 65))]);
    assert!(matches!(kind, TrapKind::Range { space: "SRAM", size: 1024, .. }), "{kind}");
    let kind = trap(&[Command::Load(transfer(0, 0, 64)), Command::Store(transfer(1000, 0, 64))]);
    assert!(matches!(kind, TrapKind::Range { space: "DDR", end: 1064, .. }), "{kind}");
    let far = Transfer { outer: [1, 2], ddr_strides: [0, u32::MAX], sram_strides: [0, 4], ..transfer(0, 0, 4) };
    assert!(matches!(trap(&[Command::Load(far)]), TrapKind::Range { space: "DDR", .. }));
    let endless = Transfer { outer: [1, u32::MAX], sram_strides: [0, 1], ..transfer(0, 0, 1) };
    assert!(matches!(trap(&[Command::Load(endless)]), TrapKind::Range { space: "SRAM", .. }));
}

#[test]
fn unaligned_addresses() {
    assert_eq!(trap(&[Command::Load(transfer(3, 32, 4))]), TrapKind::Unaligned { address: 32, align: 64 });
}

#[test]
fn an_output_over_its_operand() {
    let kind = trap(&[table(), Command::Load(transfer(0, 0, 70)), lut(0, 64, 70)]);
    assert_eq!(kind, TrapKind::Overlap { ofm: 64, operand: 0 });
}

#[test]
fn a_tap_count_without_a_constant() {
    let pool = Pool {
        ifm: Sram(0),
        constants: Sram(512),
        ofm: Sram(64),
        in_hwc: [2, 2, 1],
        out_hw: [1, 1],
        kernel: [2, 2],
        strides: [1, 1],
        dilations: [1, 1],
        pad_top: 0,
        pad_left: 0,
        first_taps: 1,
        taps: 3,
        kind: PoolKind::Average,
        elem: Elem::U8,
        rounding: Rounding::Float,
        x_zero: 0,
        out_zero: 0,
    };
    let zeros = Transfer { sram: Sram(512), ..transfer(300, 512, 24) };
    let p = program(&[Command::Load(transfer(0, 0, 4)), Command::Load(zeros), Command::Pool(pool)]);
    let mut simulator = Simulator::new(&p);
    simulator.write_ddr(300, &[0; 24]).unwrap();
    let trap = simulator.run().unwrap_err();
    assert_eq!(trap.kind, TrapKind::Data("a window has a tap count without a constant"));
}

#[test]
fn programs_without_an_end_or_with_foreign_layers_are_refused() {
    let mut p = program(&[]);
    p.commands.pop();
    assert_eq!(p.check(), Err(ProgramError::End));
    let mut p = program(&[]);
    p.commands[0].layer = 1;
    assert_eq!(p.check(), Err(ProgramError::Layer { index: 0, layer: 1, layers: 1 }));
    assert_eq!(Program::decode_commands(&[0; 65]), Err(ProgramError::Length(65)));
}
