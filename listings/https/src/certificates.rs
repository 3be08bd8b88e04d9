//! A certification authority for one evening: it signs a certificate or two, and its own is
//! written to a file, for clients to trust.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::session;

/// What the authority is called.
pub const AUTHORITY: &str = "Sockets in Rust example CA";
/// The names that this machine has for itself.
pub const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How long ago a new certificate became valid: the clock of a client may be slow.
pub const HEAD_START: Duration = Duration::from_secs(60 * 60);
/// How long it stays valid.
pub const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How many bytes a file of certificates may have: every authority that a browser trusts
/// fits in.
pub const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// A certificate, its private key, and the means to sign others.
pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// What a server shows, and the key that proves it may.
pub struct Identity {
    /// The server's certificate first, then whoever signed the one before.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// An authority, which vouches for itself.
pub fn authority(name: &str) -> Result<Authority> {
    let mut params = params(name)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// What the certificate of a server says, before it is signed.
pub fn leaf(names: &[&str]) -> Result<CertificateParams> {
    let mut params = params(names.first().copied().unwrap_or_default())?;
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Signs it. The key is made here and never leaves the program.
pub fn sign(params: &CertificateParams, authority: &Authority) -> Result<Identity> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok(Identity {
        chain: vec![certificate.into()],
        key: key.into(),
    })
}

/// What all certificates say: whose they are, and how long.
fn params(name: &str) -> Result<CertificateParams> {
    let now = date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = Default::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - HEAD_START;
    params.not_after = now + LIFETIME;
    Ok(params)
}

/// Writes the authority's certificate to `file`. It is there at once or not at all: nobody
/// ever reads half of it.
///
/// What stands there already is replaced only if it comes from here, too: a slip of the
/// finger must not cost anybody their notes.
pub fn publish(authority: &Authority, file: &Path) -> Result<()> {
    let name = file.display();
    let is_free = match fs::symlink_metadata(file) {
        Ok(metadata) => metadata.is_file() && is_ours(&read(file)?),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| format!("cannot write {name}")),
    };
    ensure!(is_free, "{name} is something else, and stays as it is");

    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", process::id()));
    let mut new =
        File::create_new(&beside).with_context(|| format!("cannot write {name}"))?;
    let written = new
        .write_all(authority.pem().as_bytes())
        .and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        // If that fails, too, there is nothing more to be done.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("cannot write {name}"))
}

/// Whether `pem` is empty, or the certificate of our authority and nothing else.
fn is_ours(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    let text = text.trim();
    let is_one = text.starts_with("-----BEGIN CERTIFICATE-----")
        && text.ends_with("-----END CERTIFICATE-----")
        && text.matches("-----BEGIN").count() == 1;
    text.is_empty()
        || is_one
            && CertificateDer::from_pem_slice(pem)
                .is_ok_and(|der| session::subject(&der) == format!("CN={AUTHORITY}"))
}

/// The bytes of a file of certificates.
pub fn read(file: &Path) -> Result<Vec<u8>> {
    let name = file.display();
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {name}"))?;
    ensure!(
        (bytes.len() as u64) < FILE_LIMIT,
        "{name} has no end within {FILE_LIMIT} bytes"
    );
    Ok(bytes)
}
