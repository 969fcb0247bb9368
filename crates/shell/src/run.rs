//! The shell as a whole: a script's run, or a conversation.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use crate::copy::source::expand_home;
use crate::errors::ShellError;
use crate::front::Front;
use crate::output::Output;
use crate::session::{Flow, Session, version};
use crate::split::split;
use crate::table::Format;
use crate::terminal::{SavedModes, Terminal, Typed};

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct ShellOptions {
    /// `-e`: statements to run.
    pub execute: Vec<String>,
    /// `-f`: files to run.
    pub files: Vec<PathBuf>,
    /// How result sets are printed.
    pub format: Format,
    /// The keyspace to begin with.
    pub keyspace: Option<String>,
}

/// Runs the shell; gives the process's exit status: 0, or 1 at a script's first failure.
pub async fn run(front: Arc<dyn Front>, options: &ShellOptions) -> u8 {
    let mut session = Session::new(front, Output::standard(options.format));
    session.settings.keyspace = options.keyspace.clone();
    let scripted = !options.execute.is_empty() || !options.files.is_empty();
    if !scripted && io::stdin().is_terminal() && io::stdout().is_terminal() {
        return converse(&mut session).await;
    }
    match run_scripts(&mut session, options, scripted).await {
        Ok(_) => 0,
        Err(error) => {
            // Nothing is left to tell a reader that went away.
            let _ = session.output.error(&error.render(""));
            1
        }
    }
}

async fn run_scripts(session: &mut Session, options: &ShellOptions, scripted: bool) -> Result<Flow, ShellError> {
    for text in &options.execute {
        if session.run_script(text, None, 0).await? == Flow::Exit {
            return Ok(Flow::Exit);
        }
    }
    for path in &options.files {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(expand_home(&name));
        let text = text.map_err(|error| ShellError::File { path: name.clone(), error })?;
        if session.run_script(&text, Some(&name), 0).await? == Flow::Exit {
            return Ok(Flow::Exit);
        }
    }
    if scripted {
        return Ok(Flow::Continue);
    }
    // On a thread of its own: signals must still be heard while nobody types.
    let text = tokio::task::spawn_blocking(|| io::read_to_string(io::stdin())).await;
    let text = text.map_err(|error| ShellError::Other(error.to_string()))?;
    let text = text.map_err(|error| ShellError::File { path: "standard input".into(), error })?;
    session.run_script(&text, Some("<stdin>"), 0).await
}

/// Reads statements from a person until they leave.
async fn converse(session: &mut Session) -> u8 {
    let modes = SavedModes::save();
    let terminal = match Terminal::start(Arc::clone(&session.names)) {
        Ok(terminal) => terminal,
        Err(error) => {
            let _ = session.output.error(&format!("the terminal cannot be used: {error}"));
            return 1;
        }
    };
    session.terminal = Some(terminal);
    let connected = match session.cluster().await {
        Ok(cluster) => format!("Connected to {} at {}", cluster.cluster_name, session.endpoint()),
        Err(error) => format!("{}\n(will try again with each statement)", error.render("")),
    };
    let _ = session.output.note(&format!("{connected}\n{}\nUse HELP for help.", version()));
    session.learn_names().await;
    let mut pending = String::new();
    loop {
        let prompt = match (&session.settings.keyspace, pending.is_empty()) {
            (_, false) => "   ... ".to_owned(),
            (Some(keyspace), true) => format!("quorate:{keyspace}> "),
            (None, true) => "quorate> ".to_owned(),
        };
        let typed = match &session.terminal {
            Some(terminal) => {
                if let Ok(mut keyspace) = terminal.keyspace.lock() {
                    keyspace.clone_from(&session.settings.keyspace);
                }
                terminal.read(&prompt).await
            }
            None => Typed::End,
        };
        match typed {
            Typed::End => break,
            Typed::Interrupted => pending.clear(),
            Typed::Line(line) => {
                pending.push_str(&line);
                pending.push('\n');
                if run_pending(session, &mut pending).await == Flow::Exit {
                    break;
                }
            }
        }
    }
    modes.restore();
    0
}

/// Runs what is complete of the typed text and keeps the rest.
async fn run_pending(session: &mut Session, pending: &mut String) -> Flow {
    let text = std::mem::take(pending);
    let pieces = split(&text);
    for piece in pieces {
        if !piece.complete {
            let start = piece.text.as_ptr() as usize - text.as_ptr() as usize;
            *pending = text.get(start..).unwrap_or_default().to_owned();
            return Flow::Continue;
        }
        if let Some(terminal) = &session.terminal {
            terminal.remember(piece.text);
        }
        let outcome = tokio::select! {
            outcome = session.run(piece.text, 0) => outcome,
            _ = tokio::signal::ctrl_c() => {
                Err(ShellError::Other("Interrupted; the statement may or may not have been executed.".to_owned()))
            }
        };
        match outcome {
            Ok(Flow::Continue) => {}
            Ok(Flow::Exit) => return Flow::Exit,
            Err(error) => {
                session.output.later.clear();
                if session.output.error(&error.render(piece.text)).is_err() {
                    return Flow::Exit;
                }
            }
        }
    }
    Flow::Continue
}
