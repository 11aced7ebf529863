//! What levels promise, on whole networks: never slower than the level below, more plans tried, near what is possible.
#![allow(clippy::unwrap_used)]

#[path = "../../../tests/src/bench/networks.rs"]
#[allow(dead_code)]
mod networks;

use ptq_compile::{CompileMode, OptimizeLevel, Report, Search, compile};
use ptq_march::{Hardware, March};

/// 4,096 multipliers, 2 MiB of scratch memory, 8 bytes a cycle.
fn march() -> March {
    let march = March::from_toml(&ptq_march::source("bayes-e").unwrap()).unwrap();
    let hardware = march.hardware.clone().unwrap();
    March { hardware: Some(Hardware { ddr_bytes_per_cycle: 8.0, ..hardware }), ..march }
}

fn levels(name: &str, mode: CompileMode) -> [Report; 4] {
    let march = march();
    let graph = networks::network(name, &march.name);
    let levels = [OptimizeLevel::O0, OptimizeLevel::O1, OptimizeLevel::O2, OptimizeLevel::O3];
    levels.map(|level| compile(&graph, &march, [0; 32], &Search { level, mode, ..Search::default() }).unwrap().1)
}

/// `bound`: cycles that weights and multiplications alone take.
fn assert_near(name: &str, bound: u64, percent: u64) {
    let reports = levels(name, CompileMode::Latency);
    for pair in reports.windows(2) {
        assert!(pair[1].cycles <= pair[0].cycles, "{name}: {reports:?}");
        assert!(pair[1].evaluated > pair[0].evaluated, "{name}: {reports:?}");
    }
    let best = reports[3].cycles;
    assert!(bound <= best && best * 100 <= bound * percent, "{name}: {best} cycles, at least {bound}");
}

#[test]
fn mobilenet_v1_comes_near_the_time_of_its_weights() {
    assert_near("mobilenet_v1", 545_000, 115);
}

#[test]
fn resnet18_comes_near_the_time_of_its_weights() {
    assert_near("resnet18", 1_479_000, 115);
}

#[test]
fn mobilenet_v2_comes_near_the_time_of_its_weights() {
    assert_near("mobilenet_v2", 453_000, 115);
}

#[test]
fn resnet50_comes_near_the_time_of_its_weights() {
    assert_near("resnet50", 3_207_000, 130);
}

#[test]
fn less_traffic_is_a_goal_of_its_own() {
    let (fast, little) = (levels("mobilenet_v1", CompileMode::Latency), levels("mobilenet_v1", CompileMode::Bandwidth));
    assert!(little[3].ddr_bytes <= fast[3].ddr_bytes);
    assert!(little.windows(2).all(|p| p[1].ddr_bytes <= p[0].ddr_bytes), "{little:?}");
}
