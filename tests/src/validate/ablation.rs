//! What each part of the search is worth: O3 with one part left out at a time.

use crate::networks::{NETWORKS, network};
use crate::predict::{predict, stated};
use ptq_compile::{OptimizeLevel, Search, Without};
use std::fmt::Write;

/// The table.
///
/// # Errors
/// When a network does not compile.
pub(crate) fn run() -> Result<String, String> {
    let march = stated()?;
    let all = Without::default();
    let parts: [(&str, Without); 9] = [
        ("nothing", all),
        ("groups of layers", Without { groups: true, ..all }),
        ("stripes", Without { stripes: true, ..all }),
        ("rows that stay for the next stripe", Without { rows: true, ..all }),
        ("weights loaded again for each stripe", Without { streams: true, ..all }),
        ("loads ahead of their use", Without { ahead: true, ..all }),
        ("results that stay between groups", Without { kept: true, ..all }),
        ("small changes of the best plan", Without { local: true, ..all }),
        ("addresses by more than first fit", Without { addresses: true, ..all }),
    ];
    let mut out = format!("| left out | {} |\n| --- |{}\n", NETWORKS.join(" | "), " --- |".repeat(NETWORKS.len()));
    let mut whole = Vec::new();
    for (name, without) in parts {
        let _ = write!(out, "| {name} |");
        for (i, net) in NETWORKS.into_iter().enumerate() {
            let search = Search { level: OptimizeLevel::O3, without, ..Search::default() };
            let p = predict(&network(net, &march.name), &march, &search)?;
            let (cycles, mb) = (p.timing.cycles as f64 / 1e6, p.timing.ddr_bytes() as f64 / 1e6);
            if whole.len() == i {
                whole.push(cycles);
            }
            let _ = write!(out, " {cycles:.3} ({:+.1}%), {mb:.1} MB |", 100.0 * (cycles / whole[i] - 1.0));
        }
        out.push('\n');
    }
    Ok(out)
}
