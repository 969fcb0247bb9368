//! The addresses of hosts that advertise a name: drivers are told addresses only. Names are looked up beside all requests,
//! when a node comes and from time to time; an address that was found stays until another one is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::driver::NodeView;
use crate::limits::{NAME_LOOKUP_TIMEOUT, NAMES_MAX, NAMES_REFRESH_INTERVAL};
use crate::outside::Outside;

/// How often it looks for new nodes.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Addresses by host name.
#[derive(Default)]
pub(crate) struct Names(RwLock<BTreeMap<String, IpAddr>>);

impl Names {
    pub(crate) fn get(&self, host: &str) -> Option<IpAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(host).copied()
    }

    fn set(&self, host: String, address: IpAddr) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(host, address);
    }

    fn keep_only(&self, hosts: &[String]) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|host, _| hosts.contains(host));
    }
}

/// The host of `HOST:PORT` or of `HOST`, if it is a name.
fn name_of(address: &str) -> Option<String> {
    if address.parse::<IpAddr>().is_ok() {
        return None;
    }
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_err().then(|| host.to_owned())
}

/// The one that all look-ups prefer: of the family that this node listens on, then the least.
fn choose(found: impl IntoIterator<Item = IpAddr>, listen: IpAddr) -> Option<IpAddr> {
    let usable = found.into_iter().filter(|address| !address.is_unspecified());
    usable.min_by_key(|address| (address.is_ipv4() != listen.is_ipv4(), *address))
}

async fn look_up(host: &str, listen: IpAddr) -> Option<IpAddr> {
    let found = tokio::time::timeout(NAME_LOOKUP_TIMEOUT, tokio::net::lookup_host((host, 0))).await;
    match found {
        Ok(Ok(found)) => choose(found.map(|address| address.ip()), listen),
        Ok(Err(error)) => {
            tracing::debug!(host, %error, "cannot resolve a node's name");
            None
        }
        Err(_) => {
            tracing::debug!(host, "the name service does not answer in time");
            None
        }
    }
}

/// Keeps the addresses of all nodes' names. `own` is how this node is reached.
pub(crate) async fn watch(view: Arc<dyn NodeView>, outside: Arc<Outside>, own: String, listen: IpAddr) {
    let mut version = None;
    let mut refreshed = None;
    loop {
        let now = view.snapshot_version();
        let is_due = refreshed.is_none_or(|at: tokio::time::Instant| at.elapsed() >= NAMES_REFRESH_INTERVAL);
        if is_due || version != Some(now) {
            version = Some(now);
            let snapshot = view.snapshot();
            let nodes = snapshot.iter().flat_map(|snapshot| snapshot.metadata.topology.nodes.values());
            let addresses = std::iter::once(own.as_str()).chain(nodes.map(|node| node.address.as_str()));
            let mut hosts: Vec<String> = addresses.filter_map(name_of).collect();
            hosts.sort_unstable();
            hosts.dedup();
            hosts.truncate(NAMES_MAX);
            outside.names.keep_only(&hosts);
            for host in hosts {
                if (is_due || outside.names.get(&host).is_none())
                    && let Some(address) = look_up(&host, listen).await
                {
                    outside.names.set(host, address);
                }
            }
            if is_due {
                refreshed = Some(tokio::time::Instant::now());
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_looked_up() {
        assert_eq!(name_of("db1.example:7000").as_deref(), Some("db1.example"));
        assert_eq!(name_of("db1").as_deref(), Some("db1"));
        for address in ["10.0.0.1:7000", "10.0.0.1", "[::1]:7000", "::1"] {
            assert_eq!(name_of(address), None, "{address}");
        }
    }

    #[test]
    fn the_same_address_is_chosen_whatever_the_order() {
        let addresses: Vec<IpAddr> =
            ["::1", "10.0.0.2", "0.0.0.0", "10.0.0.1"].map(|text| text.parse().unwrap()).into();
        let (four, six) = ("127.0.0.1".parse().unwrap(), "::1".parse().unwrap());
        assert_eq!(choose(addresses.clone(), four), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(choose(addresses.into_iter().rev(), six), Some(six));
        assert_eq!(choose(["0.0.0.0".parse().unwrap()], four), None);
    }
}
