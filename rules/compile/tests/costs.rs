//! The table of what groups cost: kept between compilations, shared by graphs, without a say in the result.
#![allow(clippy::unwrap_used)]

#[path = "../../../tests/src/bench/networks.rs"]
#[allow(dead_code)]
mod networks;

use networks::Builder;
use ptq_compile::{CompileMode, CostTable, OptimizeLevel, Options, Report, Search, compile};
use ptq_ir::QGraph;
use ptq_march::March;
use ptq_sim::artifact::{self, Model};
use std::sync::Mutex;

fn march() -> March {
    March::from_toml(&ptq_march::source("bayes-e").unwrap()).unwrap()
}

/// Compiles with a table.
fn compile_with(
    graph: &QGraph,
    march: &March,
    hash: [u8; 32],
    search: &Search,
    table: &mut CostTable,
) -> Result<(Model, Report), Vec<ptq_ir::Diagnostic>> {
    let shared = Mutex::new(std::mem::take(table));
    let made =
        ptq_compile::compile_with(graph, march, hash, search, &Options { costs: Some(&shared), ..Options::default() });
    *table = shared.into_inner().unwrap();
    made
}

/// Eight blocks of three layers; the last block has `channels` inside.
fn graph(channels: usize) -> QGraph {
    let mut b = Builder::new("blocks", "bayes-e");
    let mut x = b.input(32, 28, 28);
    for i in 0..8 {
        let y = b.conv(x, if i == 7 { channels } else { 64 }, 1, 1, 1);
        let y = b.depthwise(y, 3, 1);
        let y = b.conv(y, 32, 1, 1, 1);
        x = b.add(x, y);
    }
    b.output(x);
    b.graph
}

#[test]
fn a_known_table_changes_nothing_and_does_not_grow() {
    let (march, graph) = (march(), graph(64));
    for mode in [CompileMode::Latency, CompileMode::Bandwidth] {
        let search = Search { level: OptimizeLevel::O2, mode, ..Search::default() };
        let mut table = CostTable::default();
        let first = compile_with(&graph, &march, [0; 32], &search, &mut table).unwrap();
        assert!(!table.is_empty());
        let known = table.len();
        let mut read = CostTable::from_bytes(&table.to_bytes()).unwrap();
        assert_eq!(read, table);
        let again = compile_with(&graph, &march, [0; 32], &search, &mut read).unwrap();
        assert_eq!((artifact::encode(&first.0), first.1), (artifact::encode(&again.0), again.1));
        assert_eq!(read.len(), known, "nothing had to be timed again");
        assert_eq!(compile(&graph, &march, [0; 32], &search).unwrap(), first);
    }
}

#[test]
fn equal_blocks_share_and_a_small_change_times_little() {
    let march = march();
    let search = Search { level: OptimizeLevel::O2, ..Search::default() };
    let groups = |blocks: usize| {
        let mut b = Builder::new("blocks", "bayes-e");
        let mut x = b.input(32, 28, 28);
        for _ in 0..blocks {
            let y = b.conv(x, 64, 1, 1, 1);
            x = b.conv(y, 32, 1, 1, 1);
        }
        b.output(x);
        let mut table = CostTable::default();
        compile_with(&b.graph, &march, [0; 32], &search, &mut table).unwrap();
        table.len()
    };
    let (short, long) = (groups(10), groups(20));
    assert!(long < short + short / 10, "{short} groups of ten blocks, {long} of twenty");
    let mut table = CostTable::default();
    compile_with(&graph(64), &march, [0; 32], &search, &mut table).unwrap();
    let before = table.len();
    let changed = compile_with(&graph(48), &march, [0; 32], &search, &mut table).unwrap();
    let mut alone = CostTable::default();
    assert_eq!(compile_with(&graph(48), &march, [0; 32], &search, &mut alone).unwrap(), changed);
    assert!((table.len() - before) * 2 < alone.len(), "{} new of {}", table.len() - before, alone.len());
}

#[test]
fn damaged_tables_are_none() {
    let mut table = CostTable::default();
    let search = Search { level: OptimizeLevel::O1, ..Search::default() };
    compile_with(&graph(64), &march(), [0; 32], &search, &mut table).unwrap();
    let bytes = table.to_bytes();
    assert_eq!(CostTable::from_bytes(&bytes[..bytes.len() - 1]), None);
    assert_eq!(CostTable::from_bytes(&bytes[1..]), None);
    assert_eq!(CostTable::from_bytes(b""), None);
}
