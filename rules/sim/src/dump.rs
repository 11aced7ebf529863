//! Assembly text of a program, one command a line; for people, snapshots and diffs.

use crate::{Command, Program, Queue};
use std::fmt::Write as _;

/// The program as text.
pub fn dump(program: &Program) -> String {
    let mut out = String::new();
    let Program { sram_bytes, align, ddr_bytes, constants, .. } = program;
    let sizes = format!("; sram {sram_bytes} align {align} ddr {ddr_bytes} constants {}", constants.len());
    out.push_str(&sizes);
    let mut layer = None;
    for (index, record) in program.commands.iter().enumerate() {
        let name = program.layers.get(usize::from(record.layer));
        if record.command != Command::End
            && layer != Some(record.layer)
            && let Some(name) = name
        {
            write!(out, "\n; layer {} {name}", record.layer).expect("invariant: a String takes text");
            layer = Some(record.layer);
        }
        if program.calls.iter().any(|&call| call as usize == index) {
            out.push_str("\n; function call");
        }
        write!(out, "\n{index:6} {:8}", record.command.name()).expect("invariant: a String takes text");
        if record.core > 0 {
            write!(out, " core{}", record.core).expect("invariant: a String takes text");
        }
        for (queue, wait) in Queue::ALL.iter().zip(record.wait).filter(|(_, w)| *w > 0) {
            write!(out, " {}<{wait}", queue.name()).expect("invariant: a String takes text");
        }
        for (field, value) in record.command.shown() {
            write!(out, " {field}={value}").expect("invariant: a String takes text");
        }
        out.truncate(out.trim_end().len());
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ddr, Record, Sram, Transfer};

    #[test]
    fn the_text_names_layers_commands_and_fields() {
        let load = Transfer {
            ddr: Ddr(16),
            sram: Sram(64),
            outer: [1, 2],
            bytes: 8,
            ddr_strides: [0, 32],
            sram_strides: [0, 8],
        };
        let commands = [Command::Load(load)];
        let program = Program {
            commands: commands
                .into_iter()
                .map(|command| Record { layer: 0, wait: [0, 0, 2, 0], core: 0, command })
                .collect(),
            constants: vec![0; 4].into(),
            sram_bytes: 128,
            align: 64,
            ddr_bytes: 256,
            layers: vec!["stem".into()],
            calls: Vec::new(),
        };
        let expect = "; sram 128 align 64 ddr 256 constants 4\n; layer 0 stem\n     0 LOAD     vector<2 ddr=ddr:0x10 sram=sram:0x40 \
                      outer=1x2 bytes=8 ddr_strides=0x32 sram_strides=0x8\n";
        assert_eq!(dump(&program), expect);
    }
}
