//! Peers that we did not write: nginx, openssl and curl. A tool that is missing makes a test
//! fail, and it says which one.

mod programs;
mod sessions;

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use programs::{DEADLINE, run};
use sessions::{
    Certified, Folder, GREETINGS, assert_distrusts, assert_fails, assert_success,
    complaint, line, program, rest, stderr, stdout, top,
};

const PAGE: &str = "Grüße aus dem Netz\n";

/// What openssl needs to know to be an authority.
const SETTINGS: &str = "\
[ca]
default_ca = authority
[authority]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = policy
unique_subject = no
copy_extensions = copy
[policy]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
commonName = unused
[an_authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[a_server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
";

const NAMES: &str = "DNS:localhost, IP:127.0.0.1";
const LONG_AGO: &str = "20200101000000Z";
const NOT_SO_LONG_AGO: &str = "20200201000000Z";
const SOON: &str = "20490101000000Z";
const LATER: &str = "20491231235959Z";

/// A program that is not ours, which is found where an ordinary user does not look, too.
fn tool(name: &str) -> Command {
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new(name);
    command.env("PATH", path).stdin(Stdio::null());
    command
}

/// Runs such a program to its end.
#[track_caller]
fn output_of(command: &mut Command) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .output()
        .unwrap_or_else(|error| panic!("this test needs {name}: {error}"))
}

/// An authority, as openssl makes it: a folder with its files.
struct Authority {
    folder: Folder,
    ca: String,
}

impl Authority {
    fn new() -> Authority {
        let folder = Folder::new();
        folder.with("openssl.cnf", SETTINGS);
        folder.with("index.txt", "");
        let ca = folder.file("ca.pem");
        let authority = Authority { folder, ca };
        authority.openssl(
            "req -config openssl.cnf -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
             -nodes -keyout ca.key -out ca.pem -subj /CN=test -days 30 \
             -extensions an_authority",
        );
        authority
    }

    /// Runs openssl in the folder. Its arguments have no spaces.
    fn openssl(&self, arguments: &str) -> String {
        let mut command = tool("openssl");
        command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path());
        let output = output_of(&mut command);
        assert!(output.status.success(), "{arguments}: {}", stderr(&output));
        stdout(&output)
    }

    /// Makes NAME.key and NAME.pem, a certificate for these names, signed by SIGNER.
    fn issue(&self, name: &str, names: &str, kind: &str, dates: [&str; 2], signer: &str) {
        let settings = format!(
            "{SETTINGS}[request]\n{}\n",
            format_args!("subjectAltName = {names}")
        );
        self.folder.with("request.cnf", settings);
        let key = match name.starts_with("rsa") {
            true => "rsa:2048",
            false => "ec -pkeyopt ec_paramgen_curve:prime256v1",
        };
        self.openssl(&format!(
            "req -config request.cnf -new -newkey {key} -nodes -keyout {name}.key \
             -out {name}.csr -subj /CN={name} -reqexts request"
        ));
        let [from, until] = dates;
        self.openssl(&format!(
            "ca -config openssl.cnf -batch -notext -extensions {kind} -cert {signer}.pem \
             -keyfile {signer}.key -in {name}.csr -out {name}.pem \
             -startdate {from} -enddate {until}"
        ));
    }

    /// The same for a server with nothing wrong about it.
    fn issue_proper(&self, name: &str) {
        self.issue(name, NAMES, "a_server", [LONG_AGO, LATER], "ca");
    }

    fn ask(&self, client: &str, target: &str) -> Output {
        run(client, &[target, "--ca", &self.ca])
    }
}

/// A server that is not ours, stopped when the test is over.
struct Service {
    process: Child,
    address: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        // nginx has a worker, which it stops if it is asked to, but not if it is killed.
        let kill = format!("kill {}", self.process.id());
        let _ = Command::new("sh").args(["-c", &kill]).status();
        let _ = self.process.wait();
    }
}

