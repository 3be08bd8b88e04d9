//! TLS (RFC 9846) on a connection: who is trusted, and the handshake.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConfig,
    ServerConnection, SideData, StreamOwned, SupportedProtocolVersion,
};

use crate::certificates::{self, Identity};
use crate::connection::Connection;
use crate::session;

/// Older ones are deprecated (RFC 8996), and rustls does not know them.
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// What is spoken inside, in the words of ALPN (RFC 7301): HTTP/1.1. A server understands
/// the one before it as well.
const PROTOCOL: &[u8] = b"http/1.1";
const OLD_PROTOCOL: &[u8] = b"http/1.0";

// ANCHOR: roots
/// Who may vouch for a server: the authorities that Mozilla trusts, and those in `ca`.
pub fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots =
        RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(file) = ca {
        let name = file.display();
        let known = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&certificates::read(file)?) {
            let certificate =
                certificate.with_context(|| format!("no proper certificate in {name}"))?;
            roots
                .add(certificate)
                .with_context(|| format!("no proper certificate in {name}"))?;
        }
        ensure!(roots.len() > known, "no certificate in {name}");
    }
    Ok(roots)
}
// ANCHOR_END: roots

// ANCHOR: connect
/// Shakes hands with the server at the other end of `connection`, and accepts it only if it
/// proves that it is `host`.
pub fn connect(
    mut connection: Connection,
    host: &str,
    roots: RootCertStore,
) -> Result<StreamOwned<ClientConnection, Connection>> {
    let name = ServerName::try_from(host.to_owned())?;
    let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(VERSIONS)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.into()];
    let mut session = ClientConnection::new(config.into(), name)?;

    if let Err(error) = shake_hands(&mut session, &mut connection) {
        if error.kind() == ErrorKind::InvalidData {
            // The server has been told why. It has a moment to read that.
            connection.close();
        }
        // It may say what stands in the certificate, whoever wrote that.
        bail!(session::plain(error));
    }
    Ok(StreamOwned::new(session, connection))
}
// ANCHOR_END: connect

/// How a server shakes hands that goes by this identity.
pub fn config(identity: Identity) -> Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(VERSIONS)?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?;
    config.alpn_protocols = vec![PROTOCOL.into(), OLD_PROTOCOL.into()];
    Ok(config.into())
}

/// Shakes hands with the client at the other end of `connection`.
pub fn accept(
    connection: &mut Connection,
    config: &Arc<ServerConfig>,
) -> io::Result<ServerConnection> {
    let mut session =
        ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    shake_hands(&mut session, connection)?;
    Ok(session)
}

// ANCHOR: handshake
/// Reads and writes until the two sides have agreed, or cannot.
fn shake_hands<S: SideData>(
    session: &mut ConnectionCommon<S>,
    connection: &mut Connection,
) -> io::Result<()> {
    let agreed = session.complete_io(connection);
    if agreed
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::InvalidData)
    {
        // The last thing said is an alert (RFC 9846, section 6.2): what was wrong.
        send(session, connection);
    }
    agreed.map(|_| ())
}
// ANCHOR_END: handshake

// ANCHOR: finish
/// Says that nothing more will come: `close_notify` (RFC 9846, section 6.1). Whoever sees
/// the stream end without it must take the end for an attack.
pub fn finish<S: SideData>(session: &mut ConnectionCommon<S>, connection: &mut Connection) {
    session.send_close_notify();
    send(session, connection);
}
// ANCHOR_END: finish

/// Sends what the session still has to say. If that fails, the other side has gone, and
/// need not be told.
fn send<S: SideData>(session: &mut ConnectionCommon<S>, connection: &mut Connection) {
    while session.wants_write() && matches!(session.write_tls(connection), Ok(1..)) {}
}
