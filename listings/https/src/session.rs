//! What the two sides have agreed on, and who the server says it is, in words.

use std::fmt::{self, Write};
use std::net::IpAddr;

use rustls::{ClientConnection, ProtocolVersion};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// What the session is like: a line for each thing.
pub fn describe(session: &ClientConnection) -> String {
    let mut lines = Lines(String::new());
    match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => lines.add("version", "TLS 1.3"),
        Some(ProtocolVersion::TLSv1_2) => lines.add("version", "TLS 1.2"),
        other => lines.add("version", format!("{other:?}")),
    }
    if let Some(suite) = session.negotiated_cipher_suite() {
        // All others call it `TLS_…` (RFC 9846, appendix B.4), not `TLS13_…`.
        let name = format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
        lines.add("cipher suite", name);
    }
    if let Some(group) = session.negotiated_key_exchange_group() {
        lines.add("key exchange", format!("{:?}", group.name()));
    }
    match session.alpn_protocol() {
        Some(protocol) => lines.add("ALPN", String::from_utf8_lossy(protocol)),
        None => lines.add("ALPN", "none"),
    }
    for der in session.peer_certificates().unwrap_or_default() {
        match Certificate::from_der(der) {
            Ok(certificate) => lines.add_certificate(&certificate),
            Err(error) => lines.add("certificate", format!("cannot be read: {error}")),
        }
    }
    lines.0
}

/// Whose certificate it is; nobody's if it cannot be read.
pub fn subject(der: &[u8]) -> String {
    Certificate::from_der(der)
        .map(|certificate| plain(certificate.tbs_certificate().subject()))
        .unwrap_or_default()
}

/// Lines in two columns.
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl fmt::Display) {
        self.0 += &format!("{name:<14}{}\n", plain(value));
    }

    fn add_certificate(&mut self, certificate: &Certificate) {
        let certificate = certificate.tbs_certificate();
        self.add("certificate", certificate.subject());
        match certificate.get_extension::<SubjectAltName>() {
            Ok(Some((_, names))) => {
                let names: Vec<String> = names.0.iter().map(name).collect();
                self.add("  names", names.join(", "));
            }
            Ok(None) => self.add("  names", "none"),
            Err(error) => self.add("  names", format!("cannot be read: {error}")),
        }
        self.add("  valid from", certificate.validity().not_before);
        self.add("  valid until", certificate.validity().not_after);
        self.add("  issuer", certificate.issuer());
    }
}

/// A name that a server can be reached by, or another that stands in its certificate.
fn name(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => name.to_string(),
        GeneralName::IpAddress(address) => {
            let bytes = address.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
            v4.or(v6).map_or("?".into(), |address| address.to_string())
        }
        other => format!("{other:?}"),
    }
}

/// The value in one line. A certificate is written by others: what could make a terminal do
/// something is taken out of it.
pub fn plain(value: impl fmt::Display) -> String {
    let mut text = String::new();
    match write!(text, "{value}") {
        Ok(()) => text.replace(char::is_control, "\u{fffd}"),
        Err(fmt::Error) => "?".into(),
    }
}
