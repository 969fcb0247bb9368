//! The command line of `quorate admin`.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand, ValueEnum};
use quorate_model::admin::AdminRequest;

/// Verbs of nodetool that will come.
const NOT_YET: [&str; 44] = [
    "abortbootstrap",
    "assassinate",
    "bootstrap",
    "cleanup",
    "cms",
    "compactionhistory",
    "compactionstats",
    "decommission",
    "disablebackup",
    "disablegossip",
    "disablehandoff",
    "enablebackup",
    "enablegossip",
    "enablehandoff",
    "failuredetector",
    "garbagecollect",
    "getcompactionthroughput",
    "getendpoints",
    "getsstables",
    "gossipinfo",
    "import",
    "invalidatekeycache",
    "invalidaterowcache",
    "listpendinghints",
    "move",
    "netstats",
    "pausehandoff",
    "proxyhistograms",
    "rebuild",
    "refresh",
    "removenode",
    "repair",
    "repair_admin",
    "resumehandoff",
    "scrub",
    "setcompactionthroughput",
    "setlogginglevel",
    "statusbinary",
    "stop",
    "tablehistograms",
    "tablestats",
    "tpstats",
    "upgradesstables",
    "verify",
];

/// Verbs that are there.
const SUPPORTED: &str = "status, info, ring, describecluster, flush, compact, snapshot, clearsnapshot, listsnapshots, \
                         refreshsizeestimates, getlogginglevels, gettraceprobability, settraceprobability, reloadssl, \
                         enableautocompaction, disableautocompaction, drain";

/// Ask or tell a node, as nodetool does.
#[derive(Args, Clone, Debug)]
#[command(disable_help_flag = true, disable_help_subcommand = true)]
pub struct AdminArgs {
    /// The node: HOST or HOST:PORT (its gRPC port).
    #[arg(short = 'h', long, global = true, default_value = "127.0.0.1", value_name = "HOST")]
    pub host: String,
    /// How the answer is printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// TLS.
    #[command(flatten)]
    pub tls: quorate_client::TlsFiles,
    /// Print help.
    #[arg(long, global = true, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// How answers are printed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// nodetool's layout.
    Table,
    /// JSON.
    Json,
}

/// Verbs, named and used as in nodetool.
#[derive(Subcommand, Clone, Debug, PartialEq)]
#[command(disable_help_flag = true)]
pub enum Verb {
    /// All nodes: state, load, ownership.
    Status {
        /// Ownership as this keyspace replicates.
        keyspace: Option<String>,
    },
    /// This node.
    Info,
    /// Every token with its node.
    Ring {
        /// Ownership as this keyspace replicates.
        keyspace: Option<String>,
    },
    /// The cluster's name, partitioner and schema.
    #[command(name = "describecluster")]
    DescribeCluster,
    /// Write memtables to SSTables.
    Flush(Tables),
    /// Compact all SSTables of a table.
    Compact(Tables),
    /// Keep the SSTables as they are now.
    Snapshot {
        /// Its name; the time if it is missing.
        #[arg(short = 't', long)]
        tag: Option<String>,
        /// Only this table.
        #[arg(long, visible_alias = "column-family")]
        table: Option<String>,
        /// Leave out what is still in memory.
        #[arg(long)]
        skip_flush: bool,
        /// Seconds after which it goes by itself.
        #[arg(long)]
        ttl: Option<u64>,
        /// Only this keyspace.
        keyspace: Option<String>,
    },
    /// Remove snapshots.
    #[command(name = "clearsnapshot")]
    ClearSnapshot {
        /// The one of this name.
        #[arg(short = 't', long, conflicts_with = "all")]
        tag: Option<String>,
        /// All of them.
        #[arg(long)]
        all: bool,
        /// Only this keyspace's.
        keyspace: Option<String>,
    },
    /// Show snapshots.
    #[command(name = "listsnapshots")]
    ListSnapshots,
    /// Open the CQL port (not supported yet).
    #[command(name = "enablebinary")]
    EnableBinary,
    /// Close the CQL port (not supported yet).
    #[command(name = "disablebinary")]
    DisableBinary,
    /// Count partitions again (without effect: estimates are always fresh).
    #[command(name = "refreshsizeestimates")]
    RefreshSizeEstimates,
    /// Load the certificates and keys of TLS anew.
    #[command(name = "reloadssl")]
    ReloadSsl,
    /// Show loggers and their levels.
    #[command(name = "getlogginglevels")]
    GetLoggingLevels,
    /// Let compaction run by itself.
    #[command(name = "enableautocompaction")]
    EnableAutoCompaction(Tables),
    /// Stop compaction from running by itself.
    #[command(name = "disableautocompaction")]
    DisableAutoCompaction(Tables),
    /// Show how many requests are traced without having asked.
    #[command(name = "gettraceprobability")]
    GetTraceProbability,
    /// Trace a share of the requests that have not asked for it; traces are in system_traces.
    #[command(name = "settraceprobability")]
    SetTraceProbability {
        /// From 0 (none) to 1 (all).
        #[arg(allow_negative_numbers = true)]
        probability: f64,
    },
    /// Stop serving and write everything to disk.
    Drain,
    /// Any other verb of nodetool.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// A keyspace and its tables; everything if nothing is named.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The keyspace.
    keyspace: Option<String>,
    /// Its tables; all if none is named.
    tables: Vec<String>,
}

