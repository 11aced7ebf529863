//! What image inputs are at run time: legal types, sources, layouts and sizes. Read by the manifest (errors), parse (the
//! preprocess node), samples and runtime (bytes), exports (layouts) and `docs/inputs.md`.

use crate::{InputSpec, InputType, Layout};
use serde::{Deserialize, Serialize};

/// Where the accelerator takes an input from. Names are those of Horizon's `input_source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A level of the camera's image pyramid.
    Pyramid,
    /// Memory that the program fills.
    Ddr,
    /// A region of a pyramid level, scaled by the hardware.
    Resizer,
}

/// The member of a list that a word of the manifest names.
fn named<T: Copy>(all: &[T], word: &str, name: fn(T) -> &'static str) -> Option<T> {
    all.iter().copied().find(|&item| name(item) == word)
}

impl Source {
    /// All sources.
    pub const ALL: [Source; 3] = [Source::Pyramid, Source::Ddr, Source::Resizer];

    /// The source that a word names.
    pub fn of_word(word: &str) -> Option<Source> {
        named(&Source::ALL, word, Source::word)
    }

    /// The manifest's word.
    pub fn word(self) -> &'static str {
        match self {
            Source::Pyramid => "pyramid",
            Source::Ddr => "ddr",
            Source::Resizer => "resizer",
        }
    }
}

/// Range of luma and chroma bytes. Names are those of Horizon's `input_space_and_range`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpaceAndRange {
    /// All bytes are used: 0..255 (JFIF 1.02).
    #[default]
    Regular,
    /// Luma 16..235, chroma 16..240 (ITU-R BT.601-7, studio range).
    #[serde(rename = "bt601_video")]
    Bt601Video,
}

/// Pixels from which on a resizer no longer takes an image.
pub const RESIZER_PIXELS: usize = 18_432;

/// Types that a model trained on this type may receive.
pub fn legal_types_rt(train: InputType) -> &'static [InputType] {
    use InputType::{Bgr, Bytes, Featuremap, Gray, Nv12, Rgb, Yuv444};
    match train {
        Yuv444 => &[Nv12, Yuv444],
        Rgb | Bgr => &[Nv12, Yuv444, Rgb, Bgr],
        Gray => &[Gray],
        Featuremap => &[Featuremap],
        Bytes => &[Bytes],
        Nv12 => &[],
    }
}

/// Sources of a type at run time, the default first.
pub fn legal_sources(rt: InputType) -> &'static [Source] {
    match rt {
        InputType::Nv12 => &[Source::Pyramid, Source::Resizer],
        InputType::Gray => &[Source::Pyramid, Source::Ddr, Source::Resizer],
        _ => &[Source::Ddr],
    }
}

impl InputType {
    /// All types.
    pub const ALL: [InputType; 7] = [
        InputType::Rgb,
        InputType::Bgr,
        InputType::Yuv444,
        InputType::Gray,
        InputType::Nv12,
        InputType::Featuremap,
        InputType::Bytes,
    ];

    /// The type that a word names.
    pub fn of_word(word: &str) -> Option<InputType> {
        named(&InputType::ALL, word, InputType::word)
    }

    /// The manifest's word.
    pub fn word(self) -> &'static str {
        match self {
            InputType::Rgb => "rgb",
            InputType::Bgr => "bgr",
            InputType::Yuv444 => "yuv444",
            InputType::Gray => "gray",
            InputType::Nv12 => "nv12",
            InputType::Featuremap => "featuremap",
            InputType::Bytes => "bytes",
        }
    }
}

impl Layout {
    /// The layout that a word names.
    pub fn of_word(word: &str) -> Option<Layout> {
        named(&[Layout::Nchw, Layout::Nhwc], word, Layout::word)
    }

    /// The manifest's word.
    pub fn word(self) -> &'static str {
        match self {
            Layout::Nchw => "NCHW",
            Layout::Nhwc => "NHWC",
        }
    }

    /// Batch, channels, height and width of a rank-4 shape in this layout.
    pub fn nchw(self, shape: &[usize]) -> Option<[usize; 4]> {
        match (shape, self) {
            (&[n, c, h, w], Layout::Nchw) | (&[n, h, w, c], Layout::Nhwc) => Some([n, c, h, w]),
            _ => None,
        }
    }

    /// A shape of batch, channels, height and width in this layout.
    pub fn shape(self, [n, c, h, w]: [usize; 4]) -> Vec<usize> {
        match self {
            Layout::Nchw => vec![n, c, h, w],
            Layout::Nhwc => vec![n, h, w, c],
        }
    }
}

