//! Unique, non-empty names of nodes.

use crate::proto::NodeProto;
use std::collections::{BTreeMap, BTreeSet};

/// A name for each node: its own where that is the first use, otherwise `<name>_2`, …; nameless nodes become
/// `<Op>_<n>`, counted for each operator in file order.
pub(crate) fn node_names(nodes: &[NodeProto]) -> Vec<String> {
    let own = |n: &NodeProto| n.name.as_deref().filter(|s| !s.is_empty()).map(str::to_owned);
    let mut taken: BTreeSet<String> = nodes.iter().filter_map(own).collect();
    let mut first = BTreeSet::new();
    let mut nameless: BTreeMap<&str, usize> = BTreeMap::new();
    let mut repeats: BTreeMap<String, usize> = BTreeMap::new();
    nodes
        .iter()
        .map(|node| {
            let op = node.op_type.as_deref().unwrap_or("");
            match own(node) {
                Some(name) if first.insert(name.clone()) => name,
                Some(name) => {
                    let next = repeats.entry(name.clone()).or_insert(2);
                    free(&mut taken, next, &name)
                }
                None => free(&mut taken, nameless.entry(op).or_insert(0), op),
            }
        })
        .collect()
}

fn free(taken: &mut BTreeSet<String>, next: &mut usize, base: &str) -> String {
    loop {
        let name = format!("{base}_{next}");
        *next += 1;
        if taken.insert(name.clone()) {
            return name;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_explicit_ones_win() {
        let node = |name: &str, op: &str| NodeProto {
            name: (!name.is_empty()).then(|| name.to_owned()),
            op_type: Some(op.to_owned()),
            ..NodeProto::default()
        };
        let nodes = [node("", "Conv"), node("a", "Relu"), node("a", "Relu"), node("", "Conv"), node("Conv_0", "Conv")];
        assert_eq!(node_names(&nodes), ["Conv_1", "a", "a_2", "Conv_2", "Conv_0"]);
    }
}
