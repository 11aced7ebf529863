//! Events as people see them: a live table on a terminal, plain lines elsewhere, JSON lines in a file.

mod live;

use crate::args::Global;
use live::Live;
use ptq_engine::{Event, EventSink};
use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a build that is not watched on a terminal says how far it is.
const STILL_HERE: Duration = Duration::from_secs(10);
/// Variants up to which a terminal shows every action that ran on a line of its own.
const FEW: usize = 12;

/// Shows events and writes them down.
pub(crate) struct Reporter {
    verbose: bool,
    quiet: bool,
    state: Mutex<State>,
}

struct State {
    live: Option<Live>,
    file: Option<BufWriter<File>>,
    /// Variants that are being built.
    variants: usize,
    /// Actions of this build that ran, and those that were to run.
    ran: usize,
    known: usize,
    /// When something was last said.
    spoke: Instant,
}

impl Reporter {
    /// A reporter; `events` is truncated at the start.
    pub(crate) fn new(global: &Global, events: Option<&Path>) -> std::io::Result<Reporter> {
        let file = events.map(File::create).transpose()?.map(BufWriter::new);
        let live = (std::io::stderr().is_terminal() && !global.quiet).then(Live::new);
        let state = State { live, file, variants: 0, ran: 0, known: 0, spoke: Instant::now() };
        Ok(Reporter { verbose: global.verbose, quiet: global.quiet, state: Mutex::new(state) })
    }

    fn show(&self, state: &mut State, event: &Event) {
        match event {
            Event::Wave { variants, actions } => {
                state.variants = *variants;
                state.known += actions.values().sum::<usize>();
                state.with_live(|live| live.wave(*variants, actions));
            }
            Event::Started { variant, stage } => state.with_live(|live| live.started(variant, stage)),
            Event::Progress { variant, stage, done, total } => {
                state.with_live(|live| live.progress(variant, stage, *done, *total));
            }
            Event::Ran { variant, stage, seconds, why, remote, .. } => {
                state.ran += 1;
                state.with_live(|live| live.ran(variant, stage, *seconds));
                let place = remote.as_ref().map(|r| format!(" {}", r.place())).unwrap_or_default();
                let why = if self.verbose && !why.is_empty() { format!(": {}", why.join("; ")) } else { String::new() };
                let all = self.verbose || state.live.is_none() || state.variants <= FEW;
                if !self.quiet && all {
                    state.line(&format!("  ran  {variant} {stage} in {seconds:.2} s{place}{why}"));
                }
            }
            Event::Hit { variant, stage, tier } => {
                state.with_live(|live| live.hit(stage));
                if self.verbose {
                    state.line(&format!("  hit  {variant} {stage} ({tier})"));
                }
            }
            Event::Failed { variant, stage, .. } => {
                state.with_live(|live| live.failed(variant, stage));
                state.line(&format!("  FAIL {variant} {stage}"));
            }
            Event::Warning { variant, stage, message } => {
                if !self.quiet {
                    state.line(&format!("  {variant} {stage}: {message}"));
                }
            }
            Event::Finished { variant } => state.with_live(|live| live.finished(variant)),
        }
        if !self.quiet && state.known > 0 && state.live.is_none() && state.spoke.elapsed() >= STILL_HERE {
            let (ran, known, variants) = (state.ran, state.known, state.variants);
            state.line(&format!("  {ran} of {known} known actions ran, for {variants} variants"));
        }
    }

    /// Takes the live table away: what is printed next stays.
    pub(crate) fn settle(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.with_live(Live::clear);
        (state.ran, state.known) = (0, 0);
    }
}

impl State {
    fn with_live(&mut self, f: impl FnOnce(&mut Live)) {
        if let Some(live) = &mut self.live {
            f(live);
        }
    }

    fn line(&mut self, text: &str) {
        self.spoke = Instant::now();
        match &self.live {
            Some(live) => live.line(text),
            None => eprintln!("{text}"),
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
