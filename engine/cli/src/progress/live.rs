//! The live table of a build on a terminal: how far it is, a line a stage, and the actions that run. At most 13 lines,
//! whatever the sweep's size.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Lines of running actions.
const ACTIONS: usize = 4;
/// Lines of stages; the rest is summed up.
const STAGES: usize = 8;
/// How often lines are drawn.
const TICK: Duration = Duration::from_millis(150);
/// Stages in the order in which data flows; others come behind.
const ORDER: [&str; 11] = [
    "parse",
    "fuse",
    "inspect",
    "observe",
    "merge",
    "reference",
    "score",
    "calibrate",
    "partition",
    "compile",
    "measure",
];

/// What is known of a stage in this build.
#[derive(Default)]
struct Stage {
    ran: usize,
    hit: usize,
    failed: usize,
    /// Actions of the running wave that have not ended.
    ahead: usize,
    running: usize,
    seconds: f64,
}

/// The table.
pub(super) struct Live {
    multi: MultiProgress,
    head: Option<ProgressBar>,
    rows: BTreeMap<usize, (String, ProgressBar)>,
    /// Bars of running actions that have one.
    bars: BTreeMap<(String, String), ProgressBar>,
    stages: BTreeMap<String, Stage>,
    variants: usize,
    finished: usize,
    start: Instant,
}

fn plain(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl Live {
    pub(super) fn new() -> Live {
        Live {
            multi: MultiProgress::new(),
            head: None,
            rows: BTreeMap::new(),
            bars: BTreeMap::new(),
            stages: BTreeMap::new(),
            variants: 0,
            finished: 0,
            start: Instant::now(),
        }
    }

    /// Prints a line above the table.
    pub(super) fn line(&self, text: &str) {
        let _ = self.multi.println(text);
    }

    /// A wave of actions begins.
    pub(super) fn wave(&mut self, variants: usize, actions: &BTreeMap<String, usize>) {
        if self.head.is_none() {
            self.start = Instant::now();
            let head = self.multi.insert(0, ProgressBar::new(1).with_style(plain("{spinner} {msg}")));
            head.enable_steady_tick(TICK);
            self.head = Some(head);
        }
        self.variants = variants;
        for (stage, count) in actions {
            self.stages.entry(stage.clone()).or_default().ahead = *count;
        }
        self.draw();
    }

    pub(super) fn started(&mut self, variant: &str, stage: &str) {
        let known = self.stages.entry(stage.to_owned()).or_default();
        known.running += 1;
        if self.bars.len() < ACTIONS {
            self.bar(&(variant.to_owned(), stage.to_owned()));
        }
        self.draw();
    }

    /// Adds the line of a running action.
    fn bar(&mut self, key: &(String, String)) {
        let template = "  {spinner} {msg:40!} {bar:24} {pos}/{len} {elapsed} eta {eta}";
        let bar = self.multi.add(ProgressBar::new(1).with_style(plain(template)));
        bar.set_message(format!("{} {}", key.0, key.1));
        bar.enable_steady_tick(TICK);
        self.bars.insert(key.clone(), bar);
    }

    fn take_bar(&mut self, key: &(String, String)) {
        if let Some(bar) = self.bars.remove(key) {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
    }

    pub(super) fn progress(&mut self, variant: &str, stage: &str, done: usize, total: usize) {
        let key = (variant.to_owned(), stage.to_owned());
        // Transfers have no start and no end of their own.
        let is_transfer = variant == "cache";
        if is_transfer && done < total && !self.bars.contains_key(&key) && self.bars.len() < ACTIONS {
            self.bar(&key);
        }
        if let Some(bar) = self.bars.get(&key) {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        }
        if is_transfer && done >= total {
            self.take_bar(&key);
        }
    }

    pub(super) fn ran(&mut self, variant: &str, stage: &str, seconds: f64) {
        let known = self.end(variant, stage);
        known.ran += 1;
        known.seconds += seconds;
        self.draw();
    }

    pub(super) fn failed(&mut self, variant: &str, stage: &str) {
        self.end(variant, stage).failed += 1;
        self.draw();
    }

    fn end(&mut self, variant: &str, stage: &str) -> &mut Stage {
        self.take_bar(&(variant.to_owned(), stage.to_owned()));
        let known = self.stages.entry(stage.to_owned()).or_default();
        known.running = known.running.saturating_sub(1);
        known.ahead = known.ahead.saturating_sub(1);
        known
    }

    pub(super) fn hit(&mut self, stage: &str) {
        let known = self.stages.entry(stage.to_owned()).or_default();
        known.hit += 1;
        known.ahead = known.ahead.saturating_sub(1);
    }

    /// A variant's files are written.
    pub(super) fn finished(&mut self, _variant: &str) {
        self.finished += 1;
        self.draw();
    }

    /// Takes all lines away.
    pub(super) fn clear(&mut self) {
        let rows = std::mem::take(&mut self.rows).into_values().map(|(_, bar)| bar);
        let bars = std::mem::take(&mut self.bars).into_values();
        for bar in rows.chain(bars).chain(self.head.take()) {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
        self.stages.clear();
        self.finished = 0;
    }

    fn draw(&mut self) {
        let Some(head) = &self.head else { return };
        let sum = |f: fn(&Stage) -> usize| self.stages.values().map(f).sum::<usize>();
        let (ran, hit, failed, ahead) = (sum(|s| s.ran), sum(|s| s.hit), sum(|s| s.failed), sum(|s| s.ahead));
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        head.set_message(format!(
            "{} of {} variants, {ran} actions ran, {hit} hits{failed}, {ahead} ahead{}",
            self.finished,
            self.variants,
            self.rest(ran, ahead)
        ));
        let mut names: Vec<&String> = self.stages.keys().collect();
        names.sort_by_key(|n| ORDER.iter().position(|o| o == n).unwrap_or(ORDER.len()));
        let rows: Vec<(String, String)> =
            names.into_iter().take(STAGES).map(|n| (n.clone(), row(n, &self.stages[n]))).collect();
        for (i, (name, text)) in rows.into_iter().enumerate() {
            match self.rows.get(&i) {
                Some((_, bar)) => bar.set_message(text),
                None => {
                    let bar = self.multi.insert(i + 1, ProgressBar::new(1).with_style(plain("  {msg}")));
                    bar.set_message(text);
                    self.rows.insert(i, (name, bar));
                }
            }
        }
    }

    /// What is left of the running wave, if it goes on as it went.
    fn rest(&self, ran: usize, ahead: usize) -> String {
        let spent = self.start.elapsed().as_secs_f64();
        if ran == 0 || ahead == 0 || spent < 1.0 {
            return String::new();
        }
        let left = spent / ran as f64 * ahead as f64;
        format!(", eta {}", if left < 90.0 { format!("{left:.0} s") } else { format!("{:.0} min", left / 60.0) })
    }
}

fn row(name: &str, s: &Stage) -> String {
    let mut parts = vec![format!("{name:<10} {:>6} ran {:>6} hits", s.ran, s.hit)];
    if s.running > 0 {
        parts.push(format!("{:>3} running", s.running));
    }
    if s.ahead > s.running {
        parts.push(format!("{:>6} waiting", s.ahead - s.running));
    }
    if s.failed > 0 {
        parts.push(format!("{} failed", s.failed));
    }
    if s.ran > 0 {
        parts.push(format!("{:.2} s each", s.seconds / s.ran as f64));
    }
    parts.join("  ")
}
