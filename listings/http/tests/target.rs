//! What a client is told to talk to.

use http::target::Target;

fn parts(text: &str) -> Option<(String, u16, String, String)> {
    let target = Target::parse(text)?;
    let authority = target.authority();
    Some((target.host, target.port, target.path, authority))
}

#[test]
fn a_target_is_a_host_with_or_without_a_port_and_a_path() {
    for (text, host, port, path, authority) in [
        ("example.com", "example.com", 80, "/", "example.com"),
        ("example.com:80", "example.com", 80, "/", "example.com"),
        (
            "example.com:8080",
            "example.com",
            8080,
            "/",
            "example.com:8080",
        ),
        ("example.com/", "example.com", 80, "/", "example.com"),
        (
            "example.com/a/b.html",
            "example.com",
            80,
            "/a/b.html",
            "example.com",
        ),
        (
            "example.com:81/a?b=c:d",
            "example.com",
            81,
            "/a?b=c:d",
            "example.com:81",
        ),
        (
            "a_b-c.example./%20",
            "a_b-c.example.",
            80,
            "/%20",
            "a_b-c.example.",
        ),
        ("EXAMPLE.com", "EXAMPLE.com", 80, "/", "EXAMPLE.com"),
        ("localhost:0", "localhost", 0, "/", "localhost:0"),
        (
            "localhost:65535",
            "localhost",
            65535,
            "/",
            "localhost:65535",
        ),
        ("localhost:080", "localhost", 80, "/", "localhost"),
        ("192.0.2.1", "192.0.2.1", 80, "/", "192.0.2.1"),
        ("192.0.2.1:443//", "192.0.2.1", 443, "//", "192.0.2.1:443"),
        ("[2001:db8::1]", "2001:db8::1", 80, "/", "[2001:db8::1]"),
        ("[::1]:8080/x", "::1", 8080, "/x", "[::1]:8080"),
        ("[::1]/[::1]:8080", "::1", 80, "/[::1]:8080", "[::1]"),
        (
            "[::ffff:192.0.2.1]",
            "::ffff:192.0.2.1",
            80,
            "/",
            "[::ffff:192.0.2.1]",
        ),
        (
            "/~\"<>\\^`{|}",
            "127.0.0.1",
            8080,
            "/~\"<>\\^`{|}",
            "127.0.0.1:8080",
        ),
    ] {
        let expected = (host.into(), port, path.into(), authority.into());
        assert_eq!(parts(text), Some(expected), "{text}");
    }
}

#[test]
fn without_a_host_it_is_the_address_of_the_listing() {
    for (text, path) in [("", "/"), ("/", "/"), ("/greetings", "/greetings")] {
        let target = Target::parse(text).unwrap();
        assert_eq!(format!("{}:{}", target.host, target.port), http::ADDRESS);
        assert_eq!(target.path, path);
    }
}

#[test]
fn what_is_no_target_is_refused() {
    for text in [
        ":80",
        ":",
        "localhost:",
        "localhost:x",
        "localhost:65536",
        "localhost:+80",
        "localhost:-1",
        "localhost: 80",
        "localhost:80:80",
        "localhost:80?a",
        "localhost?a",
        "localhost#a",
        "localhost/#a",
        "::1",
        "2001:db8::1",
        "[::1",
        "::1]",
        "[]",
        "[localhost]",
        "[192.0.2.1]",
        "[::1]80",
        "[::1]x:80",
        "[::1%eth0]",
        "[[::1]]",
        "-localhost",
        "--help",
        "http://localhost",
        "http://localhost/",
        "user@localhost",
        "user:password@localhost",
        "local host",
        " localhost",
        "localhost ",
        "local\thost",
        "local\0host",
        "localhöst",
        "*",
        "localhost\\",
    ] {
        assert_eq!(Target::parse(text), None, "{text:?}");
    }
}

/// A request ends its lines with CR LF and separates the words of the first one by spaces.
#[test]
fn a_target_never_has_a_character_that_could_change_the_request() {
    for code in (0..=u32::from(b' '))
        .chain(0x7f..=0x2ff)
        .chain(0x2028..=0x2029)
    {
        let character = char::from_u32(code).unwrap();
        for text in [
            format!("local{character}host"),
            format!("localhost{character}"),
            format!("localhost:80{character}"),
            format!("localhost:{character}80"),
            format!("localhost/a{character}b"),
            format!("localhost/?{character}"),
            format!("[::1{character}]"),
            format!("[::1]{character}:80"),
        ] {
            assert_eq!(Target::parse(&text), None, "{text:?}");
        }
    }
}

#[test]
fn an_ipv6_address_is_in_brackets_wherever_a_port_follows() {
    for (text, address) in [
        ("[::1]", "[::1]:80"),
        ("[::1]:8080", "[::1]:8080"),
        ("localhost", "localhost:80"),
        ("127.0.0.1:8080/path", "127.0.0.1:8080"),
    ] {
        assert_eq!(Target::parse(text).expect(text).address(), address);
    }
}
