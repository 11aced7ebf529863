//! When a value is read for the last time, so that its buffer can be dropped.

/// For each node the values that nobody reads after it: `reads` and `writes` are value numbers node by node, `kept`
/// are never dropped.
pub(crate) fn release_after(values: usize, nodes: &[(Vec<usize>, Vec<usize>)], kept: &[usize]) -> Vec<Vec<usize>> {
    let mut last = vec![None; values];
    for (i, (reads, writes)) in nodes.iter().enumerate() {
        for &v in reads.iter().chain(writes) {
            last[v] = Some(i);
        }
    }
    for &v in kept {
        last[v] = None;
    }
    let mut out = vec![Vec::new(); nodes.len()];
    for (v, node) in last.into_iter().enumerate() {
        if let Some(node) = node {
            out[node].push(v);
        }
    }
    out
}
