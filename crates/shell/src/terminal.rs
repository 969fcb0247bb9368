//! The line editor. It lives on a thread of its own: while a person thinks, the runtime keeps connections alive.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::{DefaultHistory, History, SearchDirection};
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use tokio::sync::oneshot;

use crate::complete::complete;
use crate::limits;
use crate::names::SchemaNames;

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A line.
    Line(String),
    /// Ctrl-C: forget the statement.
    Interrupted,
    /// Ctrl-D, or the terminal is gone.
    End,
}

enum Order {
    Read { prompt: String, reply: oneshot::Sender<Typed> },
    Remember(String),
}

/// A person's terminal.
pub struct Terminal {
    orders: mpsc::SyncSender<Order>,
    lines: Arc<Mutex<Vec<String>>>,
    /// The keyspace in use, for completion.
    pub keyspace: Arc<Mutex<Option<String>>>,
}

impl Terminal {
    /// Starts the editor.
    pub fn start(names: Arc<Mutex<SchemaNames>>) -> Result<Self, ReadlineError> {
        let keyspace: Arc<Mutex<Option<String>>> = Arc::default();
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .max_history_size(limits::HISTORY_LINES_MAX)?
            .history_ignore_space(true)
            .build();
        let mut editor: Editor<Assistant, DefaultHistory> = Editor::with_config(config)?;
        editor.set_helper(Some(Assistant { names, keyspace: Arc::clone(&keyspace) }));
        let history = history_path();
        if let Some(path) = &history {
            // A first start has no history yet.
            let _ = editor.load_history(path);
        }
        let lines = Arc::new(Mutex::new(remembered(&editor)));
        let (orders, inbox) = mpsc::sync_channel(4);
        let mut owner = EditorThread { editor, history, lines: Arc::clone(&lines) };
        std::thread::Builder::new()
            .name("line-editor".to_owned())
            .spawn(move || owner.run(&inbox))
            .map_err(ReadlineError::Io)?;
        Ok(Self { orders, lines, keyspace })
    }

    /// Reads a line.
    pub async fn read(&self, prompt: &str) -> Typed {
        let (reply, typed) = oneshot::channel();
        if self.orders.send(Order::Read { prompt: prompt.to_owned(), reply }).is_err() {
            return Typed::End;
        }
        typed.await.unwrap_or(Typed::End)
    }

    /// Asks whether to go on with the next page.
    pub async fn more(&self) -> bool {
        match self.read("---MORE---").await {
            Typed::Line(line) => !line.trim().eq_ignore_ascii_case("q"),
            Typed::Interrupted | Typed::End => false,
        }
    }

    /// Adds a statement to the history.
    pub fn remember(&self, statement: &str) {
        let line = statement.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let _ = self.orders.send(Order::Remember(line));
    }

    /// What was typed so far, oldest first.
    pub fn history(&self) -> Vec<String> {
        self.lines.lock().map(|lines| lines.clone()).unwrap_or_default()
    }
}

fn remembered(editor: &Editor<Assistant, DefaultHistory>) -> Vec<String> {
    let history = editor.history();
    (0..history.len())
        .filter_map(|index| history.get(index, SearchDirection::Forward).ok().flatten())
        .map(|found| found.entry.into_owned())
        .collect()
}

/// `$XDG_DATA_HOME/quorate/history`, else `~/.local/share/quorate/history`.
fn history_path() -> Option<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let data = data.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")))?;
    let folder = data.join("quorate");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

struct EditorThread {
    editor: Editor<Assistant, DefaultHistory>,
    history: Option<PathBuf>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl EditorThread {
    fn run(&mut self, inbox: &mpsc::Receiver<Order>) {
        while let Ok(order) = inbox.recv() {
            match order {
                Order::Read { prompt, reply } => {
                    let typed = match self.editor.readline(&prompt) {
                        Ok(line) => Typed::Line(line),
                        Err(ReadlineError::Interrupted) => Typed::Interrupted,
                        Err(_) => Typed::End,
                    };
                    // Nobody waits any more when the shell was stopped.
                    let _ = reply.send(typed);
                }
                Order::Remember(line) => {
                    let _ = self.editor.add_history_entry(&line);
                    if let Ok(mut lines) = self.lines.lock() {
                        lines.push(line);
                    }
                    if let Some(path) = &self.history {
                        let _ = self.editor.append_history(path);
                    }
                }
            }
        }
    }
}

/// Completion for the editor.
struct Assistant {
    names: Arc<Mutex<SchemaNames>>,
    keyspace: Arc<Mutex<Option<String>>>,
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let keyspace = self.keyspace.lock().map(|keyspace| keyspace.clone()).unwrap_or_default();
        Ok(match self.names.lock() {
            Ok(names) => complete(line, pos, keyspace.as_deref(), &names),
            Err(_) => (pos, Vec::new()),
        })
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}

impl Validator for Assistant {}

impl Helper for Assistant {}

/// The terminal's modes as they were at the start: a shell that is stopped while a line is being typed puts them back.
pub struct SavedModes(#[cfg(unix)] Option<rustix::termios::Termios>);

impl SavedModes {
    /// Remembers standard input's modes, if it is a terminal.
    pub fn save() -> Self {
        Self(
            #[cfg(unix)]
            rustix::termios::tcgetattr(rustix::stdio::stdin()).ok(),
        )
    }

    /// Puts them back.
    pub fn restore(&self) {
        #[cfg(unix)]
        if let Some(modes) = &self.0 {
            let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), rustix::termios::OptionalActions::Now, modes);
        }
    }
}
