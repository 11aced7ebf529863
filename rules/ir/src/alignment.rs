//! Alignment of inputs and outputs in the accelerator's memory, as the vendor's forum states it for J5 and X5
//! (forum-en.d-robotics.cc, topic 336). Read by samples and `ptq info`.

use crate::{InputType, Layout};

/// Bytes of one row of an nv12 frame: the width up to a multiple of 16.
pub fn nv12_stride(width: usize) -> usize {
    width.next_multiple_of(16)
}

/// The next number of the form `256·k + {0, 16, 32, 64, 128}`.
fn stepped(bytes: usize) -> usize {
    let (whole, rest) = (bytes / 256 * 256, bytes % 256);
    [0, 16, 32, 64, 128, 256].into_iter().find(|&s| s >= rest).map_or(bytes, |s| whole + s)
}

/// Shape with padding of a rank-4 tensor of elements of `element` bytes: NHWC of up to four channels has an even height
/// and a width of a multiple of 32; more channels, and all outputs, pad the bytes of a pixel to `256·k + {0, 16, 32, 64, 128}`; NCHW
/// pads the bytes of a row so. Other ranks are not padded.
pub fn aligned_shape(shape: &[usize], layout: Layout, element: usize, output: bool) -> Vec<usize> {
    let element = element.max(1);
    let padded = |n: usize| stepped(n * element).div_ceil(element);
    match (shape, layout) {
        (&[n, h, w, c], Layout::Nhwc) if c <= 4 && !output => {
            vec![n, h.next_multiple_of(2), w.next_multiple_of(32), c]
        }
        (&[n, h, w, c], Layout::Nhwc) => vec![n, h, w, padded(c)],
        (&[n, c, h, w], Layout::Nchw) => vec![n, c, h, padded(w)],
        _ => shape.to_vec(),
    }
}

/// Aligned shape of an image input with this many channels, height and width at run time.
pub fn aligned_image(shape: &[usize], rt: InputType, layout: Layout) -> Vec<usize> {
    match (shape, rt) {
        (&[n, h, w, c], InputType::Nv12 | InputType::Gray) => vec![n, h, nv12_stride(w), c],
        _ => aligned_shape(shape, layout, 1, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_padded_as_published() {
        let nhwc = |s: [usize; 4], out| aligned_shape(&s, Layout::Nhwc, 1, out);
        assert_eq!(nhwc([1, 3, 33, 3], false), [1, 4, 64, 3]);
        assert_eq!(nhwc([1, 3, 33, 5], false), [1, 3, 33, 16]);
        let steps = [(1, 16), (17, 32), (33, 64), (65, 128), (129, 256), (256, 256), (257, 272), (400, 512)];
        for (bytes, aligned) in steps {
            assert_eq!(nhwc([1, 1, 1, bytes], true), [1, 1, 1, aligned]);
            assert_eq!(aligned_shape(&[1, 1, 1, bytes], Layout::Nchw, 1, false), [1, 1, 1, aligned]);
        }
        assert_eq!(aligned_shape(&[1, 2, 2, 21], Layout::Nhwc, 4, true), [1, 2, 2, 32]);
        assert_eq!(aligned_shape(&[1, 1000], Layout::Nchw, 4, true), [1, 1000]);
        assert_eq!((nv12_stride(224), nv12_stride(250)), (224, 256));
        assert_eq!(aligned_image(&[1, 10, 250, 3], InputType::Nv12, Layout::Nhwc), [1, 10, 256, 3]);
    }
}
