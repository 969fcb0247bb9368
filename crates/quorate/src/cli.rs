//! The command line.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use quorate_sim::Plant;

/// A leaderless wide-column database: compatible with Cassandra, in one binary.
#[derive(Parser)]
#[command(
    name = "quorate",
    version,
    about,
    after_help = "Examples:
  quorate demo                      three nodes with data, and a shell on them
  quorate start --data-dir /var/lib/quorate
  quorate shell 127.0.0.1 -e 'SELECT COUNT(*) FROM nyc.weather;'
  quorate admin status"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run a node
    #[command(
        after_help = "Flags beat QUORATE_* variables beat the file. Prints one line beginning with 'ready:' once \
                            the node serves.

Examples:
  quorate start
  quorate start --config quorate.toml
  quorate start --listen 10.0.0.2 --seeds 10.0.0.1 --data-dir /var/lib/quorate --dc east --rack r1
  QUORATE_SEEDS=node1 quorate start --listen 0.0.0.0 --advertise node2"
    )]
    Start(StartArgs),
    /// Run a cluster of this machine's own with sample data, and a shell on it
    #[command(after_help = "Examples:
  quorate demo
  quorate demo --no-shell           stays until Ctrl-C
  quorate demo --nodes 5 --data-dir /tmp/demo")]
    Demo(DemoArgs),
    /// Talk CQL to a cluster
    #[command(after_help = "Examples:
  quorate shell
  quorate shell 127.0.0.2 -e \"CONSISTENCY ALL; SELECT * FROM nyc.weather LIMIT 3;\"
  quorate shell 127.0.0.1 -f examples/flights.cql
  quorate shell db1.example.org --tls-ca ca.pem
  quorate shell --format csv -e 'SELECT * FROM nyc.weather' > weather.csv")]
    Shell(ShellArgs),
    /// Ask or tell a node what nodetool would
    #[command(after_help = "Examples:
  quorate admin status
  quorate admin -h 127.0.0.2 ring nyc
  quorate admin snapshot --tag before-upgrade nyc
  quorate admin status --format json
  quorate admin -h db1.example.org --tls-ca ca.pem reloadssl")]
    Admin(quorate_admin::args::AdminArgs),
    /// Load a cluster and measure it
    #[command(after_help = "Examples:
  quorate bench write --in-flight 256 --duration 10
  quorate bench mixed --rate 5000 --consistency QUORUM --replication 3 --format json
  quorate bench mixed --cql 127.0.0.1 --rate 5000 --consistency ONE --replication 1     any CQL server
  quorate bench read --keys 100000 --mode unary --pids \"$(pgrep -d, quorate)\"")]
    Bench(quorate_bench::BenchArgs),
    /// Replay simulated clusters exactly
    #[command(after_help = "Examples:
  quorate sim --seed 42
  quorate sim --seeds 0..200 --steps 2000
  quorate sim --seeds 0..100 --plant ack-before-fsync   must find violations")]
    Sim(SimArgs),
}

/// Every other key of the configuration file is a flag, too; those are added from the server's own list.
#[derive(Args)]
pub struct StartArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// End at once when the process of this id ends
    #[arg(long, hide = true, value_name = "PID")]
    pub die_with_parent: Option<i32>,
}

#[derive(Args)]
pub struct DemoArgs {
    /// Number of nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub nodes: u8,
    /// Where the nodes keep their data; a temporary folder that goes at the end, unless given
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Stay in the foreground until Ctrl-C instead of opening a shell
    #[arg(long)]
    pub no_shell: bool,
    /// The first node's address; the others follow it
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub listen: Ipv4Addr,
}

#[derive(Args)]
pub struct ShellArgs {
    /// The node, and the port of its front
    #[arg(value_name = "HOST[:PORT]", default_value = "127.0.0.1")]
    pub host: String,
    /// What carries the requests: grpc (port 9044), or cql, the native protocol of any server that speaks it (port 9042)
    #[arg(long, default_value = "grpc", value_parser = ["grpc", "cql"])]
    pub front: String,
    /// Run these statements and commands, then end
    #[arg(short = 'e', long = "execute", value_name = "CQL")]
    pub execute: Vec<String>,
    /// Run a file of statements and commands, then end
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How result sets are printed: table, json or csv
    #[arg(long, default_value = "table", value_parser = ["table", "json", "csv"])]
    pub format: String,
    /// The keyspace to begin with
    #[arg(short = 'k', long)]
    pub keyspace: Option<String>,
    #[command(flatten)]
    pub tls: quorate_client::TlsFiles,
}

// Without `skip` the group would hold all of the flags, and each would exclude the others.
#[derive(Args)]
#[group(skip)]
#[command(group = ArgGroup::new("which").required(true).args(["seed", "seeds"]))]
pub struct SimArgs {
    /// One seed
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// All seeds from A up to but not including B
    #[arg(long, value_name = "A..B", value_parser = seed_range)]
    pub seeds: Option<(u64, u64)>,
    /// Operations of the clients a seed; 3000 unless told
    #[arg(long, value_name = "M")]
    pub steps: Option<u64>,
    /// Plant a bug that the checkers must find; a wrong name lists them
    #[arg(long, value_name = "NAME", value_parser = plant)]
    pub plant: Option<Plant>,
    /// Print the seed's knobs and every event on standard error
    #[arg(long)]
    pub show: bool,
}

fn plant(name: &str) -> Result<Plant, String> {
    Plant::parse(name).ok_or_else(|| {
        let names: Vec<_> = Plant::ALL.into_iter().map(Plant::name).collect();
        format!("no such bug; there are {}", names.join(", "))
    })
}

fn seed_range(text: &str) -> Result<(u64, u64), String> {
    let (first, end) = text.split_once("..").ok_or("expected A..B, as 0..200")?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("'{text}' is no seed"));
    let (first, end) = (number(first)?, number(end)?);
    if first < end { Ok((first, end)) } else { Err(format!("no seed lies in {first}..{end}")) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        crate::start::with_configuration_keys(Cli::command()).debug_assert();
    }

    #[test]
    fn seeds_are_one_or_a_range() {
        assert!(matches!(
            parse("quorate sim --seeds 3..9").unwrap().command,
            Command::Sim(SimArgs { seeds: Some((3, 9)), .. })
        ));
        for wrong in [
            "quorate sim",
            "quorate sim --steps 5",
            "quorate sim --seed 1 --seeds 1..2",
            "quorate sim --seeds 2..2",
            "quorate sim --seed x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_simulation_takes_all_its_flags_at_once() {
        for which in ["--seed 1", "--seeds 1..2"] {
            let line = format!("quorate sim {which} --steps 5 --plant ack-before-fsync --show");
            let Command::Sim(args) = parse(&line).unwrap().command else { panic!("not the simulator") };
            assert_eq!((args.steps, args.plant, args.show), (Some(5), Some(Plant::AckBeforeFsync), true));
        }
    }

    #[test]
    fn the_shell_takes_statements_files_and_formats() {
        let Command::Shell(args) = parse("quorate shell h:1 -e a -e b -f x.cql --format csv").unwrap().command else {
            panic!("not the shell")
        };
        assert_eq!((args.host.as_str(), args.execute.len(), args.format.as_str()), ("h:1", 2, "csv"));
        assert!(parse("quorate shell --format xml").is_err());
    }

    #[test]
    fn admin_takes_h_as_the_host() {
        let Command::Admin(args) = parse("quorate admin -h 127.0.0.2 status").unwrap().command else { panic!() };
        assert_eq!(args.host, "127.0.0.2");
        let help = parse("quorate admin --help").err().unwrap();
        assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp);
    }
}