impl Service {
    /// `openssl s_server`, which shows the certificate NAME.pem.
    fn openssl(authority: &Authority, name: &str, arguments: &str) -> Service {
        let mut process = tool("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0"])
            .args(["-cert", &format!("{name}.pem")])
            .args(["-key", &format!("{name}.key")])
            .args(arguments.split_whitespace())
            .current_dir(authority.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("this test needs openssl: {error}"));
        let lines = lines(process.stdout.take().unwrap());
        let address = loop {
            let line = lines.recv_timeout(DEADLINE).expect("openssl accepts");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.to_string();
            }
        };
        Service { process, address }
    }

    /// nginx, with this in its `server { … }`, in which ADDRESS is where it listens.
    ///
    /// It cannot listen on port 0 and say which port that is. But it takes over a listening
    /// socket, as when it replaces itself: no port is taken by another in the meantime, and
    /// there is nothing to wait for.
    fn nginx(folder: &Folder, server: &str) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = server.replace("ADDRESS", &address);
        let settings = nginx_settings("daemon off;", &server);
        folder.with("nginx.conf", settings);
        let process = tool("nginx")
            .args(["-p", ".", "-c", "nginx.conf", "-e", "error.log"])
            .current_dir(folder.path())
            .env("NGINX", "0;")
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("this test needs nginx: {error}"));
        Service { process, address }
    }
}

/// All that nginx needs to know to leave everything outside its folder alone.
fn nginx_settings(how: &str, server: &str) -> String {
    format!(
        "{how} user root; worker_processes 1; pid nginx.pid; error_log error.log;
        events {{}}
        http {{
            access_log off; gzip off; default_type \"text/plain; charset=utf-8\";
            client_body_temp_path temporary; proxy_temp_path temporary;
            fastcgi_temp_path temporary; uwsgi_temp_path temporary;
            scgi_temp_path temporary;
            server {{
                {server}
                location / {{ return 200 \"{PAGE}\"; }}
                # What is filtered has no length that could be known before.
                location /chunked {{
                    sub_filter_types *; sub_filter nothing something;
                    return 200 \"{PAGE}\";
                }}
                location /until-close {{
                    chunked_transfer_encoding off;
                    sub_filter_types *; sub_filter nothing something;
                    return 200 \"{PAGE}\";
                }}
            }}
        }}
        "
    )
}

/// The lines of `stream`, as they come.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Nobody may want to know. It must go on printing all the same.
            let _ = sender.send(line);
        }
    });
    receiver
}

// Our clients.

#[test]
#[ignore = "needs nginx"]
fn our_clients_and_nginx_understand_each_other_in_every_version() {
    let authority = Authority::new();
    authority.issue_proper("curve");
    authority.issue_proper("rsa");
    for (version, certificate, expected, suite) in [
        ("TLSv1.2", "curve", "TLS 1.2", "TLS_ECDHE_ECDSA_WITH_"),
        ("TLSv1.2", "rsa", "TLS 1.2", "TLS_ECDHE_RSA_WITH_"),
        ("TLSv1.3", "curve", "TLS 1.3", "TLS_"),
        ("TLSv1.3", "rsa", "TLS 1.3", "TLS_"),
    ] {
        let server = format!(
            "listen ADDRESS ssl; ssl_protocols {version};
             ssl_certificate {certificate}.pem; ssl_certificate_key {certificate}.key;"
        );
        let nginx = Service::nginx(&authority.folder, &server);
        for (path, header) in [
            ("", Some("Content-Length: 21\n")),
            ("/chunked", Some("Transfer-Encoding: chunked\n")),
            ("/until-close", None),
        ] {
            let target = format!("{}{path}", nginx.address);
            let get = authority.ask("get", &target);
            assert_success(&get);
            assert_eq!(rest(&get), PAGE, "{version}, {path}");
            let head = authority.ask("head", &target);
            assert_success(&head);
            for said in [top(&get), rest(&head)] {
                assert!(said.starts_with("HTTP/1.1 200 OK\n"), "{said}");
                assert!(said.contains("Server: nginx"), "{said}");
            }
            let said = top(&get);
            match header {
                Some(header) => assert!(said.contains(header), "{said}"),
                None => {
                    assert!(!said.contains("Content-Length"), "{said}");
                    assert!(!said.contains("Transfer-Encoding"), "{said}");
                }
            }
            let said = top(&head);
            assert_eq!(line(&said, "version"), expected);
            assert!(line(&said, "cipher suite").starts_with(suite), "{said}");
            assert_eq!(line(&said, "ALPN"), "http/1.1");
            assert_eq!(line(&said, "certificate"), format!("CN={certificate}"));
        }
    }
}

