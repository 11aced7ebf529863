//! The part of a march that results depend on. Nothing that is computed depends on how fast the target is, so stages that only ask
//! what it accelerates, and in which arithmetic, need not run again when a clock or a memory changes.

/// Figures that stand for any hardware.
const HARDWARE: &str = "
clock_mhz = 1000
cores = 1
mac = { ic = 1, oc = 1, px = 1, dw_lanes = 1, channel_multiple = 1 }
vector_lanes = 1
trans_bytes_per_cycle = 1
sram_bytes = 1048576
sram_banks = 1
sram_bank_bytes_per_cycle = 1
align = 64
ddr_bytes_per_cycle = 1.0
ddr_burst_bytes = 64
ddr_latency_cycles = 0
dma_issue_cycles = 0
cmd_issue_cycles = 0
sync_cycles = 0
provenance = \"assumed\"
";

/// A march file without comments, with figures that stand for any hardware in the place of its own; `None` where it is no TOML.
pub fn placing(text: &str) -> Option<String> {
    let mut table: toml::Table = toml::from_str(text).ok()?;
    if let Some(hardware) = table.get_mut("hardware") {
        *hardware = toml::Value::Table(toml::from_str(HARDWARE).ok()?);
    }
    toml::to_string(&table).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{March, names, source};

    #[test]
    fn everything_but_figures_and_comments_stays() {
        for name in names() {
            let text = source(name).unwrap();
            let (whole, part) = (March::from_toml(&text).unwrap(), March::from_toml(&placing(&text).unwrap()).unwrap());
            assert_eq!(March { hardware: None, ..whole.clone() }, March { hardware: None, ..part.clone() }, "{name}");
            assert_eq!(whole.hardware.is_some(), part.hardware.is_some(), "{name}");
        }
        let text = source("bayes").unwrap();
        let faster = text.replace("clock_mhz = 1000", "clock_mhz = 1001 # faster");
        assert_ne!(text, faster);
        assert_eq!(placing(&text), placing(&faster));
        assert_ne!(placing(&text), placing(&text.replace("fuse_any_clip = true", "fuse_any_clip = false")));
    }
}
