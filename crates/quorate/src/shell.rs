//! `quorate shell`.

use std::sync::Arc;

use quorate_shell::cql::CqlFront;
use quorate_shell::front::Front;
use quorate_shell::grpc::GrpcFront;
use quorate_shell::table::Format;
use quorate_shell::{ShellOptions, run as run_shell};

use crate::cli::ShellArgs;

/// Runs the shell; gives the exit status.
pub async fn run(args: &ShellArgs) -> u8 {
    let options = ShellOptions {
        execute: args.execute.clone(),
        files: args.files.clone(),
        format: Format::parse(&args.format).unwrap_or_default(),
        keyspace: args.keyspace.clone(),
    };
    let tls = match args.tls.load() {
        Ok(tls) => tls,
        Err(error) => {
            eprintln!("quorate shell: {error}");
            return 1;
        }
    };
    let front: Result<Arc<dyn Front>, _> = match args.front.as_str() {
        "cql" => CqlFront::connect(&args.host, tls).await.map(|front| Arc::new(front) as _),
        _ => GrpcFront::connect(&args.host, tls).await.map(|front| Arc::new(front) as _),
    };
    match front {
        Ok(front) => run_shell(front, &options).await,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}
