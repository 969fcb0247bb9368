//! A shell's state, and what each statement and command does to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use quorate_model::admin::{AdminAnswer, AdminRequest, ClusterStatus};
use quorate_model::request::{Answer, ClientResponse, QueryOptions, Rows};
use quorate_model::{Consistency, NodeId};

use crate::codec::decode_rows;
use crate::commands::{self, Capture, Command, Paging};
use crate::copy::export::{Export, export};
use crate::copy::import::{Import, import};
use crate::copy::options::{CopyCommand, CsvPlace, Direction};
use crate::copy::source::{Source, expand_home};
use crate::describe;
use crate::errors::ShellError;
use crate::front::Front;
use crate::names::SchemaNames;
use crate::output::Output;
use crate::progress::Progress;
use crate::split::split;
use crate::table::{Format, Printer};
use crate::terminal::Terminal;
use crate::{help, limits, trace};

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// With the next statement.
    Continue,
    /// `EXIT` was said.
    Exit,
}

/// What the shell's commands set.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Settings {
    pub keyspace: Option<String>,
    pub consistency: Consistency,
    pub serial_consistency: Consistency,
    /// Rows a page on a terminal; `None` when paging is off.
    pub page_rows: Option<u32>,
    pub tracing: bool,
    pub expand: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keyspace: None,
            consistency: Consistency::One,
            serial_consistency: Consistency::Serial,
            page_rows: Some(limits::PAGE_ROWS_DEFAULT),
            tracing: false,
            expand: false,
        }
    }
}

/// A shell.
pub struct Session {
    front: Arc<dyn Front>,
    /// Where words go.
    pub output: Output,
    /// What was set.
    pub settings: Settings,
    /// The schema's names for completion, shared with the line editor.
    pub names: Arc<Mutex<SchemaNames>>,
    /// The terminal, if a person sits there.
    pub terminal: Option<Terminal>,
    addresses: BTreeMap<NodeId, String>,
}

impl Session {
    /// A shell on this front.
    pub fn new(front: Arc<dyn Front>, output: Output) -> Self {
        Self {
            front,
            output,
            settings: Settings::default(),
            names: Arc::default(),
            terminal: None,
            addresses: BTreeMap::new(),
        }
    }

    /// The node's address, for people.
    pub fn endpoint(&self) -> String {
        self.front.endpoint()
    }

    /// Runs all statements and commands of a text; stops at the first failure.
    pub async fn run_script(&mut self, text: &str, name: Option<&str>, depth: usize) -> Result<Flow, ShellError> {
        for piece in split(text) {
            match Box::pin(self.run(piece.text, depth)).await {
                Ok(Flow::Continue) => {}
                Ok(Flow::Exit) => return Ok(Flow::Exit),
                Err(error) => {
                    let name = name.unwrap_or("<input>");
                    return Err(error.in_script(name, piece.line, piece.text));
                }
            }
        }
        Ok(Flow::Continue)
    }

    /// Runs one statement or command.
    pub async fn run(&mut self, text: &str, depth: usize) -> Result<Flow, ShellError> {
        if text.trim_matches(|c: char| c == ';' || c.is_whitespace()).is_empty() {
            return Ok(Flow::Continue);
        }
        if text.len() > limits::STATEMENT_BYTES_MAX {
            return Err(ShellError::Other(format!("a statement has at most {} bytes", limits::STATEMENT_BYTES_MAX)));
        }
        match commands::parse(text) {
            None => self.statement(text).await.map(|()| Flow::Continue),
            Some(command) => self.command(command?, depth).await,
        }
    }

    async fn command(&mut self, command: Command, depth: usize) -> Result<Flow, ShellError> {
        match command {
            Command::Exit => return Ok(Flow::Exit),
            Command::Source(path) => {
                if depth >= limits::SOURCE_DEPTH_MAX {
                    return Err(ShellError::Other(format!(
                        "SOURCE is nested deeper than {}",
                        limits::SOURCE_DEPTH_MAX
                    )));
                }
                let text = std::fs::read_to_string(expand_home(&path));
                let text = text.map_err(|error| ShellError::File { path: path.clone(), error })?;
                return self.run_script(&text, Some(&path), depth + 1).await;
            }
            Command::Copy(copy) => self.copy(*copy).await?,
            Command::Capture(capture) => self.capture(&capture)?,
            Command::ShowHost => {
                let cluster = self.cluster().await?;
                self.output.note(&format!("Connected to {} at {}", cluster.cluster_name, self.front.endpoint()))?;
            }
            Command::ShowVersion => self.output.note(&version())?,
            Command::Help(topics) => self.output.note(&help::render(&topics))?,
            Command::Clear if self.terminal.is_some() => self.output.note("\x1b[2J\x1b[H")?,
            Command::Clear => {}
            Command::History => {
                let lines = self.terminal.as_ref().map(Terminal::history).unwrap_or_default();
                self.output.note(&lines.join("\n"))?;
            }
            setting => self.set(&setting)?,
        }
        Ok(Flow::Continue)
    }

