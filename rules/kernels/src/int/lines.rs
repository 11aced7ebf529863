//! Functions of whole lines of bytes along one axis.

use crate::{KernelError, parallel};

/// Calls `f(line, results)` for each line along the middle of three axes `[outer, extent, inner]`; the results take the
/// line's place in `out`, which has `results` instead of `extent`.
///
/// # Errors
/// When the lengths do not fit.
pub fn byte_lines(
    threads: usize,
    x: &[u8],
    [outer, extent, inner]: [usize; 3],
    results: usize,
    out: &mut [u8],
    f: impl Fn(&[u8], &mut [u8]) + Sync,
) -> Result<(), KernelError> {
    if x.len() != outer * extent * inner || out.len() != outer * results * inner || extent == 0 || results == 0 {
        let what = format!("{} and {} bytes are no {outer} x {extent} x {inner} and {results}", x.len(), out.len());
        return Err(KernelError::Geometry(what));
    }
    parallel::split(threads, x.len(), out, results * inner, |first, out| {
        let (mut line, mut made) = (vec![0; extent], vec![0; results]);
        for (i, out) in out.chunks_exact_mut((results * inner).max(1)).enumerate() {
            let block = &x[(first + i) * extent * inner..][..extent * inner];
            for column in 0..inner {
                line.iter_mut().enumerate().for_each(|(j, l)| *l = block[j * inner + column]);
                f(&line, &mut made);
                made.iter().enumerate().for_each(|(j, &m)| out[j * inner + column] = m);
            }
        }
    });
    Ok(())
}
