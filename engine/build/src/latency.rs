//! How long a compiled model takes on its march by the timed simulator, remembered by the file's content. Asked where variants are
//! finished and compared.

use crate::project::Project;
use ptq_cache::{Digest, Store};
use ptq_march::March;
use ptq_sim::artifact::{self, Body};
use ptq_sim::timing::Timing;

/// Version of how it is told; a simulator with other results has other rules' sources, which are part of the note's name too.
const VERSION: u32 = 1;

/// Microseconds of all accelerated segments of a compiled model, one behind the other; `None` for a march without a simulator, and for
/// a file that does not decode.
pub(crate) fn latency_us(
    store: &Store,
    bin: &Digest,
    march: &Digest,
    text: impl Fn() -> Option<String>,
) -> Option<f64> {
    let parts = (VERSION, crate::action::RULES_SOURCES, bin.hex(), march.hex());
    let note = format!("latency/{}", Digest::of(format!("{parts:?}").as_bytes()).hex());
    if let Some(known) = store.note(&note).and_then(|n| serde_json::from_slice(&n).ok()) {
        return known;
    }
    let found = March::from_toml(&text()?).ok().and_then(|march| simulated(&store.get(bin)?, &march));
    if let Ok(bytes) = serde_json::to_vec(&found) {
        store.set_note(&note, bytes);
    }
    found
}

fn simulated(bin: &[u8], march: &March) -> Option<f64> {
    let hardware = march.hardware.as_ref()?;
    let model = artifact::decode(bin).ok()?;
    let times = model.segments.iter().filter_map(|segment| match &segment.body {
        Body::Npu(npu) => Some(Timing::of_segment(&model, segment, npu, hardware).latency_us(hardware)),
        Body::Float(_) | Body::Int(_) => None,
    });
    Some(times.sum())
}

impl Project {
    /// [`latency_us`] of a variant's compiled file.
    pub(crate) fn latency_us(&self, scan: &crate::sources::Scan, march: &str, bin: &Digest) -> Option<f64> {
        let digest = (*scan.files.get(&crate::sources::march_key(march))?)?;
        let text = || {
            let bytes = self.store.get(&digest).or_else(|| scan.read(&digest))?;
            String::from_utf8(bytes.to_vec()).ok()
        };
        latency_us(&self.store, bin, &digest, text)
    }
}