#[test]
#[ignore = "needs nginx"]
fn a_port_on_which_nginx_speaks_plain_http_is_an_error() {
    let folder = Folder::new();
    let nginx = Service::nginx(&folder, "listen ADDRESS;");
    for client in ["head", "get"] {
        let output = run(client, &[&nginx.address]);
        let cause = "received corrupt message of type InvalidContentType";
        assert_distrusts(&output, &nginx.address, cause);
    }
}

#[test]
#[ignore = "needs nginx"]
fn an_nginx_that_knows_no_tls_1_2_is_an_error() {
    let authority = Authority::new();
    authority.issue_proper("old");
    let server = "listen ADDRESS ssl; ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;
        ssl_certificate old.pem; ssl_certificate_key old.key;";
    let nginx = Service::nginx(&authority.folder, server);
    for client in ["head", "get"] {
        let output = authority.ask(client, &nginx.address);
        let cause = "received fatal alert: ProtocolVersion";
        assert_distrusts(&output, &nginx.address, cause);
    }
}

#[test]
#[ignore = "needs openssl"]
fn our_clients_and_openssl_understand_each_other() {
    let authority = Authority::new();
    authority.issue_proper("localhost");
    authority.folder.with("page", PAGE);
    for (arguments, version, suite, group, protocol) in [
        (
            "-no_tls1_3 -cipher ECDHE-ECDSA-AES128-GCM-SHA256 -groups P-256",
            "TLS 1.2",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "secp256r1",
            "none",
        ),
        (
            "-no_tls1_3 -cipher ECDHE-ECDSA-CHACHA20-POLY1305 -groups X25519 -alpn http/1.1",
            "TLS 1.2",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "X25519",
            "http/1.1",
        ),
        (
            // Of the two, the client has another one in mind at first, and is told.
            "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256 -groups P-384",
            "TLS 1.3",
            "TLS_AES_128_GCM_SHA256",
            "secp384r1",
            "none",
        ),
        (
            "-ciphersuites TLS_CHACHA20_POLY1305_SHA256 -groups X25519 -alpn h2,http/1.1",
            "TLS 1.3",
            "TLS_CHACHA20_POLY1305_SHA256",
            "X25519",
            "http/1.1",
        ),
    ] {
        // It answers a GET with a file, and does not know HEAD.
        let server =
            Service::openssl(&authority, "localhost", &format!("-WWW {arguments}"));
        let output = authority.ask("get", &format!("{}/page", server.address));
        assert_success(&output);
        assert_eq!(rest(&output), PAGE, "{arguments}");
        assert!(top(&output).starts_with("HTTP/1.0 200 ok\n"));
        drop(server);

        let server =
            Service::openssl(&authority, "localhost", &format!("-rev {arguments}"));
        let output = authority.ask("head", &server.address);
        let said = top(&output);
        for (name, expected) in [
            ("version", version),
            ("cipher suite", suite),
            ("key exchange", group),
            ("ALPN", protocol),
            ("certificate", "CN=localhost"),
            ("  names", "localhost, 127.0.0.1"),
            ("  valid from", "2020-01-01T00:00:00Z"),
            ("  valid until", "2049-12-31T23:59:59Z"),
            ("  issuer", "CN=test"),
        ] {
            assert_eq!(line(&said, name), expected, "{arguments}");
        }
        // It sends every line back, the other way round.
        let said = complaint(&output);
        assert!(said.starts_with("Error: no proper answer came\n"), "{said}");
    }
}

/// It sends the file as it is, its head included.
#[test]
#[ignore = "needs openssl"]
fn what_openssl_sends_from_a_file_is_read_to_its_end_and_no_further() {
    let authority = Authority::new();
    authority.issue_proper("localhost");
    for (name, answer, expected) in [
        (
            "length",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more".into(),
            Ok("hello"),
        ),
        (
            "chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX: y\r\n\r\nand more"
                .into(),
            Ok("hello"),
        ),
        (
            "until-close",
            format!("HTTP/1.1 200 OK\r\n\r\n{PAGE}"),
            Ok(PAGE),
        ),
        (
            "short",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello".into(),
            Err("the body was cut short: 4 bytes are missing"),
        ),
        (
            "no-last-chunk",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".into(),
            Err("the body was cut short: its last chunk is missing"),
        ),
    ] {
        authority.folder.with(name, answer);
        let server = Service::openssl(&authority, "localhost", "-HTTP");
        let output = authority.ask("get", &format!("{}/{name}", server.address));
        match expected {
            Ok(expected) => {
                assert_success(&output);
                assert_eq!(rest(&output), expected, "{name}");
            }
            Err(cause) => {
                assert_fails(&output, "the body did not arrive whole", cause);
            }
        }
    }
}

