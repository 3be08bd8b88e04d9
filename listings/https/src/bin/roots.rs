//! Names some of the authorities that Mozilla trusts, as webpki-roots brings them.

use std::env;
use std::io::{self, Write};
use std::process;

use anyhow::{Context, Result};
use webpki_roots::TLS_SERVER_ROOTS;
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, Encode, Tag};
use x509_cert::name::RdnSequence;

const SHOWN: usize = 5;

fn main() -> Result<()> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    let mut stdout = io::stdout();
    writeln!(
        stdout,
        "{} authorities, among them:",
        TLS_SERVER_ROOTS.len()
    )?;
    for root in TLS_SERVER_ROOTS.iter().take(SHOWN) {
        // The name comes without the tag and the length that would make it complete.
        let name = AnyRef::new(Tag::Sequence, &root.subject)?.to_der()?;
        let name = RdnSequence::from_der(&name).context("a name that cannot be read")?;
        writeln!(stdout, "  {name}")?;
    }
    Ok(())
}
