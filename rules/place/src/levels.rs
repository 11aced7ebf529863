//! Execution levels and subgraph numbers.

use crate::Placement;
use ptq_ir::{Device, Graph};

/// Gives every node its level and every BPU node its subgraph.
///
/// A level is the number of device changes on the longest way to the node, odd on the BPU and even on the CPU, so that
/// running levels in order respects all dependencies. A subgraph is a connected piece of one BPU level.
pub(crate) fn assign(graph: &Graph, placement: &mut Placement) {
    let producers = graph.producers();
    for (id, node) in graph.nodes() {
        let odd = u32::from(placement.nodes[id.0 as usize].on == Device::Bpu);
        let after = |p: u32| if p % 2 == odd { p } else { p + 1 };
        let level = node
            .inputs
            .iter()
            .flatten()
            .filter_map(|v| producers[v.0 as usize])
            .map(|p| after(placement.nodes[p.0 as usize].level))
            .max();
        placement.nodes[id.0 as usize].level = level.unwrap_or(odd);
    }
    number_subgraphs(graph, placement);
}

fn number_subgraphs(graph: &Graph, placement: &mut Placement) {
    let producers = graph.producers();
    let mut group: Vec<usize> = (0..graph.nodes.len()).collect();
    fn root(group: &mut [usize], mut i: usize) -> usize {
        while group[i] != i {
            group[i] = group[group[i]];
            i = group[i];
        }
        i
    }
    for (id, node) in graph.nodes() {
        let i = id.0 as usize;
        for p in node.inputs.iter().flatten().filter_map(|v| producers[v.0 as usize]) {
            let p = p.0 as usize;
            let same = placement.nodes[p].on == Device::Bpu && placement.nodes[p].level == placement.nodes[i].level;
            if same {
                let (a, b) = (root(&mut group, p), root(&mut group, i));
                let (low, high) = (a.min(b), a.max(b));
                group[high] = low;
            }
        }
    }
    let mut order: Vec<usize> = (0..graph.nodes.len()).filter(|&i| placement.nodes[i].on == Device::Bpu).collect();
    order.sort_by_key(|&i| (placement.nodes[i].level, i));
    let mut numbers = std::collections::BTreeMap::new();
    for i in order {
        let next = numbers.len() as u32;
        let number = *numbers.entry(root(&mut group, i)).or_insert(next);
        placement.nodes[i].subgraph = Some(number);
    }
}