    fn set(&mut self, command: &Command) -> Result<(), ShellError> {
        let settings = &mut self.settings;
        let on_off = |what: &str, on: bool, changed: bool| {
            let (now, state) = (if changed { "Now " } else { "" }, if on { "enabled" } else { "disabled" });
            format!("{now}{what} is {state}.")
        };
        let said = match command {
            Command::Consistency(None) => format!("Current consistency level is {}.", settings.consistency),
            Command::Consistency(Some(level)) => {
                settings.consistency = *level;
                format!("Consistency level set to {level}.")
            }
            Command::SerialConsistency(None) => {
                format!("Current serial consistency level is {}.", settings.serial_consistency)
            }
            Command::SerialConsistency(Some(level)) => {
                settings.serial_consistency = *level;
                format!("Serial consistency level set to {level}.")
            }
            Command::Tracing(change) => {
                settings.tracing = change.unwrap_or(settings.tracing);
                on_off("Tracing", settings.tracing, change.is_some())
            }
            Command::Expand(change) => {
                settings.expand = change.unwrap_or(settings.expand);
                on_off("Expanded output", settings.expand, change.is_some())
            }
            Command::Paging(change) => {
                settings.page_rows = match change {
                    None => settings.page_rows,
                    Some(Paging::On) => Some(settings.page_rows.unwrap_or(limits::PAGE_ROWS_DEFAULT)),
                    Some(Paging::Off) => None,
                    Some(Paging::Rows(rows)) => Some(*rows),
                };
                match settings.page_rows {
                    Some(rows) => format!("Query paging is enabled. Page size: {rows}."),
                    None => "Query paging is disabled.".to_owned(),
                }
            }
            _ => return Ok(()),
        };
        self.output.note(&said)?;
        Ok(())
    }

    fn capture(&mut self, capture: &Capture) -> Result<(), ShellError> {
        match capture {
            Capture::Off => {
                self.output.capture(None)?;
                self.output.note("Not capturing.")?;
            }
            Capture::To(path) => {
                let opened = self.output.capture(Some(path));
                opened.map_err(|error| ShellError::File { path: path.clone(), error })?;
                self.output.note(&format!("Now capturing query output to '{path}'."))?;
            }
            Capture::Show => {
                let said = match self.output.captured_to() {
                    Some(path) => format!("Currently capturing query output to '{path}'."),
                    None => "Currently not capturing query output.".to_owned(),
                };
                self.output.note(&said)?;
            }
        }
        Ok(())
    }

    /// The cluster as the node sees it; its addresses are kept for traces.
    pub async fn cluster(&mut self) -> Result<ClusterStatus, ShellError> {
        match self.front.admin(&AdminRequest::Topology).await? {
            AdminAnswer::Cluster(cluster) => {
                self.addresses = cluster.nodes.iter().map(|node| (node.id, node.address.clone())).collect();
                Ok(cluster)
            }
            _ => Err(ShellError::Other("the node did not describe the cluster".to_owned())),
        }
    }

    /// Learns the schema's names for completion; without them the keywords still complete.
    pub async fn learn_names(&mut self) {
        if let Ok(loaded) = SchemaNames::load(self.front.as_ref()).await
            && let Ok(mut names) = self.names.lock()
        {
            *names = loaded;
        }
    }

    async fn ask(&self, text: &str, paging_state: Option<bytes::Bytes>) -> Result<ClientResponse, ShellError> {
        let page_size = match (&self.terminal, self.settings.page_rows) {
            (Some(_), rows) => rows,
            (None, _) => Some(limits::PAGE_ROWS_UNATTENDED),
        };
        let options = QueryOptions {
            consistency: self.settings.consistency,
            serial_consistency: Some(self.settings.serial_consistency),
            page_size,
            paging_state,
            tracing: self.settings.tracing,
            ..QueryOptions::default()
        };
        Ok(self.front.query(text, self.settings.keyspace.as_deref(), options).await?)
    }

