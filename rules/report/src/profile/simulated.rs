//! What the accelerator would take for the segments of a model: the timed simulator on the figures of its march.

use ptq_march::March;
use ptq_runtime::Model;
use ptq_sim::artifact::Body;
use ptq_sim::timing::Timing;

/// Simulated time of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated {
    /// Position of the segment in the model.
    pub segment: usize,
    /// Cycles of the accelerator.
    pub cycles: u64,
    /// The same in milliseconds.
    pub ms: f64,
    /// Layers in order, and the cycles of the total that pass until each is finished.
    pub layers: Vec<(String, u64)>,
}

/// Simulated times of all programs; none for a model without programs.
///
/// # Errors
/// Says why the figures of the model's march are not at hand.
pub fn simulated(model: &Model) -> Result<Vec<Simulated>, String> {
    let artifact = model.artifact();
    let programs = artifact.segments.iter().enumerate().filter_map(|(at, segment)| match &segment.body {
        Body::Npu(npu) => Some((at, segment, npu)),
        Body::Float(_) | Body::Int(_) => None,
    });
    let programs: Vec<_> = programs.collect();
    if programs.is_empty() {
        return Ok(Vec::new());
    }
    let text = ptq_march::source(&artifact.march).ok_or_else(|| format!("march {} is not built in", artifact.march))?;
    if blake3::hash(text.as_bytes()).as_bytes() != &artifact.march_hash {
        return Err(format!("the model was compiled for another version of march {}", artifact.march));
    }
    let march =
        March::from_toml(&text).map_err(|p| p.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let hardware = march.hardware.ok_or_else(|| format!("march {} states no hardware", artifact.march))?;
    let one = |(at, segment, npu)| {
        let timing = Timing::of_segment(artifact, segment, npu, &hardware);
        let shares = timing.layers.iter().map(|l| l.share);
        Simulated {
            segment: at,
            cycles: timing.cycles,
            ms: timing.latency_us(&hardware) / 1e3,
            layers: npu.program.layers.iter().cloned().zip(shares).collect(),
        }
    };
    Ok(programs.into_iter().map(one).collect())
}
