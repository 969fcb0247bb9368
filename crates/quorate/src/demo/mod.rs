//! `quorate demo`: a cluster of separate node processes on this machine, with data, and a shell on it.

mod load;
mod node;
mod ports;

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use node::Node;
use quorate_shell::grpc::GrpcFront;
use quorate_shell::terminal::SavedModes;
use quorate_shell::{ShellOptions, run as run_shell};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::DemoArgs;

/// How often it is looked whether a node has ended.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// Where the nodes keep their data: the user's folder, or one that goes at the end.
enum DataDir {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl DataDir {
    fn open(wanted: Option<&PathBuf>) -> Result<Self, String> {
        match wanted {
            Some(path) => {
                std::fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(Self::Kept(path.clone()))
            }
            None => tempfile::Builder::new()
                .prefix("quorate-demo-")
                .tempdir()
                .map(Self::Temporary)
                .map_err(|error| format!("cannot make a temporary folder: {error}")),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Kept(path) => path.clone(),
            Self::Temporary(folder) => folder.path().to_owned(),
        }
    }
}

/// Runs the demo; gives the exit status. Everything it started has ended when it returns.
pub async fn run(args: &DemoArgs) -> u8 {
    let modes = SavedModes::save();
    let stopped = match stop_signal() {
        Ok(stopped) => stopped,
        Err(error) => return fail(&format!("cannot listen for signals: {error}")),
    };
    let addresses = addresses(args.listen, args.nodes);
    if let Err(taken) = ports::check(&addresses) {
        return fail(&taken.to_string());
    }
    let data = match DataDir::open(args.data_dir.as_ref()) {
        Ok(data) => data,
        Err(error) => return fail(&error),
    };
    let folder = data.path();
    let mut nodes = Vec::new();
    let status = tokio::select! {
        status = serve(args, &addresses, &folder, &mut nodes) => status,
        () = stopped => 0,
    };
    modes.restore();
    node::stop(&mut nodes).await;
    if let DataDir::Temporary(folder) = data {
        // A folder that cannot be removed is the system's to clean up.
        let _ = folder.close();
    }
    status
}

fn fail(reason: &str) -> u8 {
    eprintln!("quorate demo: {reason}");
    1
}

/// Resolves when the demo is told to stop.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

fn addresses(first: Ipv4Addr, count: u8) -> Vec<Ipv4Addr> {
    (0..u32::from(count)).map(|index| Ipv4Addr::from(u32::from(first).saturating_add(index))).collect()
}

async fn serve(args: &DemoArgs, addresses: &[Ipv4Addr], folder: &std::path::Path, nodes: &mut Vec<Node>) -> u8 {
    if let Err(error) = start_nodes(addresses, folder, nodes).await {
        return fail(&error);
    }
    let first = IpAddr::V4(addresses[0]).to_string();
    if let Err(error) = load::load(&first, addresses.len()).await {
        return fail(&format!("loading the sample data failed: {error}"));
    }
    let address = if first == "127.0.0.1" { String::new() } else { format!(" {first}") };
    let host = if first == "127.0.0.1" { String::new() } else { format!(" -h {first}") };
    // As it was called: the binary need not be on the search path.
    let program = std::env::args().next().unwrap_or_else(|| "quorate".to_owned());
    println!("{}", note(&program, &address, &host));
    if args.no_shell {
        println!("Running until Ctrl-C.");
        watch(nodes).await;
        return 0;
    }
    let shell = async {
        match GrpcFront::connect(&first, None).await {
            Ok(front) => run_shell(Arc::new(front), &ShellOptions::default()).await,
            Err(error) => fail(&error.to_string()),
        }
    };
    tokio::select! {
        status = shell => status,
        () = watch(nodes) => 0,
    }
}

fn note(program: &str, address: &str, host: &str) -> String {
    let exit =
        if std::io::stdin().is_terminal() { "\nEXIT or Ctrl-D leaves the shell and stops the nodes." } else { "" };
    format!(
        "\nThe hourly weather of New York's airports in 2013 is in nyc.weather. Try:
  USE nyc;
  SELECT time_hour, temp, wind_speed FROM weather WHERE origin = 'JFK' AND month = 7 LIMIT 5;
  CONSISTENCY ALL
  TRACING ON
and in another terminal:
  {program} admin{host} status
  {program} shell{address} -e 'SELECT COUNT(*) FROM nyc.weather;'
or kill -9 one of the nodes, and see QUORUM go on.{exit}\n"
    )
}

/// A new cluster grows node by node; one that is there already starts all at once, since its nodes need one another.
async fn start_nodes(addresses: &[Ipv4Addr], folder: &std::path::Path, nodes: &mut Vec<Node>) -> Result<(), String> {
    let seed = addresses[0];
    let again = node::data_dir(folder, 0).exists();
    for (index, address) in addresses.iter().enumerate() {
        nodes.push(Node::start(index, *address, seed, folder)?);
        if !again && let Some(node) = nodes.last_mut() {
            println!("{}", node.ready().await?);
        }
    }
    if again {
        for node in nodes {
            println!("{}", node.ready().await?);
        }
    }
    Ok(())
}

/// Says which node ended, and how to start it again. Never returns: the others go on.
async fn watch(nodes: &mut [Node]) {
    let mut interval = tokio::time::interval(WATCH_EVERY);
    loop {
        interval.tick().await;
        for node in &mut *nodes {
            if let Some(said) = node.ended() {
                eprintln!("\n{said}");
            }
        }
    }
}
