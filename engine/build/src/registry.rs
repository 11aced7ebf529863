//! Every build rule, in the order in which data flows.

use ptq_rule::BuildRule;

/// A list of rules; tests bring their own.
pub type Registry = &'static [&'static dyn BuildRule];

/// The rules of this program.
pub fn rules() -> Registry {
    &[
        &ptq_parse::ParseRule,
        &ptq_fuse::FuseRule,
        &ptq_calibrate::ObserveRule,
        &ptq_calibrate::MergeRule,
        &ptq_calibrate::ChannelRule,
        &ptq_calibrate::ReferenceRule,
        &ptq_calibrate::ScoreRule,
        &ptq_calibrate::SensitivityRule,
        &ptq_calibrate::IsolatedRule,
        &ptq_calibrate::AccumulatedRule,
        &ptq_calibrate::AnalyzeRule,
        &ptq_calibrate::MomentRule,
        &ptq_calibrate::CorrectRule,
        &ptq_calibrate::InspectRule,
        &ptq_calibrate::CalibrateRule,
        &ptq_partition::PartitionRule,
        &ptq_compile::CompileRule,
        &ptq_report::MeasureRule,
        &ptq_report::PredictRule,
        &ptq_report::EvaluateRule,
    ]
}
