//! `quorate shell`.

use std::sync::Arc;

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
    match GrpcFront::connect(&args.host).await {
        Ok(front) => run_shell(Arc::new(front), &options).await,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}