#[test]
#[ignore = "needs openssl"]
fn an_openssl_that_knows_no_tls_1_2_is_an_error() {
    let authority = Authority::new();
    authority.issue_proper("old");
    let arguments = "-tls1_1 -cipher ALL:@SECLEVEL=0 -WWW";
    let server = Service::openssl(&authority, "old", arguments);
    for client in ["head", "get"] {
        let output = authority.ask(client, &server.address);
        let cause = "received fatal alert: ProtocolVersion";
        assert_distrusts(&output, &server.address, cause);
    }
}

#[test]
#[ignore = "needs openssl"]
fn every_kind_of_bad_certificate_that_openssl_makes_is_an_error() {
    let authority = Authority::new();
    let server = "a_server";
    let ever = [LONG_AGO, LATER];
    authority.issue("proper", NAMES, server, ever, "ca");
    authority.issue("expired", NAMES, server, [LONG_AGO, NOT_SO_LONG_AGO], "ca");
    authority.issue("early", NAMES, server, [SOON, LATER], "ca");
    authority.issue("other", "DNS:example.org, IP:192.0.2.1", server, ever, "ca");
    authority.issue("impostor", NAMES, server, ever, "other");
    authority.issue("authority", NAMES, "an_authority", ever, "ca");
    // What a recipe for "self-signed" certificates makes.
    authority.openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout self.key \
         -out self.pem -subj /CN=localhost -days 30 -addext subjectAltName=DNS:localhost",
    );
    let self_signed = authority.folder.file("self.pem");
    authority.openssl(
        "req -config openssl.cnf -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
         -nodes -keyout alone.key -out alone.pem -subj /CN=localhost -days 30 \
         -extensions a_server -addext subjectAltName=IP:127.0.0.1",
    );
    let stranger = Authority::new();

    let expired = "invalid peer certificate: certificate expired: verification time ";
    let early = "invalid peer certificate: certificate not valid yet: verification time ";
    for (name, arguments, ca, cause) in [
        ("proper", "", &authority.ca, Ok(())),
        (
            "proper",
            "",
            &stranger.ca,
            // The stranger has the same name, but not the same key.
            Err("invalid peer certificate: BadSignature"),
        ),
        (
            "alone",
            "",
            &authority.ca,
            Err("invalid peer certificate: UnknownIssuer"),
        ),
        ("expired", "", &authority.ca, Err(expired)),
        ("early", "", &authority.ca, Err(early)),
        (
            "other",
            "",
            &authority.ca,
            Err(
                "invalid peer certificate: certificate not valid for name \"127.0.0.1\"; \
                 certificate is only valid for DnsName(\"example.org\") or \
                 IpAddress(192.0.2.1)",
            ),
        ),
        (
            "impostor",
            "-cert_chain other.pem",
            &authority.ca,
            Err("invalid peer certificate: Other(OtherError(EndEntityUsedAsCa))"),
        ),
        (
            // Without the certificate in between, nobody knows who that is.
            "impostor",
            "",
            &authority.ca,
            Err("invalid peer certificate: UnknownIssuer"),
        ),
        (
            "authority",
            "",
            &authority.ca,
            Err("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))"),
        ),
        (
            "self",
            "",
            &self_signed,
            Err("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))"),
        ),
    ] {
        authority.folder.with("page", PAGE);
        let server = Service::openssl(&authority, name, &format!("-WWW {arguments}"));
        let target = format!("{}/page", server.address);
        let output = run("get", &[&target, "--ca", ca]);
        let Err(cause) = cause else {
            assert_success(&output);
            assert_eq!(rest(&output), PAGE);
            continue;
        };
        for output in [output, run("head", &[&target, "--ca", ca])] {
            let said = complaint(&output);
            assert_eq!(stdout(&output), "", "{name}");
            let what = format!(
                "Error: no secure connection to {}\n\nCaused by:\n    {cause}",
                server.address
            );
            match cause.ends_with(' ') {
                true => {
                    assert!(said.starts_with(&what), "{name}: {said}");
                    assert!(said.contains(" (UNIX), but certificate is not valid "));
                }
                false => assert_eq!(said, format!("{what}\n"), "{name}"),
            }
        }
    }
}

