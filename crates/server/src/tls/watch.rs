//! Looks every so often whether the files have changed.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::Tls;
use crate::config::TlsConfig;
use crate::limits::TLS_LOOK_INTERVAL;

/// What tells one state of a file from another: its inode, size and time of change; nothing if it is not there.
type Stamp = Option<(u64, u64, i64, i64)>;

/// The files of TLS, with the state in which they were before they were first loaded.
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    loaded: Vec<Stamp>,
}

impl Files {
    pub(super) fn of(config: &TlsConfig) -> Self {
        let mut paths = Vec::new();
        if let Some(clients) = &config.clients {
            paths.extend([&clients.identity.certificate, &clients.identity.key]);
            paths.extend(&clients.ca);
        }
        if let Some(internode) = &config.internode {
            paths.extend([&internode.identity.certificate, &internode.identity.key, &internode.ca]);
        }
        let paths: Vec<PathBuf> = paths.into_iter().cloned().collect();
        let loaded = stamps(&paths);
        Self { paths, loaded }
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    };
    paths.iter().map(stamp).collect()
}

/// Decides when to load: once for each state of the files, and only when it has lasted from one look to the next, so that
/// a certificate and its key may be written one after the other.
#[derive(Debug)]
struct Changes<S> {
    loaded: S,
    seen: S,
}

impl<S: PartialEq + Clone> Changes<S> {
    fn new(loaded: S) -> Self {
        Self { seen: loaded.clone(), loaded }
    }

    fn look(&mut self, now: S) -> bool {
        let settled = now == self.seen;
        if !settled {
            self.seen = now;
            return false;
        }
        let changed = now != self.loaded;
        self.loaded = now;
        changed
    }
}

/// Loads the files anew whenever they have changed. Reading them blocks, so that it happens elsewhere.
pub(crate) async fn watch(tls: Arc<Tls>) {
    if tls.is_off() {
        return;
    }
    let mut changes = Changes::new(tls.files.loaded.clone());
    loop {
        tokio::time::sleep(TLS_LOOK_INTERVAL).await;
        let looked = tokio::task::spawn_blocking({
            let tls = Arc::clone(&tls);
            move || stamps(&tls.files.paths)
        });
        let Ok(now) = looked.await else { return };
        if changes.look(now) {
            tracing::info!("files of TLS have changed; loading them");
            let tls = Arc::clone(&tls);
            // What goes wrong is logged and counted there.
            let _ = tokio::task::spawn_blocking(move || tls.reload()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_loaded_once_and_when_it_has_settled() {
        let mut changes = Changes::new(1);
        assert!(!changes.look(1));
        assert!(!changes.look(2), "still being written");
        assert!(!changes.look(3), "still being written");
        assert!(changes.look(3));
        assert!(!changes.look(3), "a bad file is reported once");
        assert!(!changes.look(1));
        assert!(changes.look(1), "an old state is a change, too");
    }
}
