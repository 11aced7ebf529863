//! Events as people see them: bars on a terminal, plain lines elsewhere, JSON lines in a file.

use crate::args::Global;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use ptq_engine::{Event, EventSink};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Shows events and writes them down.
pub(crate) struct Reporter {
    verbose: bool,
    quiet: bool,
    bars: Option<MultiProgress>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: BTreeMap<(String, String), ProgressBar>,
    file: Option<BufWriter<File>>,
}

impl Reporter {
    /// A reporter; `events` is truncated at the start.
    pub(crate) fn new(global: &Global, events: Option<&Path>) -> std::io::Result<Reporter> {
        let file = events.map(File::create).transpose()?.map(BufWriter::new);
        let bars = (std::io::stderr().is_terminal() && !global.quiet).then(MultiProgress::new);
        let state = Mutex::new(State { file, ..State::default() });
        Ok(Reporter { verbose: global.verbose, quiet: global.quiet, bars, state })
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            None => eprintln!("{text}"),
        }
    }

    fn show(&self, state: &mut State, event: &Event) {
        match event {
            Event::Started { variant, stage } => {
                if let Some(bars) = &self.bars {
                    let style = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos}/{len} {eta}")
                        .unwrap_or_else(|_| ProgressStyle::default_bar());
                    let bar = bars.add(ProgressBar::new(1).with_style(style));
                    bar.set_message(format!("{variant} {stage}"));
                    bar.enable_steady_tick(std::time::Duration::from_millis(120));
                    state.running.insert((variant.clone(), stage.clone()), bar);
                }
            }
            Event::Progress { variant, stage, done, total } => {
                if let Some(bar) = state.running.get(&(variant.clone(), stage.clone())) {
                    bar.set_length(*total as u64);
                    bar.set_position(*done as u64);
                }
            }
            Event::Ran { variant, stage, seconds, why } => {
                self.finish(state, variant, stage);
                if !self.quiet {
                    let why =
                        if self.verbose && !why.is_empty() { format!(": {}", why.join("; ")) } else { String::new() };
                    self.line(&format!("  ran  {variant} {stage} in {seconds:.2} s{why}"));
                }
            }
            Event::Hit { variant, stage, tier } => {
                if self.verbose {
                    self.line(&format!("  hit  {variant} {stage} ({tier})"));
                }
            }
            Event::Failed { variant, stage, .. } => {
                self.finish(state, variant, stage);
                self.line(&format!("  FAIL {variant} {stage}"));
            }
            Event::Warning { variant, stage, message } => {
                if !self.quiet {
                    self.line(&format!("  {variant} {stage}: {message}"));
                }
            }
        }
    }

    fn finish(&self, state: &mut State, variant: &str, stage: &str) {
        if let Some(bar) = state.running.remove(&(variant.to_owned(), stage.to_owned())) {
            bar.finish_and_clear();
        }
    }
}

impl EventSink for Reporter {
    fn event(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_progress = matches!(event, Event::Progress { .. });
        if let (Some(file), false) = (&mut state.file, is_progress)
            && let Ok(json) = serde_json::to_string(&event)
        {
            let _ = writeln!(file, "{json}").and_then(|()| file.flush());
        }
        self.show(&mut state, &event);
    }
}
