//! Load through the scylla driver on any CQL server: what a program sees. One run, one workload, one report.
//!
//! ```sh
//! cql-load fill  --host 127.0.0.1                                  # tables and keys
//! cql-load read  --host 127.0.0.1 --in-flight 256 --seconds 8 --pids 4711
//! cql-load write --host 127.0.0.1 --rate 20000 --json
//! ```

#[path = "../arguments.rs"]
mod arguments;
#[path = "../cpu.rs"]
mod cpu;
#[path = "../load.rs"]
mod load;
#[path = "../report.rs"]
mod report;
#[path = "../target.rs"]
mod target;

use std::sync::Arc;

use arguments::{Arguments, Workload};
use clap::Parser as _;

type Problem = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Problem> {
    let arguments = Arguments::parse();
    let mut runtime = match arguments.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    runtime.enable_all().build()?.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> Result<(), Problem> {
    let target = Arc::new(target::Target::connect(&arguments).await?);
    if arguments.workload == Workload::Fill {
        return load::fill(&arguments, &target).await;
    }
    if arguments.warm_up > 0.0 {
        load::drive(&arguments, &target, arguments.warm_up, 1).await;
    }
    let before = cpu::Snapshot::take(&arguments.pids);
    let tally = load::drive(&arguments, &target, arguments.seconds, 2).await;
    let used = before.until_now();
    if let Some(path) = &arguments.series {
        std::fs::write(path, report::series(&tally))?;
    }
    print!("{}", report::render(&arguments, &tally, &used));
    Ok(())
}
