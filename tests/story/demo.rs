//! Step 1: one command gives a cluster with data, and takes everything with it when it ends.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::cluster::{address, network};
use crate::support::program::{csv_rows, program, without_our_variables};
use crate::support::{eventually, quorate, shell};

/// Rows of the bundled weather.
const WEATHER_ROWS: &str = "26115";
/// Rows can be queried so long after the start.
const FIRST_ROWS_WITHIN: Duration = Duration::from_secs(30);
/// All rows are there so long after the start.
const ALL_ROWS_WITHIN: Duration = Duration::from_secs(45);
/// Everything has ended so long after the signal, and a little for the machine.
const STOPPED_WITHIN: Duration = Duration::from_secs(3);

struct Demo {
    child: Child,
    output: PathBuf,
    started: Instant,
}

impl Demo {
    fn start(first: Ipv4Addr, folder: &Path) -> Self {
        let output = folder.join("demo.out");
        let file = std::fs::File::create(&output).unwrap();
        let mut command = Command::new(program());
        command
            .args(["demo", "--no-shell"])
            .arg(format!("--listen={first}"))
            .arg(format!("--data-dir={}", folder.join("data").display()))
            .stdin(Stdio::null())
            .stderr(file.try_clone().unwrap())
            .stdout(file);
        without_our_variables(&mut command);
        Self { started: Instant::now(), child: command.spawn().unwrap(), output }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    async fn says(&mut self, what: &str, within: Duration) {
        eventually(within, &format!("the demo says '{what}'"), async || {
            let said = self.said();
            if said.contains(what) {
                return Ok(());
            }
            assert!(self.child.try_wait().unwrap().is_none(), "the demo ended early:\n{said}");
            Err(said)
        })
        .await;
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// The nodes' processes, as the demo names them.
    fn nodes(&self) -> Vec<i32> {
        let said = self.said();
        let pids = said
            .lines()
            .filter(|line| line.contains("ready:"))
            .filter_map(|line| line.split_whitespace().skip_while(|word| *word != "process").nth(1)?.parse().ok());
        pids.collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the demo said:\n{}", self.said());
        }
        // Its nodes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn runs(pid: i32) -> bool {
    // A process that ended and was not waited for is none.
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn all_ended(nodes: &[i32], within: Duration) {
    eventually(within, "all nodes end", async || {
        let left: Vec<_> = nodes.iter().filter(|pid| runs(**pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?} run")) }
    })
    .await;
}

/// The addresses of the README if they are free, and others if somebody uses them.
fn first_address() -> Ipv4Addr {
    let ours = [1, 2, 3].iter().all(|last| {
        [9042, 7000, 9044, 9180].iter().all(|port| TcpListener::bind((Ipv4Addr::new(127, 0, 0, *last), *port)).is_ok())
    });
    if ours { Ipv4Addr::LOCALHOST } else { address(network(), 1) }
}

#[tokio::test]
async fn one_command_gives_a_cluster_with_data() {
    let folder = tempfile::tempdir().unwrap();
    let first = first_address();
    let mut demo = Demo::start(first, folder.path());
    let within = |limit: Duration, started: Instant| limit.saturating_sub(started.elapsed());
    eventually(within(FIRST_ROWS_WITHIN, demo.started), "first rows can be queried", async || {
        let ran = shell(first, "SELECT temp FROM nyc.weather LIMIT 1;").await;
        let found = ran.status == 0 && ran.stdout.contains("(1 rows)");
        if found { Ok(()) } else { Err(format!("{}{}\n{}", ran.stdout, ran.stderr, demo.said())) }
    })
    .await;
    let first_rows = demo.started.elapsed();
    demo.says("Running until Ctrl-C", within(ALL_ROWS_WITHIN, demo.started)).await;
    let all_rows = demo.started.elapsed();
    eprintln!("demo: first rows after {first_rows:.1?}, all after {all_rows:.1?}");
    assert_eq!(demo.nodes().len(), 3, "a line with 'ready:' for each node:\n{}", demo.said());
    let counted = csv_rows(first, "CONSISTENCY ALL; SELECT COUNT(*) FROM nyc.weather;").await;
    assert_eq!(counted.last().map(String::as_str), Some(WEATHER_ROWS));

    let second = quorate(&["demo", "--no-shell", "--listen", &first.to_string()]).await.failed();
    for part in ["is already in use", "--listen", &format!("{first}:")] {
        assert!(second.contains(part), "no '{part}' in: {second}");
    }

    let nodes = demo.nodes();
    let told = Instant::now();
    demo.signal(Signal::TERM);
    eventually(STOPPED_WITHIN, "the demo ends", async || {
        demo.child.try_wait().unwrap().map(|_| ()).ok_or_else(|| "it runs".to_owned())
    })
    .await;
    all_ended(&nodes, Duration::from_millis(100)).await;
    eprintln!("demo: everything stopped within {:.1?}", told.elapsed());

    // The same folder again: the data is still there, and is not loaded twice. Then the demo itself is killed.
    let mut demo = Demo::start(first, folder.path());
    demo.says("Running until Ctrl-C", ALL_ROWS_WITHIN).await;
    assert!(demo.said().contains("already"), "{}", demo.said());
    let nodes = demo.nodes();
    assert_eq!(nodes.len(), 3);
    demo.signal(Signal::KILL);
    all_ended(&nodes, STOPPED_WITHIN).await;
}
