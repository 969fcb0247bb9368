//! The binary's subcommands.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// No command of a test takes longer.
const COMMAND_WITHIN: Duration = Duration::from_secs(300);

/// The binary: the one that was built with the test, or another that `QUORATE_TEST_PROGRAM` names.
pub fn program() -> &'static str {
    static PROGRAM: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        std::env::var("QUORATE_TEST_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_quorate").to_owned())
    });
    &PROGRAM
}

/// The project's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Keeps the caller's configuration out of a test.
pub fn without_our_variables(command: &mut std::process::Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("QUORATE_") {
            command.env_remove(name);
        }
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// The command, for messages.
    pub command: String,
    /// Its exit status; -1 if a signal ended it.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// Its output if it succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "{} failed:\n{}\n{}", self.command, self.stdout, self.stderr);
        self.stdout
    }

    /// What it said on standard error, as it failed with status 1.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_eq!(self.status, 1, "{} did not fail with 1:\n{}\n{}", self.command, self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{} panicked:\n{}", self.command, self.stderr);
        self.stderr
    }
}

/// Runs the binary in a folder until it ends.
pub async fn quorate_in(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = std::process::Command::new(program());
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    without_our_variables(&mut command);
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let shown = format!("quorate {}", arguments.join(" "));
    let output = tokio::time::timeout(COMMAND_WITHIN, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{shown} did not end")).expect("the program starts");
    Ran {
        command: shown,
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs the binary at the project's root until it ends.
pub async fn quorate(arguments: &[&str]) -> Ran {
    quorate_in(&root(), arguments).await
}

/// `quorate shell IP -e CQL`, with more arguments.
pub async fn shell_with(ip: Ipv4Addr, cql: &str, arguments: &[&str]) -> Ran {
    let ip = ip.to_string();
    let mut all = vec!["shell", ip.as_str(), "-e", cql];
    all.extend(arguments);
    quorate(&all).await
}

/// `quorate shell IP -e CQL`.
pub async fn shell(ip: Ipv4Addr, cql: &str) -> Ran {
    shell_with(ip, cql, &[]).await
}

/// Rows as the shell prints them for programs: CSV lines without the header.
pub async fn csv_rows(ip: Ipv4Addr, cql: &str) -> Vec<String> {
    let output = shell_with(ip, cql, &["--format", "csv"]).await.ok();
    output.lines().skip(1).map(str::to_owned).collect()
}

/// `quorate admin -h IP …`.
pub async fn admin(ip: Ipv4Addr, arguments: &[&str]) -> Ran {
    let ip = ip.to_string();
    let mut all = vec!["admin", "-h", ip.as_str()];
    all.extend(arguments);
    quorate(&all).await
}

/// The body of a page of the node's HTTP port.
pub async fn http(ip: Ipv4Addr, path: &str) -> Result<String, String> {
    let exchange = async {
        let mut stream = tokio::net::TcpStream::connect((ip, 9180)).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {ip}\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), exchange).await;
    let answer = answer.map_err(|_| "no answer over HTTP".to_owned())?.map_err(|error| error.to_string())?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or_else(|| format!("no body: {answer}"))
}
