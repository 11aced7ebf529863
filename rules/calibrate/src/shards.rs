//! Which samples go through the network in one action.

use crate::samples::Sample;

/// Samples in runs of about `size`, whose ends depend on the samples' names alone: one more sample changes the run that it
/// falls into and no others, wherever its name stands in the order. A run ends behind a name with one hash in `size / 2`, after half
/// as many samples at the earliest and twice as many at the latest.
pub(crate) fn shards(files: &[Sample], size: usize) -> Vec<&[Sample]> {
    let size = size.max(1);
    let ends = |sample: &Sample| {
        let name = sample.first().map_or("", |(blob, _)| blob.as_str());
        let hash = blake3::hash(name.as_bytes());
        usize::from(hash.as_bytes()[0]).is_multiple_of((size / 2).max(1))
    };
    let (mut out, mut from) = (Vec::new(), 0);
    for (i, sample) in files.iter().enumerate() {
        let count = i + 1 - from;
        if (count >= size.div_ceil(2) && ends(sample)) || count >= 2 * size || size == 1 {
            out.push(&files[from..=i]);
            from = i + 1;
        }
    }
    if from < files.len() {
        out.push(&files[from..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_sample_changes_one_shard_wherever_it_stands() {
        let named = |n: usize| vec![(format!("sample/x/{n:04}.png"), String::new())];
        let all: Vec<Sample> = (0..400).map(|i| named(2 * i)).collect();
        let before = shards(&all, 16);
        assert!(before.iter().all(|s| s.len() <= 32) && (12..=50).contains(&before.len()), "{}", before.len());
        assert_eq!(before.concat(), all);
        let mut changed = 0;
        for at in (1..800).step_by(67) {
            let mut more = all.clone();
            more.insert(at / 2 + 1, named(at));
            changed += shards(&more, 16).iter().filter(|s| !before.contains(s)).count();
        }
        // The one that it falls into; sometimes that one is split, or runs into the next.
        assert!(changed <= 12 * 2, "{changed} shards for 12 samples");
        assert!(shards(&all, 1).iter().all(|s| s.len() == 1));
    }
}
