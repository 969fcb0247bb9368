//! What is counted of TLS.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Side;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SideLabels {
    side: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    side: &'static str,
    reason: &'static str,
}

/// Counters of TLS.
#[derive(Default)]
pub(crate) struct TlsMetrics {
    handshakes: Family<SideLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    reloads: Family<SideLabels, Counter>,
    reload_failures: Family<SideLabels, Counter>,
    expires: Family<SideLabels, Gauge<i64, AtomicI64>>,
}

impl TlsMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("tls_handshakes", "TLS handshakes that succeeded, by side", self.handshakes.clone());
        let help = "Connections refused before TLS was agreed on, by side and reason";
        registry.register("tls_handshake_failures", help, self.failures.clone());
        registry.register("tls_reloads", "Certificates loaded anew, by side", self.reloads.clone());
        let help = "Certificates that could not be loaded anew, so that the old one stays, by side";
        registry.register("tls_reload_failures", help, self.reload_failures.clone());
        let help = "When the certificate in use expires, in seconds since 1970, by side";
        registry.register("tls_certificate_expires_timestamp_seconds", help, self.expires.clone());
    }

    pub(super) fn handshake(&self, side: Side) {
        self.handshakes.get_or_create(&SideLabels { side: side.name() }).inc();
    }

    pub(super) fn failure(&self, side: Side, reason: &'static str) {
        self.failures.get_or_create(&FailureLabels { side: side.name(), reason }).inc();
    }

    pub(super) fn reloaded(&self, side: Side) {
        self.reloads.get_or_create(&SideLabels { side: side.name() }).inc();
    }

    pub(super) fn reload_failed(&self, side: Side) {
        self.reload_failures.get_or_create(&SideLabels { side: side.name() }).inc();
    }

    pub(super) fn expires(&self, side: Side, at: i64) {
        self.expires.get_or_create(&SideLabels { side: side.name() }).set(at);
    }
}