/// Why a verb was not done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerbError {
    /// It will come.
    #[error("'{0}' is not supported yet")]
    NotYet(String),
    /// Nobody knows it.
    #[error("unknown verb '{0}'; there are {SUPPORTED}")]
    Unknown(String),
    /// nodetool's own rule.
    #[error("clearsnapshot needs --tag NAME or --all")]
    ClearWhat,
    /// A keyspace was needed.
    #[error("--table needs the keyspace too: snapshot --table TABLE KEYSPACE")]
    TableOfWhat,
    /// The node refused it, failed, or did not answer.
    #[error("{host}: {reason}")]
    #[allow(missing_docs, reason = "the names say it")]
    Failed { host: String, reason: String },
}

impl AdminArgs {
    /// What is to be sent.
    pub fn request(&self) -> Result<AdminRequest, VerbError> {
        Ok(match self.verb.clone() {
            Verb::Status { keyspace } => AdminRequest::Status { keyspace },
            Verb::Info => AdminRequest::Info,
            Verb::Ring { keyspace } => AdminRequest::Ring { keyspace },
            Verb::DescribeCluster => AdminRequest::DescribeCluster,
            Verb::Flush(Tables { keyspace, tables }) => AdminRequest::Flush { keyspace, tables },
            Verb::Compact(Tables { keyspace, tables }) => AdminRequest::Compact { keyspace, tables },
            Verb::Snapshot { table: Some(_), keyspace: None, .. } => return Err(VerbError::TableOfWhat),
            Verb::Snapshot { tag, table, skip_flush, ttl, keyspace } => AdminRequest::Snapshot {
                tag: tag.unwrap_or_else(now_as_tag),
                keyspace,
                table,
                skip_flush,
                ttl_seconds: ttl,
            },
            Verb::ClearSnapshot { tag: None, all: false, .. } => return Err(VerbError::ClearWhat),
            Verb::ClearSnapshot { tag, keyspace, .. } => AdminRequest::ClearSnapshot { tag, keyspace },
            Verb::ListSnapshots => AdminRequest::ListSnapshots,
            Verb::EnableBinary => AdminRequest::EnableBinary,
            Verb::DisableBinary => AdminRequest::DisableBinary,
            Verb::RefreshSizeEstimates => AdminRequest::RefreshSizeEstimates,
            Verb::ReloadSsl => AdminRequest::ReloadSsl,
            Verb::GetLoggingLevels => AdminRequest::GetLoggingLevels,
            Verb::EnableAutoCompaction(Tables { keyspace, tables }) => {
                AdminRequest::EnableAutoCompaction { keyspace, tables }
            }
            Verb::DisableAutoCompaction(Tables { keyspace, tables }) => {
                AdminRequest::DisableAutoCompaction { keyspace, tables }
            }
            Verb::GetTraceProbability => AdminRequest::GetTraceProbability,
            Verb::SetTraceProbability { probability } => AdminRequest::SetTraceProbability { probability },
            Verb::Drain => AdminRequest::Drain,
            Verb::Other(words) => {
                let verb = words.into_iter().next().unwrap_or_default();
                let known = NOT_YET.contains(&verb.to_lowercase().as_str());
                return Err(if known { VerbError::NotYet(verb) } else { VerbError::Unknown(verb) });
            }
        })
    }
}

/// Milliseconds since 1970, as nodetool names a snapshot without a tag.
fn now_as_tag() -> String {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis()).to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        admin: AdminArgs,
    }

    fn parse(line: &str) -> AdminArgs {
        Cli::try_parse_from(std::iter::once("admin").chain(line.split_whitespace())).unwrap().admin
    }

    #[test]
    fn verbs_and_arguments_are_nodetools() {
        let args = parse("-h 127.0.0.2 status nyc");
        assert_eq!(args.host, "127.0.0.2");
        assert_eq!(args.request(), Ok(AdminRequest::Status { keyspace: Some("nyc".into()) }));
        assert_eq!(parse("status -h 10.0.0.1").host, "10.0.0.1");
        assert_eq!(parse("--host x ring --format json").format, Format::Json);
        let tables = vec!["weather".to_owned(), "flights".to_owned()];
        assert_eq!(
            parse("flush nyc weather flights").request(),
            Ok(AdminRequest::Flush { keyspace: Some("nyc".into()), tables })
        );
        assert_eq!(
            parse("snapshot --tag t --table weather --skip-flush --ttl 60 nyc").request(),
            Ok(AdminRequest::Snapshot {
                tag: "t".into(),
                keyspace: Some("nyc".into()),
                table: Some("weather".into()),
                skip_flush: true,
                ttl_seconds: Some(60)
            })
        );
        assert_eq!(parse("gettraceprobability").request(), Ok(AdminRequest::GetTraceProbability));
        let share = AdminRequest::SetTraceProbability { probability: 0.25 };
        assert_eq!(parse("settraceprobability 0.25").request(), Ok(share));
        assert!(Cli::try_parse_from(["admin", "settraceprobability", "often"]).is_err());
        assert_eq!(
            parse("clearsnapshot --all").request(),
            Ok(AdminRequest::ClearSnapshot { tag: None, keyspace: None })
        );
    }

    #[test]
    fn what_is_not_there_says_so() {
        assert_eq!(parse("repair nyc -full").request(), Err(VerbError::NotYet("repair".into())));
        assert_eq!(parse("removenode abc").request().unwrap_err().to_string(), "'removenode' is not supported yet");
        assert!(
            parse("frobnicate")
                .request()
                .unwrap_err()
                .to_string()
                .starts_with("unknown verb 'frobnicate'; there are status")
        );
        assert_eq!(parse("clearsnapshot").request(), Err(VerbError::ClearWhat));
        assert_eq!(parse("snapshot --table t").request(), Err(VerbError::TableOfWhat));
    }
}
