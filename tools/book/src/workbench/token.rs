//! Who may run programs: whoever opened the address that the server printed when it started.

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

/// The cookie that a page has once it has been opened with the token.
pub const COOKIE: &str = "workbench";

/// A secret that only the terminal and the browser that it opened have seen; another one at each start.
pub struct Token(String);

impl Token {
    /// 256 random bits, as hexadecimal digits.
    pub fn random() -> std::io::Result<Token> {
        let mut bytes = [0; 32];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
        }
        Ok(Token(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// What the opened address ends with.
    pub fn query(&self) -> String {
        format!("?token={}", self.0)
    }

    /// The cookie's header: no script can read it, and no other site's page can have it sent.
    pub fn cookie(&self) -> String {
        format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", self.0)
    }

    /// Whether `guess` is the token. How long that takes tells nothing about it: what is compared are hashes.
    pub fn is(&self, guess: &str) -> bool {
        Sha256::digest(guess) == Sha256::digest(&self.0)
    }

    /// Whether a request has the cookie. Ports of one host share their cookies, so there may be others of its name.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(header::COOKIE).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split("; "))
            .filter_map(|cookie| cookie.split_once('='))
            .any(|(name, value)| name == COOKIE && self.is(value))
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
        let token = Token("abc".into());
        assert!(token.is_in(&with(&["build=1; workbench=abc"])));
        assert!(token.is_in(&with(&["workbench=old; workbench=abc"])));
        for cookies in [&["workbench=ab"][..], &["workbench=abcd"], &["other=abc"], &["workbench="], &[]] {
            assert!(!token.is_in(&with(cookies)), "{cookies:?}");
        }
    }

    #[test]
    fn each_start_has_another_token() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(one.0.len(), 64);
        assert_ne!(one.0, other.0);
    }
}
