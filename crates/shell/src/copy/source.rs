//! Where CSV comes from and goes to: files, compressed or not, and the standard streams.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::copy::options::CsvPlace;

/// CSV to read, with a way to see how far it has come.
pub struct Source {
    /// Yields the text, already decompressed.
    pub reader: Box<dyn Read + Send>,
    /// What people call it.
    pub name: String,
    /// Its size in bytes as stored, if known.
    pub bytes_total: Option<u64>,
    /// Stored bytes read so far.
    pub bytes_read: Arc<AtomicU64>,
}

impl Source {
    /// Opens a file or standard input.
    pub fn open(place: &CsvPlace) -> io::Result<Self> {
        match place {
            CsvPlace::Standard => Ok(Self::from_reader(Box::new(io::stdin()), "standard input", None, false)),
            CsvPlace::File(path) => {
                let file = File::open(expand_home(path))?;
                let size = file.metadata()?.len();
                Ok(Self::from_reader(Box::new(file), path, Some(size), path.ends_with(".gz")))
            }
        }
    }

    /// Reads what is already in memory.
    pub fn from_bytes(bytes: &'static [u8], name: &str) -> Self {
        Self::from_reader(Box::new(bytes), name, Some(bytes.len() as u64), name.ends_with(".gz"))
    }

    fn from_reader(reader: Box<dyn Read + Send>, name: &str, bytes_total: Option<u64>, compressed: bool) -> Self {
        let bytes_read = Arc::new(AtomicU64::new(0));
        let counted = BufReader::new(Counted { inner: reader, bytes: Arc::clone(&bytes_read) });
        let reader: Box<dyn Read + Send> =
            if compressed { Box::new(MultiGzDecoder::new(counted)) } else { Box::new(counted) };
        Self { reader, name: name.to_owned(), bytes_total, bytes_read }
    }
}

struct Counted {
    inner: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A CSV to write: finished explicitly, so that a full disk is noticed.
pub enum Sink {
    /// A plain file.
    Plain(BufWriter<File>),
    /// A compressed one.
    Compressed(GzEncoder<BufWriter<File>>),
    /// Standard output.
    Standard(io::Stdout),
}

impl Sink {
    /// Creates the file, or takes standard output.
    pub fn create(place: &CsvPlace) -> io::Result<Self> {
        match place {
            CsvPlace::Standard => Ok(Self::Standard(io::stdout())),
            CsvPlace::File(path) => {
                let file = BufWriter::new(File::create(expand_home(path))?);
                Ok(match path.ends_with(".gz") {
                    true => Self::Compressed(GzEncoder::new(file, Compression::default())),
                    false => Self::Plain(file),
                })
            }
        }
    }

    /// Writes what is buffered, the compressed stream's end included.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut file) => file.flush(),
            Self::Compressed(encoder) => encoder.finish()?.flush(),
            Self::Standard(mut out) => out.flush(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(buffer),
            Self::Compressed(encoder) => encoder.write(buffer),
            Self::Standard(out) => out.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Compressed(encoder) => encoder.flush(),
            Self::Standard(out) => out.flush(),
        }
    }
}

/// `~/x` as a path in the user's home.
pub fn expand_home(path: &str) -> std::path::PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => std::path::Path::new(&home).join(rest),
        _ => path.into(),
    }
}
