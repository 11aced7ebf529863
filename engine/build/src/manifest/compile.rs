//! A variant's `compile.*` settings.

use super::Variant;
use super::settings::number;
use ptq_compile::CompileMode;
use ptq_ir::Diagnostic;

/// Bounds of `compile.max_time_per_fc` other than 0, in microseconds: the vendor's.
const CALL_US: std::ops::RangeInclusive<i64> = 1000..=4_294_967_295;
/// Most cores of any target.
const MAX_CORES: i64 = 8;

/// What compile reads of a variant, beside its level.
#[derive(Clone, Debug, PartialEq)]
pub struct CompileConfig {
    /// What plans are judged by.
    pub mode: CompileMode,
    /// Cores that one run may use.
    pub core_num: u8,
    /// Longest function call in microseconds; 0 for any.
    pub max_time_per_fc: u32,
    /// Whether the file keeps details of layers.
    pub debug: bool,
    /// Layers that take this many microseconds longer than their bound are told; `None` for none.
    pub advice: Option<f64>,
    /// Most threads of one compile; `None` for as many as the build has. Never changes a result.
    pub jobs: Option<usize>,
    /// A compiled model whose plan is followed without a search, relative to the manifest.
    pub replay_plan: Option<String>,
}

/// Reads the settings; problems name what contradicts what.
pub(super) fn compile(variant: &Variant, problems: &mut Vec<Diagnostic>) -> CompileConfig {
    let value = |key: &str| variant.settings.of("compile", key);
    let integer = |key: &str| value(key).and_then(|s| s.value.as_integer());
    let mut wrong = |key: &str, what: String, hint: &str| {
        let mut d = Diagnostic::error("MANIFEST11", format!("variant {}: {what}", variant.name)).hint(hint);
        d.place.line = value(key).and_then(|s| s.line);
        problems.push(d);
    };
    let factor = integer("balance_factor");
    let mode = value("mode").and_then(|s| s.value.as_str());
    let hint = "set mode balance and a factor of 1 to 100";
    match (mode, factor) {
        (Some("balance"), Some(f)) if f > 100 => {
            wrong("balance_factor", format!("compile.balance_factor {f} is above 100"), hint);
        }
        (Some("balance"), _) | (_, None) => {}
        (_, Some(_)) => {
            wrong("balance_factor", "compile.balance_factor goes with compile.mode = \"balance\"".to_owned(), hint);
        }
    }
    let cores = integer("core_num").unwrap_or(1);
    if !(1..=MAX_CORES).contains(&cores) {
        let what = format!("compile.core_num {cores} is outside 1..{MAX_CORES}");
        wrong("core_num", what, "no target has more cores; its march file says how many");
    }
    let call = integer("max_time_per_fc").unwrap_or(0);
    if call != 0 && !CALL_US.contains(&call) {
        let what = format!("compile.max_time_per_fc {call} is neither 0 nor in 1000..4294967295");
        wrong("max_time_per_fc", what, "0 turns it off; other values are microseconds");
    }
    let advice = value("advice").and_then(|s| number(&s.value));
    if advice.is_some_and(|a| a < 0.0) {
        wrong("advice", "compile.advice is negative".to_owned(), "give microseconds");
    }
    CompileConfig {
        mode: match mode {
            Some("bandwidth") => CompileMode::Bandwidth,
            Some("balance") => CompileMode::Balance(factor.and_then(|f| u8::try_from(f).ok()).unwrap_or(50)),
            _ => CompileMode::Latency,
        },
        core_num: u8::try_from(cores).unwrap_or(1),
        max_time_per_fc: u32::try_from(call).unwrap_or(0),
        debug: value("debug").and_then(|s| s.value.as_bool()).unwrap_or(true),
        advice,
        jobs: integer("jobs").and_then(|j| usize::try_from(j).ok()),
        replay_plan: value("replay_plan").and_then(|s| s.value.as_str()).map(str::to_owned),
    }
}
