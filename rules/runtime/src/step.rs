//! What a run tells of itself while it runs, so that the caller's clock can time it. Called by every kind of segment.

/// What has just ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Position of the segment in the model.
    pub segment: usize,
    /// What it was.
    pub kind: StepKind,
    /// Name of the node, or of the last tensor whose layout changed; empty for a program.
    pub name: &'a str,
    /// Operator; empty for programs and where layouts change.
    pub op: &'a str,
    /// Shape of its result in the model's own axis order; empty for a program.
    pub shape: &'a [usize],
}

/// Kinds of work in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// A float node on the CPU.
    Cpu,
    /// A border in front of the BPU.
    Quantize,
    /// A border behind the BPU.
    Dequantize,
    /// Inputs of a segment were brought into its storage order.
    InputLayout,
    /// A result of a segment was brought into the model's own axis order.
    OutputLayout,
    /// A node of an integer segment.
    Layer,
    /// A program on the simulator, from its first command to its last.
    Program,
}

/// Hears of each step as soon as it has ended, in order.
pub type StepSink<'a> = dyn FnMut(Step<'_>) + 'a;
