//! Damaged and hostile files give errors, never panics, and never a model that reads outside its memory.

use crate::builder::Builder;
use crate::compare::{compiled, inputs};
use proptest::prelude::*;
use ptq_ir::ops::{ConvGeom, PoolGeom};
use ptq_ir::{DType, QGraph, Rounding, Tensor};
use ptq_runtime::{Model, RunOptions, RuntimeError};
use ptq_sim::artifact::{self, BinError, Body};
use ptq_sim::{RECORD_BYTES, Record};

pub(crate) fn graph() -> QGraph {
    let mut b = Builder::new(Rounding::Fixed, DType::I8, 3);
    let x = b.input(&[1, 3, 12, 12]);
    let geom = ConvGeom { kernel: [3, 3], strides: [1, 1], pads: [1; 4], dilations: [1, 1], group: 1 };
    let a = b.conv(x, 8, geom, false);
    let d = b.conv(a, 8, ConvGeom { group: 8, ..geom }, false);
    let s = b.add(a, d);
    let c = b.concat(&[(s, true), (a, false)], 1);
    let c = b.resize(c, 24, 12);
    let c = b.max_pool(c, PoolGeom { kernel: [2, 2], strides: [2, 2], ..PoolGeom::global([1, 1]) });
    let c = b.average_pool(c, PoolGeom::global([12, 6]));
    let c = b.reshape(c, &[1, 16]);
    let c = b.lut(c);
    b.output(c);
    b.finish()
}

#[test]
fn equal_programs_give_equal_bytes_and_bytes_survive_a_round_trip() {
    for sram in [None, Some(8192)] {
        let bin = compiled(&graph(), sram);
        assert_eq!(bin, compiled(&graph(), sram));
        assert_eq!(artifact::encode(&artifact::decode(&bin).unwrap()), bin);
    }
}

#[test]
fn every_truncation_and_foreign_file_is_refused() {
    let bin = compiled(&graph(), Some(8192));
    for n in (0..bin.len()).step_by(7).chain([63, 64, 65, bin.len() - 1]) {
        assert!(Model::load(&bin[..n]).is_err(), "{n} bytes");
    }
    assert!(matches!(Model::load(b"\x08\x07 onnx"), Err(RuntimeError::Artifact(BinError::Magic))));
    let mut newer = bin.clone();
    newer[8] = 4;
    let error = Model::load(&newer).unwrap_err();
    assert_eq!(error.to_string(), "the file has format version 4, this program reads version 3");
    newer[8] = 1;
    assert!(matches!(Model::load(&newer), Err(RuntimeError::Artifact(BinError::Version { found: 1, .. }))));
    // Version 2 says nothing that version 3 does not.
    newer[8] = 2;
    assert!(Model::load(&newer).is_ok());
    assert!(Model::load(&[bin, vec![0]].concat()).is_err());
}

#[test]
fn the_text_shows_segments_plans_and_commands() {
    let text = artifact::decode(&compiled(&graph(), Some(8192))).unwrap().to_text();
    for line in [
        "model test for march test at O0",
        "  inputs input0:float32[1, 3, 12, 12]",
        "  plan Conv_1 Conv: channels 8/8, rows 12/12",
        "; layer 0 Conv_1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
    }
}

#[test]
fn wrong_inputs_are_named() {
    let model = Model::load(&compiled(&graph(), None)).unwrap();
    let error = model.run(&[], &RunOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "0 inputs given, the model has 1: input0");
    let x = Tensor::zeros(DType::U8, [1, 3, 12, 12]);
    let error = model.run(&[x], &RunOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "input input0 is uint8[1, 3, 12, 12], the model expects float32[1, 3, 12, 12]");
}

/// Loads and, if that succeeds, runs; only panics and endless runs count as failures.
fn attempt(model: artifact::Model, inputs: &[Tensor]) -> bool {
    match Model::from_artifact(model) {
        Ok(model) => model.run(inputs, &RunOptions::default()).is_ok(),
        Err(_) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_is_refused(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bin = compiled(&graph(), Some(8192));
        let at = at.index(bin.len());
        bin[at] ^= flip;
        prop_assert!(Model::load(&bin).is_err());
    }

    /// The checksum does not protect against someone who computes it anew.
    #[test]
    fn a_changed_message_with_a_valid_checksum_never_panics(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cpu: bool,
    ) {
        let graph = graph();
        let bin = compiled(&graph, if cpu { None } else { Some(8192) });
        let mut payload = bin[artifact::HEADER_BYTES..].to_vec();
        for (at, value) in edits {
            let at = at.index(payload.len());
            payload[at] = value;
        }
        let mut forged = bin[..artifact::HEADER_BYTES].to_vec();
        forged[32..].copy_from_slice(blake3::hash(&payload).as_bytes());
        forged.extend(payload);
        if let Ok(model) = artifact::decode(&forged) {
            let ports: Vec<Tensor> = model
                .inputs
                .iter()
                .map(|id| &model.tensors[id.0 as usize])
                .map(|t| Tensor::zeros(t.dtype, t.shape.clone()))
                .collect();
            attempt(model, &ports);
        }
    }

    #[test]
    fn a_changed_command_never_panics(
        command in any::<prop::sample::Index>(),
        byte in 0..RECORD_BYTES,
        value: u8,
    ) {
        let graph = graph();
        let mut model = artifact::decode(&compiled(&graph, Some(8192))).unwrap();
        let Body::Npu(npu) = &mut model.segments[1].body else { panic!("no program") };
        let at = command.index(npu.program.commands.len());
        let mut bytes = npu.program.commands[at].encode();
        bytes[byte] = value;
        if let Ok(record) = Record::decode(&bytes) {
            npu.program.commands[at] = record;
            attempt(model, &inputs(&graph, 5));
        }
    }
}