impl InputSpec {
    /// The type that every ONNX file of a build takes, minus 128: the colour planes that the accelerator makes of
    /// `type_rt`. `None` where no `type_rt` of an image is declared; the input then takes pixels as they are trained on.
    pub fn middle(&self) -> Option<InputType> {
        match self.type_rt? {
            InputType::Nv12 => Some(InputType::Yuv444),
            rt if rt.is_image() => Some(rt),
            _ => None,
        }
    }

    /// Where the input comes from, given or by type.
    pub fn source(&self) -> Source {
        let rt = self.type_rt.unwrap_or(self.type_train);
        let default = if self.type_rt.is_some() { legal_sources(rt).first().copied() } else { None };
        self.source.or(default).unwrap_or(Source::Ddr)
    }

    /// Layout of the quantized model's input: NHWC from pyramid and resizer, the float model's from memory.
    pub fn layout_quantized(&self) -> Layout {
        match self.source() {
            Source::Ddr => self.layout_train,
            Source::Pyramid | Source::Resizer => Layout::Nhwc,
        }
    }

    /// Layout of the bytes at run time: `layout_rt`, or that of the quantized model.
    pub fn layout_run(&self) -> Layout {
        self.layout_rt.unwrap_or_else(|| self.layout_quantized())
    }

    /// What the ONNX files take, in words: `yuv444_128`, or the trained type.
    pub fn middle_word(&self) -> String {
        self.middle().map_or_else(|| self.type_train.word().to_owned(), |m| format!("{}_128", m.word()))
    }

    /// Bytes of one input at run time without padding; `None` where it is no image of a declared `type_rt`.
    pub fn frame_bytes(&self, shape: &[usize]) -> Option<usize> {
        self.middle()?;
        let [n, c, h, w] = self.layout_train.nchw(shape)?;
        let pixels = n.checked_mul(h)?.checked_mul(w)?;
        match self.type_rt {
            Some(InputType::Nv12) => Some(pixels.checked_mul(3)? / 2),
            _ => pixels.checked_mul(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InputType::{Bgr, Featuremap, Gray, Nv12, Rgb, Yuv444};

    fn spec(type_train: InputType, type_rt: InputType) -> InputSpec {
        InputSpec { type_train, type_rt: Some(type_rt), ..InputSpec::default() }
    }

    #[test]
    fn pairs_middle_types_and_layouts_are_those_of_the_published_tables() {
        let all = [Nv12, Yuv444, Rgb, Bgr, Gray, Featuremap];
        let row = |train| all.map(|rt| legal_types_rt(train).contains(&rt));
        let (yes, no) = (true, false);
        assert_eq!(row(Yuv444), [yes, yes, no, no, no, no]);
        assert_eq!(row(Rgb), [yes, yes, yes, yes, no, no]);
        assert_eq!(row(Bgr), [yes, yes, yes, yes, no, no]);
        assert_eq!(row(Gray), [no, no, no, no, yes, no]);
        assert_eq!(row(Featuremap), [no, no, no, no, no, yes]);
        let middle = |rt| spec(Rgb, rt).middle_word();
        assert_eq!([Nv12, Yuv444, Rgb, Bgr].map(middle), ["yuv444_128", "yuv444_128", "rgb_128", "bgr_128"]);
        assert_eq!(spec(Gray, Gray).middle_word(), "gray_128");
        assert_eq!(spec(Featuremap, Featuremap).middle(), None);
        assert_eq!(spec(Rgb, Nv12).layout_quantized(), Layout::Nhwc);
        assert_eq!([Yuv444, Rgb, Bgr].map(|rt| spec(Rgb, rt).layout_quantized()), [Layout::Nchw; 3]);
        assert_eq!(InputSpec { type_train: Rgb, ..InputSpec::default() }.layout_run(), Layout::Nchw);
        assert_eq!(spec(Rgb, Nv12).frame_bytes(&[2, 3, 4, 6]), Some(72));
        assert_eq!(spec(Rgb, Bgr).frame_bytes(&[2, 3, 4, 6]), Some(144));
    }
}
