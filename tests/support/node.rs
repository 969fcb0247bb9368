//! One node: a process of the binary, its address, its folder and its logs.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::eventually;
use super::program::program;

/// A node that starts is ready within this time, also while its machine has other work.
pub const READY_WITHIN: Duration = Duration::from_secs(30);
/// Lines of a log that are shown when a test fails.
const LOG_LINES_SHOWN: usize = 25;

/// A node and its process, if it runs. The process ends with this value, and with the test's process.
#[derive(Debug)]
pub struct Node {
    /// Its address.
    pub ip: Ipv4Addr,
    /// Its data.
    pub data_dir: PathBuf,
    log: PathBuf,
    output: PathBuf,
    arguments: Vec<String>,
    run_by: Vec<String>,
    child: Option<Child>,
    started_at: Instant,
}

impl Node {
    /// A node that is not started yet. Its logs lie in `folder`, too.
    pub fn new(ip: Ipv4Addr, folder: &Path, arguments: &[String]) -> Self {
        Self {
            ip,
            data_dir: folder.join(format!("{ip}")),
            log: folder.join(format!("{ip}.log")),
            output: folder.join(format!("{ip}.out")),
            arguments: arguments.to_vec(),
            run_by: Vec::new(),
            child: None,
            started_at: Instant::now(),
        }
    }

    /// The same node with other arguments from its next start on.
    pub fn with_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    }

    /// The same node run by another command from its next start on, one that becomes the node, as `ip netns exec` does.
    pub fn run_by(&mut self, command: &[&str]) {
        self.run_by = command.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Starts the process. It dies with the thread that calls this, which must therefore be the test's own.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.ip);
        let log = std::fs::File::options().create(true).append(true).open(&self.log).expect("the log opens");
        let output = std::fs::File::create(&self.output).expect("the output's file opens");
        let mut command = match self.run_by.split_first() {
            None => Command::new(program()),
            Some((first, more)) => {
                let mut command = Command::new(first);
                command.args(more).arg(program());
                command
            }
        };
        command
            .arg("start")
            .arg(format!("--listen={}", self.ip))
            .arg(format!("--data-dir={}", self.data_dir.display()))
            .arg(format!("--die-with-parent={}", std::process::id()))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(log);
        super::program::without_our_variables(&mut command);
        self.started_at = Instant::now();
        self.child = Some(command.spawn().expect("the program starts"));
    }

    /// Waits for the line that says it serves; gives the time from start to then.
    pub async fn ready(&mut self) -> Duration {
        let what = format!("{} is ready", self.ip);
        eventually(READY_WITHIN, &what, async || {
            if self.ready_line().is_some() {
                return Ok(());
            }
            if let Some(status) = self.exited() {
                panic!("{} ended with {status} before it was ready:\n{}", self.ip, self.log_tail());
            }
            Err("no line beginning with 'ready:' yet".to_owned())
        })
        .await;
        self.started_at.elapsed()
    }

    /// The line that it said when it served.
    pub fn ready_line(&self) -> Option<String> {
        let output = std::fs::read_to_string(&self.output).ok()?;
        output.lines().find(|line| line.starts_with("ready:")).map(str::to_owned)
    }

    /// Waits for the process to end by itself.
    pub async fn end(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} ends", self.ip);
        let status = eventually(within, &what, async || self.exited().ok_or_else(|| "it still runs".to_owned())).await;
        self.child = None;
        status
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("the process can be waited for")
    }

    /// The process's id.
    pub fn pid(&self) -> i32 {
        let child = self.child.as_ref().unwrap_or_else(|| panic!("{} does not run", self.ip));
        i32::try_from(child.id()).expect("ids are small")
    }

    /// Whether it was started and not stopped since.
    pub fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// Whether its process runs.
    pub fn runs(&mut self) -> bool {
        self.child.is_some() && self.exited().is_none()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid()).expect("an id is not zero");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.ip));
    }

    /// `kill -9`, now.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Tells it to stop in order, and waits for it.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.end(Duration::from_secs(15)).await
    }

    /// What it wrote to standard error since its first start.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default();
        shown.join("\n")
    }

    /// A line of the metrics page as a number; zero if it is not there.
    pub async fn metric(&self, name: &str) -> Result<f64, String> {
        let page = super::program::http(self.ip, "/metrics").await?;
        let mut sum = 0.0;
        for line in page.lines() {
            let Some((full, value)) = line.rsplit_once(' ') else { continue };
            if full == name || full.split_once('{').is_some_and(|(base, _)| base == name) {
                sum += value.parse::<f64>().map_err(|error| format!("{line}: {error}"))?;
            }
        }
        Ok(sum)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the end of the log of {}:\n{}", self.ip, self.log_tail());
        }
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
