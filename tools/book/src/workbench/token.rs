//! Who may run programs: whoever opened the address that the server printed when it started.

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::cache::hex;

/// A secret that only the terminal and the browser that it opened have seen; another one at each start.
pub struct Token {
    secret: String,
    /// The name of the cookie that a page has once it has been opened with the token. All ports of a host share their cookies, so it
    /// has the port's number.
    cookie: String,
}

impl Token {
    /// 256 random bits, as hexadecimal digits, for a server at `port`.
    pub fn random(port: u16) -> std::io::Result<Token> {
        let mut bytes = [0; 32];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += rustix::rand::getrandom(
                &mut bytes[filled..],
                rustix::rand::GetRandomFlags::empty(),
            )?;
        }
        Ok(Token {
            secret: hex(bytes),
            cookie: format!("workbench-{port}"),
        })
    }

    /// What the opened address ends with.
    pub fn query(&self) -> String {
        format!("?token={}", self.secret)
    }

    /// The cookie's header: no script can read it, and no other site's page can have it sent. Other ports of this host are the same site,
    /// a server that a reader has left running, say: their pages are at other paths.
    pub fn cookie(&self) -> String {
        format!(
            "{}={}; Path=/__workbench; HttpOnly; SameSite=Strict",
            self.cookie, self.secret
        )
    }

    /// Whether `guess` is the token. How long that takes tells nothing about it: what is compared are hashes.
    pub fn is(&self, guess: &str) -> bool {
        Sha256::digest(guess) == Sha256::digest(&self.secret)
    }

    /// Whether a request has the cookie.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(header::COOKIE).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split("; "))
            .filter_map(|cookie| cookie.split_once('='))
            .any(|(name, value)| name == self.cookie && self.is(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookies: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_the_whole_token_under_its_own_name_counts() {
        let token = Token {
            secret: "abc".into(),
            cookie: "workbench-1".into(),
        };
        assert!(token.is_in(&with(&["build=1; workbench-1=abc"])));
        assert!(token.is_in(&with(&["workbench-1=old; workbench-1=abc"])));
        for cookies in [
            &["workbench-1=ab"][..],
            &["workbench-1=abcd"],
            &["workbench-2=abc"],
            &["workbench-1="],
            &[],
        ] {
            assert!(!token.is_in(&with(cookies)), "{cookies:?}");
        }
    }

    #[test]
    fn each_start_has_another_token() {
        let (one, other) = (Token::random(1).unwrap(), Token::random(1).unwrap());
        assert_eq!(one.secret.len(), 64);
        assert_ne!(one.secret, other.secret);
    }
}
