//! `ptq log`.

use super::project;
use crate::args::{Global, Log};
use crate::failure::Failure;
use crate::terminal::table;

pub(crate) fn run(global: &Global, args: &Log) -> Result<u8, Failure> {
    let project = project(global)?;
    let names = project.select(std::slice::from_ref(&args.variant))?;
    if let (true, [name]) = (args.json, &names[..]) {
        println!("{}", serde_json::json!({ "builds": project.log(name) }));
    } else if args.json {
        let all: serde_json::Map<_, _> =
            names.iter().map(|n| (n.clone(), serde_json::json!({ "builds": project.log(n) }))).collect();
        println!("{}", serde_json::json!({ "variants": all }));
    } else {
        for name in &names {
            if names.len() > 1 {
                println!("{name}");
            }
            one(global, name, &project.log(name));
        }
    }
    Ok(0)
}

fn one(global: &Global, name: &str, log: &[ptq_engine::LogEntry]) {
    if log.is_empty() {
        println!("{name} has not been built yet");
        return;
    }
    let mut rows = vec![["build", "UTC", "cosine", "model.bin", "changed"].map(str::to_owned).to_vec()];
    for entry in log {
        let stages: Vec<String> = entry.stages.iter().map(|(name, outcome, _)| format!("{name} ({outcome})")).collect();
        rows.push(vec![
            entry.number.to_string(),
            utc(entry.at),
            entry.min_cosine.map_or_else(|| "-".into(), |c| format!("{c:.6}")),
            entry.bin_bytes.map_or_else(|| "-".into(), |b| format!("{:.1} KiB", b as f64 / 1024.0)),
            stages.join(" "),
        ]);
    }
    print!("{}", table(&rows));
    if global.verbose {
        for entry in log {
            for (stage, _, why) in entry.stages.iter().filter(|(_, _, why)| !why.is_empty()) {
                println!("{} {stage}: {}", entry.number, why.join("; "));
            }
        }
    }
}

/// `2026-01-31 23:59:59` of seconds since 1970 (the civil calendar of 400-year eras).
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let date = day - (153 * shifted + 2) / 5 + 1;
    format!("{year}-{month:02}-{date:02} {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn seconds_become_dates() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(utc(1_735_689_600), "2025-01-01 00:00:00");
    }
}
