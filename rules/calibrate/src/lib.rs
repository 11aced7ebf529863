//! The calibrate stage: which range of real numbers each quantized tensor covers.
//!
//! Build rules. [`InspectRule`] looks at the files of a shard of samples; [`ObserveRule`] runs the float graph on a shard of samples and counts every observed tensor into a
//! mergeable [`Histogram`]; [`MergeRule`] adds up the shards, once for all tables; [`CalibrateRule`] chooses thresholds from that
//! (`methods/`), activation parameters and weight scales. One more sample is one more shard; another method is none.
//! Not here: where nodes run (`ptq-place`), integer constants (`ptq-partition`).

mod analyze;
mod answers;
mod channels;
mod correct;
mod equalize;
mod findings;
mod histogram;
mod improve;
mod inspect;
mod kept;
mod loaded;
mod merge;
pub mod methods;
mod moments;
mod observe;
mod params;
mod rule;
mod samples;
mod score;
mod search;
mod shards;
mod spread;
mod table;
#[cfg(test)]
mod testing;
mod values;
mod weights;

pub use analyze::{
    ANALYSIS, AccumulatedRule, Analysis, AnalyzeParams, AnalyzeRule, Errors, GraphNode, IsolatedRule, NodeAnalysis,
    Parts, Proposal, ValueAnalysis, WeightAnalysis,
};
pub use channels::{ChannelParams, ChannelRule};
pub use correct::{CorrectParams, CorrectRule};
pub use histogram::{BINS_PER_OCTAVE, Counter, Histogram};
pub use inspect::{DATA, FileFacts, InspectParams, InspectRule, Inspected, SampledInput};
pub use loaded::THRESHOLDS;
pub use merge::{MergeParams, MergeRule};
pub use moments::{MomentParams, MomentRule};
pub use observe::{ObserveParams, ObserveRule, load_sample};
pub use params::{Calibration, Method, Pick, ScoreAt, Way, WeightRounding, WeightScale, quant_params};
pub use rule::{CalibrateParams, CalibrateRule};
pub use samples::{Sample, samples};
pub use score::{ReferenceRule, ScoreParams, ScoreRule, SensitivityRule, weights};
pub use search::{SearchReport, Sensitive, Tried};
pub use spread::spread;
