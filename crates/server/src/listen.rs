//! Listening sockets, one of each kind a thread, on the same address.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::ServerError;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Listens on an address with `count` sockets among which the system shares out the connections. The first socket is
/// bound without sharing for a moment, so that an address that another program uses is an error and not shared with it.
pub(crate) fn listen(
    purpose: &'static str,
    address: SocketAddr,
    count: usize,
) -> Result<Vec<TcpListener>, ServerError> {
    let failed = |source| ServerError::Listen { purpose, address, source };
    drop(bind(address, false).map_err(failed)?);
    (0..count).map(|_| bind(address, count > 1).map_err(failed)).collect()
}

fn bind(address: SocketAddr, shared: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a process before this one may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_named_with_a_way_on() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let error = listen("gRPC", address, 2).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("--listen"), "{error}");
    }

    #[test]
    fn sharing_sockets_of_another_program_are_refused_as_well() {
        let first = listen("gRPC", "127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let address = first[0].local_addr().unwrap();
        drop(first);
        let held = listen("gRPC", address, 2).unwrap();
        assert!(listen("gRPC", address, 2).is_err());
        drop(held);
        assert!(listen("gRPC", address, 2).is_ok());
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let error = listen("HTTP", "203.0.113.7:9180".parse().unwrap(), 1).unwrap_err().to_string();
        assert!(error.contains("no such address"), "{error}");
    }
}
