//! A CQL server that does nothing: it takes frames apart, answers each with bytes made beforehand, and keeps nothing. What it
//! costs is what any server pays for sockets and frames, and what a driver shows on top of it is the most that it can show.
//!
//! One thread, one current-thread runtime, everything in place; the answers to what one read brought go out in one write.
//! It speaks protocol version 4, which is what the driver opens with, and knows as much CQL as it takes to be connected
//! to: lists of columns, markers, and the two tables of the load (`statements.rs`).
//!
//! ```sh
//! null-cql 127.0.0.1:9042 [bytes of a value, 100 unless told]
//! ```

#[path = "../statements.rs"]
mod statements;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use statements::{Statements, put_string};
use tokio::net::{TcpListener, TcpStream};

const HEADER_BYTES: usize = 9;
const VERSION: u8 = 4;
/// A frame that is longer ends its connection: the load sends none.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// What one read takes at most.
const READ_BYTES: usize = 256 * 1024;

mod opcode {
    pub const ERROR: u8 = 0x00;
    pub const STARTUP: u8 = 0x01;
    pub const READY: u8 = 0x02;
    pub const OPTIONS: u8 = 0x05;
    pub const SUPPORTED: u8 = 0x06;
    pub const QUERY: u8 = 0x07;
    pub const RESULT: u8 = 0x08;
    pub const PREPARE: u8 = 0x09;
    pub const EXECUTE: u8 = 0x0A;
    pub const REGISTER: u8 = 0x0B;
}

const PROTOCOL_ERROR: i32 = 0x000A;
const INVALID: i32 = 0x2200;
const UNPREPARED: i32 = 0x2500;
const SKIP_METADATA: u8 = 0x02;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments.next().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        eprintln!("usage: null-cql ADDRESS:PORT [VALUE_BYTES]");
        std::process::exit(2);
    });
    let value_bytes = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(100);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let listener = TcpListener::bind(address).await?;
        println!("ready: {}", listener.local_addr()?);
        let statements = Rc::new(RefCell::new(Statements::new(address, value_bytes)));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(serve(stream, Rc::clone(&statements)));
        }
    })
}

/// Answers until the other side goes away or says what is no frame.
async fn serve(stream: TcpStream, statements: Rc<RefCell<Statements>>) {
    let mut input: Vec<u8> = Vec::with_capacity(2 * READ_BYTES);
    let mut output: Vec<u8> = Vec::with_capacity(READ_BYTES);
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        let held = input.len();
        input.resize(held + READ_BYTES, 0);
        match stream.try_read(&mut input[held..]) {
            Ok(0) => return,
            Ok(read) => input.truncate(held + read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                input.truncate(held);
                continue;
            }
            Err(_) => return,
        }
        let Some(taken) = answer_all(&input, &mut statements.borrow_mut(), &mut output) else { return };
        input.drain(..taken);
        if write_all(&stream, &output).await.is_err() {
            return;
        }
        output.clear();
    }
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Answers every whole frame; how many bytes they were. `None` if it is no frame.
fn answer_all(input: &[u8], statements: &mut Statements, output: &mut Vec<u8>) -> Option<usize> {
    let mut taken = 0;
    while let Some(header) = input[taken..].first_chunk::<HEADER_BYTES>() {
        let length = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) as usize;
        if length > FRAME_BYTES_MAX {
            return None;
        }
        let begin = taken + HEADER_BYTES;
        let Some(body) = input.get(begin..begin + length) else { break };
        taken = begin + length;
        answer(header, body, statements, output)?;
    }
    Some(taken)
}

fn answer(header: &[u8; HEADER_BYTES], body: &[u8], statements: &mut Statements, output: &mut Vec<u8>) -> Option<()> {
    let [version, _, high, low, code, ..] = *header;
    let stream = [high, low];
    if version != VERSION {
        let problem = format!("Invalid or unsupported protocol version ({version}); the null server speaks 4/v4 only");
        error(output, stream, PROTOCOL_ERROR, &problem, &[]);
        return Some(());
    }
    match code {
        opcode::EXECUTE => {
            let id_bytes = usize::from(u16::from_be_bytes(*body.first_chunk()?));
            let id = body.get(2..2 + id_bytes)?;
            let flags = *body.get(2 + id_bytes + 2)?;
            match statements.prepared(id) {
                Some(found) if flags & SKIP_METADATA != 0 => frame(output, stream, opcode::RESULT, &found.bare_answer),
                Some(found) => frame(output, stream, opcode::RESULT, &found.answer),
                None => {
                    let mut rest = (id_bytes as u16).to_be_bytes().to_vec();
                    rest.extend_from_slice(id);
                    error(output, stream, UNPREPARED, "not prepared here", &rest);
                }
            }
        }
        opcode::QUERY | opcode::PREPARE => {
            let length = u32::from_be_bytes(*body.first_chunk()?) as usize;
            let text = std::str::from_utf8(body.get(4..4 + length)?).ok()?;
            match statements.prepare(text) {
                Ok(found) if code == opcode::QUERY => frame(output, stream, opcode::RESULT, &found.answer),
                Ok(found) => frame(output, stream, opcode::RESULT, &found.prepared),
                Err(problem) => error(output, stream, INVALID, &problem, &[]),
            }
        }
        opcode::OPTIONS => frame(output, stream, opcode::SUPPORTED, &supported()),
        opcode::STARTUP | opcode::REGISTER => frame(output, stream, opcode::READY, &[]),
        _ => error(output, stream, PROTOCOL_ERROR, "the null server does not know this message", &[]),
    }
    Some(())
}

fn frame(output: &mut Vec<u8>, stream: [u8; 2], code: u8, body: &[u8]) {
    output.extend_from_slice(&[0x80 | VERSION, 0, stream[0], stream[1], code]);
    output.extend_from_slice(&(body.len() as u32).to_be_bytes());
    output.extend_from_slice(body);
}

fn error(output: &mut Vec<u8>, stream: [u8; 2], code: i32, message: &str, rest: &[u8]) {
    let mut body = code.to_be_bytes().to_vec();
    put_string(&mut body, message);
    body.extend_from_slice(rest);
    frame(output, stream, opcode::ERROR, &body);
}

fn supported() -> Vec<u8> {
    let options: [(&str, &[&str]); 3] =
        [("COMPRESSION", &[]), ("CQL_VERSION", &["3.4.7"]), ("PROTOCOL_VERSIONS", &["4/v4"])];
    let mut body = (options.len() as u16).to_be_bytes().to_vec();
    for (name, values) in options {
        put_string(&mut body, name);
        body.extend_from_slice(&(values.len() as u16).to_be_bytes());
        for value in values {
            put_string(&mut body, value);
        }
    }
    body
}
