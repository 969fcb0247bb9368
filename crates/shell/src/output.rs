//! Where the shell's words go: result sets, notes and errors, each to its place.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use crate::copy::source::expand_home;
use crate::table::Format;

/// Standard output and error, and the file of `CAPTURE`.
pub struct Output {
    /// How result sets are printed.
    pub format: Format,
    /// Traces that wait for the result set they belong to.
    pub later: Vec<String>,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    capture: Option<(String, File)>,
}

impl Output {
    /// The process's own streams.
    pub fn standard(format: Format) -> Self {
        Self::new(format, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// Other streams, for tests.
    pub fn new(format: Format, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { format, later: Vec::new(), out, err, capture: None }
    }

    /// A piece of a result set.
    pub fn result(&mut self, text: &str) -> io::Result<()> {
        match &mut self.capture {
            Some((_, file)) => file.write_all(text.as_bytes()),
            None => {
                self.out.write_all(text.as_bytes())?;
                self.out.flush()
            }
        }
    }

    /// Something said beside the results: with a format for programs it must not mix with them.
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        let stream = if self.format == Format::Table { &mut self.out } else { &mut self.err };
        writeln!(stream, "{text}")?;
        stream.flush()
    }

    /// An error or a warning.
    pub fn error(&mut self, text: &str) -> io::Result<()> {
        self.out.flush()?;
        writeln!(self.err, "{text}")?;
        self.err.flush()
    }

    /// Appends results to a file from now on, or stops doing so.
    pub fn capture(&mut self, path: Option<&str>) -> io::Result<()> {
        self.capture = match path {
            Some(path) => {
                let file = OpenOptions::new().create(true).append(true).open(expand_home(path))?;
                Some((path.to_owned(), file))
            }
            None => None,
        };
        Ok(())
    }

    /// The file that results go to, if they do.
    pub fn captured_to(&self) -> Option<&str> {
        self.capture.as_ref().map(|(path, _)| path.as_str())
    }
}
