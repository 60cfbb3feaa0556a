//! What is seen while a run goes on: a bar on a terminal, a line a second in a pipe. All of it on standard error.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::awaited::Awaited;

/// Between two lines in a pipe.
const EVERY: Duration = Duration::from_secs(1);

/// Shows how far a run is.
pub struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
    said: Option<Instant>,
}

impl Progress {
    /// Begins to show a run of `total` inputs.
    pub fn new(total: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed}\n{msg}")
                .expect("the template is well formed");
            ProgressBar::new(total as u64).with_style(style)
        });
        Self { bar, began: Instant::now(), said: None }
    }

    /// Shows where it stands.
    pub fn show(&mut self, awaited: &Awaited) {
        let text = describe(awaited);
        match &self.bar {
            Some(bar) => {
                bar.set_position(awaited.done() as u64);
                bar.set_message(text);
            }
            None if self.said.is_none_or(|said| said.elapsed() >= EVERY) => {
                self.said = Some(Instant::now());
                let seconds = self.began.elapsed().as_secs();
                crate::say!("{seconds:>4} s  {}/{}  {text}", awaited.done(), awaited.total());
            }
            None => {}
        }
    }

    /// Shows the end.
    pub fn finish(mut self, awaited: &Awaited) {
        self.said = None;
        self.show(awaited);
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}

fn describe(awaited: &Awaited) -> String {
    let outcomes = awaited.outcomes().iter().map(|(name, count)| format!("{name} {count}"));
    let dead = format!("dead letters {}", awaited.dead_letters());
    outcomes.chain([dead]).collect::<Vec<_>>().join(", ")
}
