//! One node of the demo: a process of this very binary.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A node must be ready within this time.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Nodes that are told to stop get this time before they are killed; killing them is safe.
const STOP_WITHIN: Duration = Duration::from_millis(2_000);
/// Lines of a failed node's log that are shown.
const LOG_LINES_SHOWN: usize = 8;

/// A node's process.
pub struct Node {
    number: usize,
    address: Ipv4Addr,
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
    log: PathBuf,
    again: String,
    ended: bool,
}

/// Where the node of this index keeps its data.
pub fn data_dir(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("node{}", index + 1))
}

impl Node {
    /// Starts the process.
    pub fn start(index: usize, address: Ipv4Addr, seed: Ipv4Addr, folder: &Path) -> Result<Self, String> {
        let number = index + 1;
        let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let data = data_dir(folder, index);
        let log = folder.join(format!("node{number}.log"));
        let file = std::fs::File::options().create(true).append(true).open(&log);
        let file = file.map_err(|error| format!("{}: {error}", log.display()))?;
        let arguments = [
            "start".to_owned(),
            "--cluster-name=demo".to_owned(),
            format!("--listen={address}"),
            format!("--seeds={seed}"),
            format!("--data-dir={}", data.display()),
        ];
        let mut command = Command::new(&program);
        command
            .args(&arguments)
            .arg(format!("--die-with-parent={}", std::process::id()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            // A Ctrl-C is for the demo, which then stops its nodes in order.
            .process_group(0)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("QUORATE_") {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn().map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let lines = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        let again = format!("{} {}", program.display(), arguments.join(" "));
        Ok(Self { number, address, child, lines, log, again, ended: false })
    }

    /// Waits until the node serves; gives its line for people.
    pub async fn ready(&mut self) -> Result<String, String> {
        let Some(mut lines) = self.lines.take() else { return Err("the node has no output".to_owned()) };
        let line = tokio::time::timeout(READY_WITHIN, async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with("ready:") {
                    return Some(line);
                }
            }
            None
        });
        match line.await {
            Ok(Some(line)) => {
                // Whatever else it says must not fill the pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                let pid = self.child.id().unwrap_or_default();
                Ok(format!("node {} of process {pid} is {line}", self.number))
            }
            Ok(None) => Err(self.failed("ended before it was ready")),
            Err(_) => Err(self.failed(&format!("was not ready within {} s", READY_WITHIN.as_secs()))),
        }
    }

    fn failed(&self, what: &str) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default();
        format!("node {} at {} {what}. The end of its log:\n  {}", self.number, self.address, last.join("\n  "))
    }

    /// What to say if the node has ended since the last look.
    pub fn ended(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        let status = self.child.try_wait().ok()??;
        self.ended = true;
        Some(format!(
            "node {} at {} ended ({status}). To start it again, in another terminal:\n  {}",
            self.number, self.address, self.again
        ))
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself in the meantime.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Stops all nodes: an orderly end for those that manage it in time, a sudden one for the others.
pub async fn stop(nodes: &mut [Node]) {
    for node in &*nodes {
        node.signal(Signal::TERM);
    }
    let all = async {
        for node in &mut *nodes {
            let _ = node.child.wait().await;
        }
    };
    if tokio::time::timeout(STOP_WITHIN, all).await.is_err() {
        for node in &mut *nodes {
            // An error means that it has ended.
            let _ = node.child.kill().await;
        }
    }
}
