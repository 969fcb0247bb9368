//! The operator's verbs of Quorate, as nodetool has them.
//!
//! **What it is.** Turns `quorate admin [-h HOST] VERB …` into one [`AdminRequest`](quorate_model::admin::AdminRequest)
//! to one node, and the answer into nodetool's layout or JSON. **What it refuses to do.** Decide anything: the node does.
//! A verb that is unknown or not supported yet says so; nothing is passed over in silence.
//!
//! **Invariants.** The exit status is 0 only if the node did what was asked.
//!
//! **Tests.** Beside the code: parsing in `args`, layouts in `render`.
// This crate is an edge: a snapshot without a tag is named after the clock.
#![allow(clippy::disallowed_methods)]

pub mod args;
pub mod json;
pub mod render;

use std::io::Write as _;

use args::{AdminArgs, Format, VerbError};
use quorate_client::Session;

/// Runs a verb; gives the process's exit status.
pub async fn run(args: &AdminArgs) -> u8 {
    let request = match args.request() {
        Ok(request) => request,
        Err(error) => return fail(&error),
    };
    let tls = match args.tls.load() {
        Ok(tls) => tls,
        Err(error) => return fail(&VerbError::Failed { host: args.host.clone(), reason: error.to_string() }),
    };
    match Session::admin_at(&args.host, tls, &request).await {
        Ok(answer) => {
            let text = match args.format {
                Format::Table => render::render(&request, &answer),
                Format::Json => json::render(&answer),
            };
            // Nothing is left to tell a reader that went away.
            let _ = std::io::stdout().write_all(text.as_bytes());
            0
        }
        Err(error) => fail(&VerbError::Failed { host: args.host.clone(), reason: error.to_string() }),
    }
}

fn fail(error: &VerbError) -> u8 {
    let _ = writeln!(std::io::stderr(), "quorate admin: {error}");
    1
}
