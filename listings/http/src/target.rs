//! What a client is asked to talk to: a host, a port and a path.

use std::net::Ipv6Addr;

use crate::{ADDRESS, PORT};

/// A host, a port and a path, all of them fit to stand in a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// The path and the query, beginning with `/`.
    pub path: String,
}

impl Target {
    /// Reads `HOST[:PORT][/PATH]`. Without a host it is [`ADDRESS`], without a port
    /// [`PORT`], without a path `/`.
    ///
    /// What could change the request that it becomes part of is refused: a space would end
    /// the path, a line break would begin a header of its own.
    pub fn parse(text: &str) -> Option<Target> {
        let (authority, path) = match text.find('/') {
            Some(slash) => text.split_at(slash),
            None => (text, "/"),
        };
        let authority = if authority.is_empty() {
            ADDRESS
        } else {
            authority
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, port)
            }
            None => {
                let (host, port) =
                    authority.split_at(authority.find(':').unwrap_or(authority.len()));
                let is_name =
                    |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
                let is_option = host.starts_with('-');
                if host.is_empty() || is_option || !host.bytes().all(is_name) {
                    return None;
                }
                (host, port)
            }
        };
        let port = match port.strip_prefix(':') {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                port.parse().ok()?
            }
            None if port.is_empty() => PORT,
            _ => return None,
        };
        // What stands behind `#` is the client's own business (RFC 9110, section 4.2.5).
        if !path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            return None;
        }
        Some(Target {
            host: host.into(),
            port,
            path: path.into(),
        })
    }

    /// The host and the port, with an IPv6 address in brackets.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The value of the `Host` header: the port only if it is not the usual one (RFC 9110,
    /// section 7.2).
    pub fn authority(&self) -> String {
        let address = self.address();
        match address.strip_suffix(&format!(":{PORT}")) {
            Some(host) => host.into(),
            None => address,
        }
    }
}