// Our server.

/// Runs curl with these arguments, and trust in our server's authority.
#[track_caller]
fn curl(server: &Certified, arguments: &[&str]) -> Output {
    let mut command = tool("curl");
    command
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--noproxy",
            "*",
        ])
        .args(["--cacert", &server.ca])
        .args(arguments);
    output_of(&mut command)
}

#[test]
#[ignore = "needs curl"]
fn curl_gets_every_page_in_every_version() {
    let server = Certified::start();
    let port = server.address.port();
    for version in ["--http1.0", "--http1.1", "--tls-max=1.2", "--tlsv1.3"] {
        let options: Vec<&str> = match version.split_once('=') {
            Some((name, value)) => vec![name, value],
            None => vec![version],
        };
        for path in ["/greetings", "/slow", "/chunked", "/until-close"] {
            let url = format!("https://localhost:{port}{path}");
            let output = curl(&server, &[&options[..], &[&url]].concat());
            assert_success(&output);
            assert_eq!(stdout(&output), GREETINGS, "{version}, {path}");
            assert_eq!(stderr(&output), "");
            let log = server.next_log_line();
            assert!(log.ends_with(&format!(": GET {path}: 200 OK")), "{log}");
        }
    }
    let url = format!("https://127.0.0.1:{port}/chunked");
    let output = curl(&server, &["--http1.0", "--include", &url]);
    assert!(!stdout(&output).contains("chunked"), "{}", stdout(&output));
    let output = curl(&server, &["--http1.1", "--include", &url]);
    assert!(stdout(&output).contains("Transfer-Encoding: chunked"));
}

#[test]
#[ignore = "needs curl"]
fn curl_gets_the_head_alone_and_follows_a_redirect() {
    let server = Certified::start();
    let url = format!("https://127.0.0.1:{}/greetings", server.address.port());
    let output = curl(&server, &["--head", &url]);
    assert_success(&output);
    let head = stdout(&output);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head:?}");
    assert!(
        server
            .next_log_line()
            .ends_with(": HEAD /greetings: 200 OK")
    );

    let url = url.replace("/greetings", "/moved");
    let output = curl(&server, &["--location", &url]);
    assert_success(&output);
    assert!(stdout(&output).contains("<title>It works</title>"));
}

#[test]
#[ignore = "needs curl"]
fn curl_uses_a_connection_again() {
    let server = Certified::start();
    let url = format!("https://127.0.0.1:{}/greetings", server.address.port());
    let output = curl(&server, &["--verbose", &url, &url, &url]);
    assert_success(&output);
    assert_eq!(stdout(&output), GREETINGS.repeat(3));
    let said = stderr(&output);
    assert_eq!(said.matches("Re-using existing").count(), 2, "{said}");
    let peers: Vec<String> = (0..3)
        .map(|_| server.next_log_line())
        .map(|line| line.split(": ").next().unwrap().to_string())
        .collect();
    assert!(peers.iter().all(|peer| *peer == peers[0]), "{peers:?}");
    server.assert_serves();
}

#[test]
#[ignore = "needs curl"]
fn curl_does_not_trust_our_server_without_its_file() {
    let [server, other] = [Certified::start(), Certified::start()];
    let url = format!("https://127.0.0.1:{}/", server.address.port());
    let output = curl(&other, &[&url]);
    // CURLE_PEER_FAILED_VERIFICATION.
    assert_eq!(output.status.code(), Some(60), "{}", stderr(&output));
    let log = server.next_log_line();
    assert!(log.contains(": no secure connection: "), "{log}");
    server.assert_serves();
}

#[test]
#[ignore = "needs curl"]
fn curl_reaches_our_server_over_ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("there is no IPv6 here");
        return;
    }
    let folder = Folder::new();
    let ca = folder.file("ca.pem");
    let process = program("server")
        .args(["[::1]:0", "--ca", &ca])
        .spawn()
        .unwrap();
    let address = String::new();
    let mut server = Service { process, address };
    let lines = lines(server.process.stdout.take().unwrap());
    let line = lines.recv_timeout(DEADLINE).unwrap();
    server.address = line.replace("listening on ", "");
    assert!(server.address.starts_with("[::1]:"), "{line}");
    let mut command = tool("curl");
    let url = format!("https://{}/greetings", server.address);
    command.args(["--silent", "--show-error", "--globoff", "--noproxy", "*"]);
    let output = output_of(command.args(["--cacert", &ca, &url]));
    assert_success(&output);
    assert_eq!(stdout(&output), GREETINGS);
}