    /// Asks once and prints what came besides the answer.
    async fn answer(&mut self, text: &str, paging_state: Option<bytes::Bytes>) -> Result<Answer, ShellError> {
        let response = self.ask(text, paging_state).await?;
        for warning in &response.warnings {
            self.output.error(&format!("Warning: {warning}"))?;
        }
        if let Some(trace) = &response.trace {
            if self.addresses.is_empty() {
                // A trace with node ids instead of addresses is still a trace.
                let _ = self.cluster().await;
            }
            let rendered = trace::render(trace, &self.addresses);
            if response.result.is_err() {
                self.output.error(&rendered)?;
            } else {
                self.pending_trace(rendered);
            }
        }
        Ok(response.result?)
    }

    fn pending_trace(&mut self, rendered: String) {
        self.output.later.push(rendered);
    }

    async fn statement(&mut self, text: &str) -> Result<(), ShellError> {
        match self.answer(text, None).await? {
            Answer::Rows(rows) if self.output.format == Format::Table && describe::is_description(&rows) => {
                self.description(text, rows).await?;
            }
            Answer::Rows(rows) => self.result_set(text, rows).await?,
            Answer::SetKeyspace(keyspace) => self.settings.keyspace = Some(keyspace),
            Answer::SchemaChange(_) if self.terminal.is_some() => self.learn_names().await,
            _ => {}
        }
        for rendered in std::mem::take(&mut self.output.later) {
            self.output.note(&rendered)?;
        }
        Ok(())
    }

    async fn result_set(&mut self, text: &str, mut rows: Rows) -> Result<(), ShellError> {
        let columns = rows.metadata.columns.clone();
        let mut printer = Printer::new(self.output.format, self.settings.expand, columns);
        loop {
            self.output.result(&printer.page(&decode_rows(&rows)?))?;
            let Some(paging_state) = rows.paging_state.take() else { break };
            if let Some(terminal) = &self.terminal
                && !terminal.more().await
            {
                break;
            }
            rows = match self.answer(text, Some(paging_state)).await? {
                Answer::Rows(rows) => rows,
                _ => return Err(ShellError::Other("the server did not answer with rows".to_owned())),
            };
        }
        self.output.result(&printer.end())?;
        if self.terminal.is_some() {
            self.output.result("\n")?;
        }
        Ok(())
    }

    async fn description(&mut self, text: &str, mut rows: Rows) -> Result<(), ShellError> {
        let columns = rows.metadata.columns.clone();
        let mut all = decode_rows(&rows)?;
        while let Some(paging_state) = rows.paging_state.take() {
            if let Answer::Rows(next) = self.answer(text, Some(paging_state)).await? {
                all.extend(decode_rows(&next)?);
                rows = next;
            }
        }
        self.output.result(&describe::render(&columns, &all))?;
        Ok(())
    }

    async fn copy(&mut self, copy: CopyCommand) -> Result<(), ShellError> {
        let keyspace = copy.keyspace.or_else(|| self.settings.keyspace.clone());
        let Some(keyspace) = keyspace else {
            return Err(ShellError::Other(
                "No keyspace has been specified. USE a keyspace, or name it: keyspace.table".into(),
            ));
        };
        let path = match &copy.place {
            CsvPlace::File(path) => path.clone(),
            CsvPlace::Standard => "standard streams".to_owned(),
        };
        let (table, columns, options) = (copy.table, copy.columns, copy.options);
        let consistency = self.settings.consistency;
        match copy.direction {
            Direction::From => {
                let source =
                    Source::open(&copy.place).map_err(|error| ShellError::File { path: path.clone(), error })?;
                let bytes = source.bytes_total.map(|total| (total, Arc::clone(&source.bytes_read)));
                let progress = Progress::on_terminal(&format!("{keyspace}.{table}"), bytes);
                let name = source.name.clone();
                let job = Import { keyspace, table, columns, source, options, consistency };
                let summary = import(&self.front, job, &progress).await?;
                let rendered = summary.render(&name);
                if summary.stopped.is_some() {
                    return Err(ShellError::Other(rendered));
                }
                self.output.note(&rendered)?;
            }
            Direction::To => {
                let progress = Progress::on_terminal(&format!("{keyspace}.{table}"), None);
                let standard = copy.place == CsvPlace::Standard;
                let job = Export { keyspace, table, columns, place: copy.place, options, consistency };
                let (rows, elapsed) = export(&self.front, &job, &progress).await?;
                let said = format!("{rows} rows exported to {path} in {:.3} seconds.", elapsed.as_secs_f64());
                // Beside rows on standard output a summary would be read as one of them.
                if standard { self.output.error(&said)? } else { self.output.note(&said)? }
            }
        }
        Ok(())
    }
}

/// What `SHOW VERSION` says.
pub fn version() -> String {
    format!("[quorate shell {} | CQL 3.4.7]", env!("CARGO_PKG_VERSION"))
}
