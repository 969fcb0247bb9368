//! Whether the demo's addresses and ports are free, before anything is started.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

/// A node's ports.
const PORTS: [(u16, &str); 4] = [(9042, "CQL"), (7000, "internode"), (9044, "gRPC"), (9180, "HTTP")];

/// An address that the demo cannot have.
#[derive(Debug, thiserror::Error)]
pub enum Taken {
    /// Somebody listens there.
    #[error(
        "{address} ({purpose}) is already in use, perhaps by another demo, a node or Cassandra.
Stop it first (ss -ltnp 'sport = :{port}' names the process), or talk to it: quorate shell {ip}
or choose other addresses: quorate demo --listen {other}"
    )]
    #[allow(missing_docs, reason = "the names say it")]
    InUse { address: SocketAddrV4, purpose: &'static str, ip: Ipv4Addr, port: u16, other: Ipv4Addr },
    /// The machine does not have it.
    #[error(
        "{ip} is no address of this machine ({reason}).
On macOS add it first: sudo ifconfig lo0 alias {ip} up; or choose another: quorate demo --listen IP"
    )]
    #[allow(missing_docs, reason = "the names say it")]
    Missing { ip: Ipv4Addr, reason: std::io::Error },
}

/// Tries every port of every address.
pub fn check(addresses: &[Ipv4Addr]) -> Result<(), Taken> {
    for ip in addresses {
        for (port, purpose) in PORTS {
            let address = SocketAddrV4::new(*ip, port);
            match TcpListener::bind(address) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    return Err(Taken::InUse { address, purpose, ip: *ip, port, other: elsewhere(addresses) });
                }
                Err(reason) => return Err(Taken::Missing { ip: *ip, reason }),
            }
        }
    }
    Ok(())
}

/// Loopback addresses well after those that were wanted.
fn elsewhere(addresses: &[Ipv4Addr]) -> Ipv4Addr {
    let last = addresses.last().map_or(u32::from(Ipv4Addr::LOCALHOST), |last| u32::from(*last));
    Ipv4Addr::from(last.saturating_add(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_ways_on() {
        // An address that no other test uses.
        let ip = Ipv4Addr::new(127, 77, 3, 9);
        assert!(check(&[ip]).is_ok());
        let _listener = TcpListener::bind((ip, 9044)).unwrap();
        let message = check(&[ip]).unwrap_err().to_string();
        assert!(message.starts_with("127.77.3.9:9044 (gRPC) is already in use"), "{message}");
        assert!(message.contains("quorate shell 127.77.3.9") && message.contains("--listen 127.77.3.17"));
    }
}