/// Runs `openssl s_client`, which sends this and prints what comes back.
fn s_client(server: &Certified, arguments: &[&str], input: &str) -> Output {
    let mut process = tool("openssl")
        .args(["s_client", "-connect", &server.address.to_string()])
        .args(["-CAfile", &server.ca, "-verify_return_error"])
        .args(["-verify_hostname", "localhost", "-servername", "localhost"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs openssl: {error}"));
    process
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    process.wait_with_output().unwrap()
}

#[test]
#[ignore = "needs openssl"]
fn openssl_sends_requests_without_waiting_and_gets_the_answers_in_their_order() {
    let server = Certified::start();
    let requests: String = ["/greetings", "/", "/chunked", "/moved"]
        .iter()
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        .collect();
    let last = "HEAD /greetings HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for version in ["-tls1_2", "-tls1_3"] {
        let output = s_client(&server, &["-quiet", version], &format!("{requests}{last}"));
        assert_success(&output);
        let said = stdout(&output);
        let statuses: Vec<&str> = said
            .lines()
            .filter_map(|line| line.split_once("HTTP/1.1 ").map(|(_, status)| status))
            .collect();
        let expected = [
            "200 OK",
            "200 OK",
            "200 OK",
            "301 Moved Permanently",
            "200 OK",
        ];
        assert_eq!(statuses, expected, "{said}");
        assert!(said.contains(GREETINGS), "{said}");
        assert!(said.ends_with("Connection: close\r\n\r\n"), "{said:?}");
        for path in ["/greetings", "/", "/chunked", "/moved", "/greetings"] {
            let log = server.next_log_line();
            assert!(log.contains(&format!(" {path}: ")), "{log}");
        }
    }
}

#[test]
#[ignore = "needs openssl"]
fn openssl_and_head_say_the_same_of_our_server() {
    let server = Certified::start();
    let request = "HEAD / HTTP/1.0\r\n\r\n";
    let arguments = ["-ign_eof", "-alpn", "h2,http/1.1", "-showcerts"];
    let output = s_client(&server, &arguments, request);
    assert_success(&output);
    let said = stdout(&output);
    assert!(said.contains("Verification: OK"), "{said}");
    let head = top(&server.ask("head", ""));
    let suite = line(&head, "cipher suite");
    assert_eq!(line(&head, "version"), "TLS 1.3");
    let expected = format!("New, TLSv1.3, Cipher is {suite}");
    assert!(said.contains(&expected), "{said}\n{head}");
    let group = line(&head, "key exchange");
    assert!(
        said.contains(&format!("Server Temp Key: {group}")),
        "{said}"
    );
    assert!(said.contains("ALPN protocol: http/1.1"), "{said}");

    let folder = Folder::new();
    let start = said.find("-----BEGIN CERTIFICATE").expect("a certificate");
    let pem = folder.with("leaf.pem", &said[start..]);
    let mut command = tool("openssl");
    command
        .args(["x509", "-noout", "-in", &pem, "-nameopt", "RFC2253"])
        .args(["-dateopt", "iso_8601", "-subject", "-issuer"])
        .args(["-startdate", "-enddate", "-ext", "subjectAltName"]);
    let output = output_of(&mut command);
    assert_success(&output);
    let said = stdout(&output);
    for (name, label) in [
        ("certificate", "subject="),
        ("  issuer", "issuer="),
        ("  valid from", "notBefore="),
        ("  valid until", "notAfter="),
    ] {
        let value = line(&head, name).replace('T', " ");
        let is_said = |line: &str| line.replace('T', " ") == format!("{label}{value}");
        assert!(said.lines().any(is_said), "{label}{value} in\n{said}");
    }
    let names = "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1";
    assert!(said.contains(names), "{said}");
    assert_eq!(line(&head, "  names"), "localhost, 127.0.0.1, ::1");
}

#[test]
#[ignore = "needs openssl"]
fn openssl_does_not_trust_our_server_by_another_name_or_another_file() {
    let [server, other] = [Certified::start(), Certified::start()];
    let input = "GET / HTTP/1.0\r\n\r\n";
    let output = s_client(&server, &["-verify_hostname", "example.org"], input);
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("hostname mismatch"),
        "{}",
        stderr(&output)
    );
    let output = s_client(&server, &["-CAfile", &other.ca], input);
    assert!(!output.status.success());
    for _ in 0..2 {
        let log = server.next_log_line();
        assert!(log.contains(": no secure connection: "), "{log}");
    }
    server.assert_serves();
}

