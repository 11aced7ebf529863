//! How a model input is described in the manifest.

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
}

impl InputType {
    /// Whether the input is an image with values 0..255.
    pub fn is_image(self) -> bool {
        self != InputType::Featuremap
    }

    /// Channels of the type in the model; `None` for feature maps.
    pub fn channels(self) -> Option<usize> {
        match self {
            InputType::Featuremap => None,
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
    /// What arrives at run time; `None` takes `type_train`.
    pub type_rt: Option<InputType>,
    /// Subtracted: one number, or one for each channel.
    pub mean: Vec<f32>,
    /// Multiplied after the subtraction: one number, or one for each channel.
    pub scale: Vec<f32>,
}

impl InputSpec {
    /// Whether a preprocessing step `(x - mean) * scale` is asked for.
    pub fn normalizes(&self) -> bool {
        !self.mean.is_empty() || !self.scale.is_empty()
    }
}
