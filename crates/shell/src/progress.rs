//! A progress bar on standard error, when a person looks at it.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far a copy has come.
pub struct Progress {
    bar: ProgressBar,
    bytes: Option<Arc<AtomicU64>>,
}

impl Progress {
    /// Shows nothing.
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), bytes: None }
    }

    /// A bar over a source of known size, or a counter. Nothing where standard error is no terminal.
    pub fn on_terminal(what: &str, bytes: Option<(u64, Arc<AtomicU64>)>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::hidden();
        }
        let (bar, template) = match &bytes {
            Some((total, _)) => (ProgressBar::new(*total), "{prefix} [{bar:30}] {percent:>3}% {msg}"),
            None => (ProgressBar::new_spinner(), "{prefix} {spinner} {msg}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what.to_owned());
        Self { bar, bytes: bytes.map(|(_, read)| read) }
    }

    /// So many rows are done.
    pub fn update(&self, rows: u64, rejected: u64) {
        if self.bar.is_hidden() {
            return;
        }
        match &self.bytes {
            Some(read) => self.bar.set_position(read.load(Ordering::Relaxed)),
            None => self.bar.tick(),
        }
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        let rejects = if rejected > 0 { format!(", {rejected} rejected") } else { String::new() };
        self.bar.set_message(format!("{rows} rows, {:.0} rows/s{rejects}", rows as f64 / seconds));
    }

    /// Takes the bar away: a summary follows.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