#[test]
#[ignore = "needs openssl"]
fn a_client_that_knows_no_tls_1_2_is_told_so() {
    let server = Certified::start();
    let arguments = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
    let output = s_client(&server, &arguments, "");
    assert!(!output.status.success());
    let said = stderr(&output);
    assert!(said.contains("alert handshake failure"), "{said}");
    let log = server.next_log_line();
    // TLS 1.1 had no such extension.
    let cause = "peer is incompatible: SignatureAlgorithmsExtensionRequired";
    assert!(
        log.ends_with(&format!(": no secure connection: {cause}")),
        "{log}"
    );
}

// The names of the world.

/// In a network of its own, the name leads to this machine, where nginx is at home at the port
/// that nobody has to name.
const AT_HOME: &str = r#"
ip link set lo up
printf '127.0.0.1 localhost webcode.me example.com\n' > hosts
printf 'hosts: files\n' > nsswitch.conf
mount --bind hosts /etc/hosts
mount --bind nsswitch.conf /etc/nsswitch.conf
nginx -p . -c nginx.conf -e error.log
"$@"
"#;

/// Runs this program there, with nginx as a server for these names.
#[track_caller]
fn run_at_home(authority: &Authority, name: &str, arguments: &[&str]) -> Output {
    let server = "listen 127.0.0.1:443 ssl; ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate webcode.me.pem; ssl_certificate_key webcode.me.key;";
    let settings = nginx_settings("master_process off;", server);
    authority.folder.with("nginx.conf", settings);
    let mut command = tool("unshare");
    command
        .args(["--map-root-user", "--net", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "--", "sh", "-euc", AT_HOME, "sh"])
        .arg(Path::new(program(name).get_program()))
        .args(arguments)
        .env_remove("RUST_BACKTRACE")
        .current_dir(authority.folder.path());
    output_of(&mut command)
}

#[test]
#[ignore = "needs unshare, ip, nginx and openssl"]
fn get_and_head_reach_a_host_by_its_name_alone() {
    let authority = Authority::new();
    let names = "DNS:webcode.me, DNS:*.webcode.me";
    let dates = [LONG_AGO, LATER];
    authority.issue("webcode.me", names, "a_server", dates, "ca");
    let ca = &authority.ca;

    let output = run_at_home(&authority, "get", &["webcode.me", "--ca", ca]);
    assert_success(&output);
    assert_eq!(rest(&output), PAGE);
    assert!(top(&output).starts_with("HTTP/1.1 200 OK\nServer: nginx"));

    let output = run_at_home(&authority, "get", &["webcode.me/chunked", "--ca", ca]);
    assert_success(&output);
    assert_eq!(rest(&output), PAGE);

    let output = run_at_home(&authority, "head", &["webcode.me", "--ca", ca]);
    assert_success(&output);
    assert!(rest(&output).starts_with("HTTP/1.1 200 OK\nServer: nginx"));
    let said = top(&output);
    assert_eq!(line(&said, "version"), "TLS 1.3");
    assert_eq!(line(&said, "certificate"), "CN=webcode.me");
    assert_eq!(line(&said, "  names"), "webcode.me, *.webcode.me");

    // Those whom everybody trusts do not know this one.
    let output = run_at_home(&authority, "get", &["webcode.me"]);
    let cause = "invalid peer certificate: UnknownIssuer";
    assert_distrusts(&output, "webcode.me:443", cause);

    // The same server by another name.
    let output = run_at_home(&authority, "get", &["example.com", "--ca", ca]);
    let cause = "invalid peer certificate: certificate not valid for name \"example.com\"; \
                 certificate is only valid for DnsName(\"webcode.me\") or \
                 DnsName(\"*.webcode.me\")";
    assert_distrusts(&output, "example.com:443", cause);
}
