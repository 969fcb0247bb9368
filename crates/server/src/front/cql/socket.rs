//! What a driver's connection reads from and writes to: a TCP stream, or one with TLS. Neither has a task of its own.

use std::future::Future;
use std::io::{self, BufRead as _, ErrorKind, IoSlice, Read, Write};

use bytes::{Buf as _, BytesMut};
use quorate_node::TlsFact;
use rustls::ServerConnection;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::limits::CQL_READ_BYTES;

/// What came of writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// The system took some bytes.
    pub(super) some: bool,
    /// It did not take all of them.
    pub(super) left: bool,
}

/// One driver's socket.
pub(super) trait Socket {
    /// There may be something to read.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// There may be room to write.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Takes what there is; false at the end.
    fn read(&mut self, input: &mut BytesMut) -> io::Result<bool>;

    /// Gives what it takes.
    fn write(&mut self, output: &mut BytesMut) -> io::Result<Written>;

    /// Has something of its own to write.
    fn wants_write(&self) -> bool;

    /// Nothing more will be written.
    fn close(&mut self);

    /// What was agreed on, with TLS.
    fn tls(&self) -> Option<TlsFact>;
}

impl Socket for TcpStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        Self::readable(self)
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
        Self::writable(self)
    }

    fn read(&mut self, input: &mut BytesMut) -> io::Result<bool> {
        input.reserve(CQL_READ_BYTES);
        match self.try_read_buf(input) {
            Ok(0) => Ok(false),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, output: &mut BytesMut) -> io::Result<Written> {
        let before = output.len();
        while !output.is_empty() {
            match self.try_write(output) {
                Ok(count) => output.advance(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Written { some: output.len() < before, left: !output.is_empty() })
    }

    fn wants_write(&self) -> bool {
        false
    }

    fn close(&mut self) {}

    fn tls(&self) -> Option<TlsFact> {
        None
    }
}

/// A socket on which TLS is agreed on. Records are sealed and opened in place.
pub(super) struct TlsSocket {
    tcp: TcpStream,
    session: ServerConnection,
    /// What came together with the end of the handshake, and is not read yet.
    left_over: bool,
}

impl TlsSocket {
    pub(super) fn new(stream: TlsStream<TcpStream>) -> io::Result<Self> {
        let (tcp, mut session) = stream.into_inner();
        let state = session.process_new_packets().map_err(malformed)?;
        let left_over = state.plaintext_bytes_to_read() > 0 || state.peer_has_closed();
        Ok(Self { tcp, session, left_over })
    }

    /// Writes what TLS has to write.
    fn flush(&mut self) -> io::Result<Written> {
        let mut written = Written::default();
        while self.session.wants_write() {
            match self.session.write_tls(&mut Tcp(&self.tcp)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => written.some = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    written.left = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}

fn malformed(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

impl Socket for TlsSocket {
    async fn readable(&self) -> io::Result<()> {
        if self.left_over { Ok(()) } else { self.tcp.readable().await }
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.tcp.writable()
    }

    fn read(&mut self, input: &mut BytesMut) -> io::Result<bool> {
        let mut ended = false;
        if !std::mem::take(&mut self.left_over) {
            match self.session.read_tls(&mut Tcp(&self.tcp)) {
                Ok(0) => ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        let state = match self.session.process_new_packets() {
            Ok(state) => state,
            Err(error) => {
                // The client is told why, if it still listens.
                let _ = self.flush();
                return Err(malformed(error));
            }
        };
        let mut unread = state.plaintext_bytes_to_read();
        input.reserve(unread);
        let mut reader = self.session.reader();
        while unread > 0 {
            let chunk = reader.fill_buf()?;
            let count = chunk.len();
            if count == 0 {
                break;
            }
            input.extend_from_slice(chunk);
            reader.consume(count);
            unread = unread.saturating_sub(count);
        }
        Ok(!ended && !state.peer_has_closed())
    }

    fn write(&mut self, output: &mut BytesMut) -> io::Result<Written> {
        let mut some = false;
        loop {
            let flushed = self.flush()?;
            some |= flushed.some;
            if flushed.left || output.is_empty() {
                return Ok(Written { some, left: flushed.left });
            }
            let count = self.session.writer().write(output)?;
            if count == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            output.advance(count);
        }
    }

    fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    fn close(&mut self) {
        self.session.send_close_notify();
        // The client may be gone already.
        let _ = self.flush();
    }

    fn tls(&self) -> Option<TlsFact> {
        let protocol = self.session.protocol_version()?.as_str()?.replace('_', ".");
        let suite = self.session.negotiated_cipher_suite()?.suite().as_str()?;
        Some(TlsFact { protocol, cipher_suite: suite.replacen("TLS13_", "TLS_", 1) })
    }
}

/// A TCP stream as rustls reads and writes it.
struct Tcp<'a>(&'a TcpStream);

impl Read for Tcp<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Tcp<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
