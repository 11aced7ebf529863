//! How a model input is described in the manifest.

use crate::{DType, Source, SpaceAndRange};
use serde::{Deserialize, Serialize};

/// What an input holds. Names are those of Horizon's `input_type_train` and `input_type_rt`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputType {
    /// Red, green, blue, 0..255.
    Rgb,
    /// Blue, green, red, 0..255.
    Bgr,
    /// Luma and two chroma planes of full size, 0..255.
    Yuv444,
    /// Luma, 0..255.
    Gray,
    /// Luma plane, then interleaved chroma of a quarter size (run time only).
    Nv12,
    /// Numbers of any kind, taken as they are.
    #[default]
    Featuremap,
    /// The first and last bytes of any file, as a classifier of file types reads them.
    Bytes,
}

impl InputType {
    /// Whether the input is an image with values 0..255.
    pub fn is_image(self) -> bool {
        !matches!(self, InputType::Featuremap | InputType::Bytes)
    }

    /// Channels of the type in the model; `None` where it is no image.
    pub fn channels(self) -> Option<usize> {
        match self {
            InputType::Featuremap | InputType::Bytes => None,
            InputType::Gray => Some(1),
            _ => Some(3),
        }
    }
}

/// Axis order of an image input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Layout {
    /// Batch, channels, height, width.
    #[default]
    #[serde(rename = "NCHW")]
    Nchw,
    /// Batch, height, width, channels.
    #[serde(rename = "NHWC")]
    Nhwc,
}

/// How a picture of another size is brought to the size of an image input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Scaled until it just covers the input, then cropped around its centre.
    #[default]
    Cover,
    /// Scaled until it just fits inside the input, laid at the left top; the rest is filled.
    Pad,
    /// Each side scaled on its own.
    Stretch,
}

impl Fit {
    fn is_cover(&self) -> bool {
        *self == Fit::Cover
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u8) -> bool {
    *value == 0
}

fn is_regular(value: &SpaceAndRange) -> bool {
    *value == SpaceAndRange::Regular
}

/// Description of one model input. Empty `mean` and `scale` mean that nothing is normalized.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputSpec {
    /// Shape that fixes dynamic dimensions; `None` takes the model's.
    pub shape: Option<Vec<i64>>,
    /// What the model was trained on, and what calibration data holds.
    pub type_train: InputType,
    /// Axis order of the model and of calibration data.
    pub layout_train: Layout,
    /// How pictures of another size are brought to the input's.
    #[serde(skip_serializing_if = "Fit::is_cover")]
    pub fit: Fit,
    /// Gray level of what [`Fit::Pad`] fills, 0..255.
    #[serde(skip_serializing_if = "is_zero")]
    pub pad: u8,
    /// What arrives at run time. `None`: float32 numbers, pixels as the model was trained on.
    pub type_rt: Option<InputType>,
    /// Axis order of the bytes at run time; `None` takes the quantized model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout_rt: Option<Layout>,
    /// Where the accelerator takes the input from; `None` takes the type's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Range of luma and chroma at run time.
    #[serde(skip_serializing_if = "is_regular")]
    pub space_and_range: SpaceAndRange,
    /// Type of the elements of calibration files; `None` takes what they hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_type: Option<DType>,
    /// Items that a build lays over an input whose first dimension is 1; calibration samples hold one of them. `None`: the
    /// model's own first dimension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Whether each item of a batch arrives at run time as an input of its own.
    #[serde(skip_serializing_if = "is_false")]
    pub separate_batch: bool,
    /// Subtracted: one number, or one for each channel.
    pub mean: Vec<f32>,
    /// Multiplied after the subtraction: one number, or one for each channel.
    pub scale: Vec<f32>,
}

impl InputSpec {
    /// Description and shape of what one sample file holds, for an input of this shape: one item of a batch that the build
    /// lays over the model, otherwise the whole input.
    pub fn sample(&self, shape: &[usize]) -> (InputSpec, Vec<usize>) {
        match (self.batch, shape.split_first()) {
            (Some(_), Some((_, rest))) => self.item(rest),
            _ => (self.clone(), shape.to_vec()),
        }
    }

    /// Description and shape of one item at run time, where each arrives as an input of its own.
    pub fn separate_item(&self, shape: &[usize]) -> Option<(InputSpec, Vec<usize>)> {
        shape.split_first().filter(|_| self.separate_batch).map(|(_, rest)| self.item(rest))
    }

    fn item(&self, rest: &[usize]) -> (InputSpec, Vec<usize>) {
        (InputSpec { batch: None, separate_batch: false, ..self.clone() }, [&[1], rest].concat())
    }

    /// Name at run time of item `i` of a batch whose items arrive as inputs of their own.
    pub fn item_name(name: &str, i: usize) -> String {
        format!("{name}_{i}")
    }

    /// Whether a preprocessing step `(x - mean) * scale` is asked for.
    pub fn normalizes(&self) -> bool {
        !self.mean.is_empty() || !self.scale.is_empty()
    }
}
