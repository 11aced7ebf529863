//! Scratch addresses of one layer's tiles, and the search for tiles that fit.

use ptq_sim::{Sram, Target};

/// Hands out aligned scratch addresses from 0 up; every layer starts anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SramBump {
    target: Target,
    next: u64,
}

impl SramBump {
    pub(crate) fn new(target: Target) -> SramBump {
        SramBump { target, next: 0 }
    }

    /// Room for `bytes`; `None` when there is none left.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<Sram> {
        let start = self.next.next_multiple_of(u64::from(self.target.align));
        let end = start.checked_add(bytes as u64)?;
        if end > u64::from(self.target.sram_bytes) {
            return None;
        }
        self.next = end;
        u32::try_from(start).ok().map(Sram)
    }

    /// Addresses of all these buffers, or `None` when they do not fit together.
    pub(crate) fn all<const N: usize>(target: Target, bytes: [usize; N]) -> Option<[Sram; N]> {
        let mut bump = SramBump::new(target);
        let mut out = [Sram(0); N];
        for (slot, bytes) in out.iter_mut().zip(bytes) {
            *slot = bump.take(bytes)?;
        }
        Some(out)
    }
}

/// `total`, then half of it rounded up, and so on down to 1.
pub(crate) fn halvings(total: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(total.max(1)), |&n| (n > 1).then(|| n.div_ceil(2)))
}

/// The first tile of `dims` that `accept` takes: the outermost extents are halved first. `None` when even single
/// elements do not fit.
pub(crate) fn first_tile<T>(dims: &[usize], mut accept: impl FnMut(&[usize]) -> Option<T>) -> Option<(Vec<usize>, T)> {
    let mut tile = dims.to_vec();
    loop {
        if let Some(found) = accept(&tile) {
            return Some((tile, found));
        }
        let axis = tile.iter().position(|&t| t > 1)?;
        tile[axis] = tile[axis].div_ceil(2);
    }
}

/// Start and length of every tile along one axis.
pub(crate) fn cut(total: usize, tile: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    (0..total).step_by(tile.max(1)).map(move |start| (start, tile.min(total - start)))
}

/// Starts and lengths of every tile along several axes, outermost axis slowest.
pub(crate) fn cut_all(dims: &[usize], tile: &[usize]) -> Vec<Vec<(usize, usize)>> {
    let mut out = vec![Vec::new()];
    for (&total, &extent) in dims.iter().zip(tile) {
        let extend = |prefix: Vec<(usize, usize)>| {
            cut(total, extent).map(move |piece| {
                let mut next = prefix.clone();
                next.push(piece);
                next
            })
        };
        out = out.into_iter().flat_map(extend).collect();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_aligned_and_never_beyond_the_end() {
        let target = Target { sram_bytes: 256, align: 64 };
        assert_eq!(SramBump::all(target, [1, 64, 64]), Some([Sram(0), Sram(64), Sram(128)]));
        assert_eq!(SramBump::all(target, [1, 64, 129]), None);
        assert_eq!(SramBump::all(target, [usize::MAX, 1]), None);
    }

    #[test]
    fn tiles_shrink_from_the_outside_and_cover_everything_once() {
        let fits = |t: &[usize]| (t.iter().product::<usize>() <= 6).then_some(());
        assert_eq!(first_tile(&[5, 4], fits), Some((vec![1, 4], ())));
        assert_eq!(first_tile(&[5, 40], fits), Some((vec![1, 5], ())));
        assert_eq!(first_tile(&[5], |_| None::<()>), None);
        let pieces = cut_all(&[5, 4], &[2, 4]);
        assert_eq!(pieces, [[(0, 2), (0, 4)], [(2, 2), (0, 4)], [(4, 1), (0, 4)]]);
    }
}
