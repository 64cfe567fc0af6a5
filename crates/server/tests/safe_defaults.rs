//! The program as it starts with nothing configured: what it listens on, whom it refuses, what it never says.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use store::{CallEnd, Direction, NewCall, Store, TenantScope};

/// Longest wait for anything in these tests.
const PATIENCE: Duration = Duration::from_secs(20);
/// Secrets that must not be written anywhere.
const ENGINE_KEY: &str = "sk-canary-engine-71c0";
const USER_PASSWORD: &str = "canary-password-of-a-user-33e9";
/// What a stranger may put into names and numbers: terminal sequences (7 and 8 bits), a line of its own, markup, a switch of
/// the writing direction, a spreadsheet's formula.
const HOSTILE: &str = "=1+1\u{1b}[2J\u{9b}31m\r\nforged\u{202e}<script>alert(1)</script>\u{7}";

fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_allo"));
    command
        .current_dir(directory)
        .env_clear()
        .env("ALLO_SERVER_DATA_DIR", directory.join("data"))
        .env("ALLO_SERVER_LANGUAGE", "en")
        .env("ALLO_ADMIN_PORT", "0")
        .env("ALLO_PLATFORM_LISTEN", "127.0.0.1:0")
        .env("ALLO_BACK_OFFICE_LISTEN", "127.0.0.1:0")
        .env("ALLO_VOICE_LISTEN", "127.0.0.1:0")
        .env("OPENAI_API_KEY", ENGINE_KEY)
        .env("ALLO_SIP_UDP", "127.0.0.1:0")
        .env("ALLO_SIP_TCP", "127.0.0.1:0")
        .env("ALLO_SIP_TLS", "127.0.0.1:0");
    command
}

/// A server that is killed with the test.
struct Server {
    child: Child,
    directory: PathBuf,
    addresses: serde_json::Value,
}

impl Server {
    fn start(directory: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = command(directory);
        command.arg("serve");
        change(&mut command);
        let log = std::fs::File::create(directory.join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let file = directory.join("data/addresses.json");
        let text = until("the addresses", || std::fs::read_to_string(&file).ok());
        let addresses = serde_json::from_str(&text).unwrap();
        Self {
            child,
            directory: directory.to_owned(),
            addresses,
        }
    }

    fn address(&self, name: &str) -> SocketAddr {
        self.addresses[name].as_str().unwrap().parse().unwrap()
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.directory.join("data/admin-token")).unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap()
    }

    /// Status and everything else of an answer.
    fn ask(&self, method: &str, path: &str, token: Option<&str>) -> (u16, String) {
        let bearer = token
            .map(|token| format!("Authorization: Bearer {token}\r\n"))
            .unwrap_or_default();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: allo\r\nConnection: close\r\n{bearer}\r\n"
        ))
    }

    fn send(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address("admin")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A server that refuses may close before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse().ok())
            .unwrap_or_default();
        (status, answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come in time");
        std::thread::yield_now();
    }
}

/// Runs a command that ends by itself.
fn run(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command(directory);
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("{arguments:?} {variables:?} did not end");
        }
        std::thread::yield_now();
    }
    child.wait_with_output().unwrap()
}

/// Every path of the API that is not open to all.
fn guarded(call: &str) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("GET", "/metrics".to_owned()),
        ("GET", "/api/calls".to_owned()),
        ("GET", "/api/calls/live".to_owned()),
        ("GET", "/api/registrations".to_owned()),
        ("GET", format!("/api/calls/{call}")),
        ("DELETE", format!("/api/calls/{call}")),
        ("POST", format!("/api/calls/{call}/hangup")),
    ];
    for part in ["events", "transcript", "explanation", "recording.wav"] {
        all.push(("GET", format!("/api/calls/{call}/{part}")));
    }
    all
}

/// A finished call, written as the engine writes it, with a recording at a path of its own.
fn store_call(directory: &Path, id: &str, name: &str, recording: Option<&Path>) {
    let database = directory.join("data/allo.db");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Store::open(database.to_str().unwrap()).await.unwrap();
        let scope = TenantScope::default();
        let started_at = jiff::Timestamp::UNIX_EPOCH;
        let new = NewCall {
            id: call::CallId::from(id),
            direction: Direction::Inbound,
            from: name.to_owned(),
            to: name.to_owned(),
            line: name.to_owned(),
            agent: name.to_owned(),
            sip_call_id: Some(name.to_owned()),
            started_at,
        };
        store.create_call(&scope, &new).await.unwrap();
        let reason = call::EndReason::CallerHungUp;
        let end = CallEnd {
            ended_at: started_at,
            answered_at: None,
            reason,
            ended_by: reason.row().ended_by,
            verdict: catalog::Message::new(catalog::end_code(reason.code())),
            statistics: None,
            recording_path: recording.map(|path| path.display().to_string()),
        };
        store
            .finish_call(&scope, &call::CallId::from(id), &end)
            .await
            .unwrap();
        store.close().await;
    });
}

#[test]
fn a_public_admin_address_without_tls_and_a_token_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (
        directory.path().join("c.pem"),
        directory.path().join("k.pem"),
    );
    std::fs::write(&certificate, identity.cert.pem()).unwrap();
    std::fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
    let listen = ("ALLO_ADMIN_LISTEN", "0.0.0.0:0");
    let token = ("ALLO_ADMIN_TOKEN", "a-token-that-is-long-enough");
    let tls = [
        ("ALLO_ADMIN_TLS_CERTIFICATE", certificate.to_str().unwrap()),
        ("ALLO_ADMIN_TLS_KEY", key.to_str().unwrap()),
    ];
    for variables in [
        vec![listen],
        vec![listen, token],
        vec![listen, tls[0], tls[1]],
    ] {
        for command in ["serve", "check"] {
            let output = run(directory.path(), &[command], &variables);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(
                output.status.code(),
                Some(2),
                "{command} {variables:?}: {text}"
            );
            assert!(text.contains("admin.listen"), "{text}");
        }
    }
    let all = [listen, token, tls[0], tls[1]];
    let output = run(directory.path(), &["check"], &all);
    assert!(output.status.success(), "{output:?}");
    let short = run(
        directory.path(),
        &["check"],
        &[("ALLO_ADMIN_TOKEN", "short")],
    );
    assert_eq!(short.status.code(), Some(2), "a token that can be guessed");
}

#[test]
fn with_nothing_configured_the_api_is_on_loopback_and_nothing_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), |_| {});
    assert!(server.address("admin").ip().is_loopback());
    let printed = run(directory.path(), &["check", "--print"], &[]);
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    for key in ["recording.enabled", "line.allow_loopback"] {
        let line = printed.lines().find(|line| line.contains(key));
        assert!(line.is_some_and(|line| line.contains("false")), "{printed}");
    }
}

#[test]
fn with_nothing_configured_every_caller_is_refused_and_nothing_is_relayed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), |_| {});
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let local = socket.local_addr().unwrap();
    let sip = server.address("sip/udp");
    let ask = |number: usize, method: &str, uri: &str, extra: &str| {
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKs{number};rport\r\nMax-Forwards: 70\r\nFrom: <sip:stranger@{local}>;tag=a{number}\r\nTo: <{uri}>\r\nCall-ID: s{number}\r\nCSeq: 1 {method}\r\nContact: <sip:stranger@{local}>\r\n{extra}Content-Length: 0\r\n\r\n"
        );
        socket.send_to(text.as_bytes(), sip).unwrap();
        let mut buffer = [0; 65_535];
        let (count, _) = socket.recv_from(&mut buffer).unwrap();
        let answer = String::from_utf8_lossy(&buffer[..count]).into_owned();
        assert!(
            answer.starts_with("SIP/2.0 "),
            "an answer, not a relayed request: {answer}"
        );
        answer[8..11].to_owned()
    };
    assert_eq!(ask(1, "INVITE", &format!("sip:agent@{sip}"), ""), "403");
    assert_eq!(ask(2, "INVITE", "sip:+33123@203.0.113.7", ""), "403");
    assert_eq!(ask(3, "REGISTER", &format!("sip:{sip}"), ""), "405");
    assert_eq!(ask(4, "MESSAGE", "sip:somebody@203.0.113.7", ""), "405");
    let refer = "Refer-To: <sip:premium@203.0.113.7>\r\n";
    assert_eq!(ask(5, "REFER", &format!("sip:agent@{sip}"), refer), "603");
}

#[test]
fn a_tls_client_older_than_1_2_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), |_| {});
    for version in [0x0300_u16, 0x0301, 0x0302] {
        // A ClientHello that offers this version at most, with suites of its time.
        let [high, low] = version.to_be_bytes();
        let mut hello = vec![high, low];
        hello.extend_from_slice(&[7; 32]);
        hello.extend_from_slice(&[0, 0, 6, 0xC0, 0x14, 0x00, 0x2F, 0x00, 0x35, 1, 0]);
        let mut message = vec![1, 0, 0, u8::try_from(hello.len()).unwrap()];
        message.extend_from_slice(&hello);
        let mut record = vec![0x16, 3, 1, 0, u8::try_from(message.len()).unwrap()];
        record.extend_from_slice(&message);
        let mut stream = TcpStream::connect(server.address("sip/tls")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&record).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(
            answer.first(),
            Some(&0x15),
            "an alert for {version:04x}: {answer:?}"
        );
        assert_eq!(answer.get(5), Some(&2), "which is fatal");
    }
}

#[test]
fn every_path_wants_the_token_and_the_token_is_written_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    store_call_in_new_directory(directory.path());
    let users = format!("phone:{USER_PASSWORD}");
    let server = Server::start(directory.path(), |command| {
        command
            .env("ALLO_SERVER_LOG_LEVEL", "trace")
            .env("ALLO_LINE_USERS", &users);
    });
    let token = server.token();
    assert!(
        token.len() >= 96 && token.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "256 bits: {}",
        token.len()
    );
    let mut said = String::new();
    for (method, path) in guarded("one") {
        for wrong in [
            None,
            Some(""),
            Some("wrong"),
            token.get(1..),
            token.get(..95),
        ] {
            let (status, answer) = server.ask(method, &path, wrong);
            assert_eq!(status, 401, "{method} {path} {wrong:?}: {answer}");
            said.push_str(&answer);
        }
        let (status, answer) = server.ask(method, &path, Some(&token));
        assert!(
            ![401, 405, 500].contains(&status),
            "{method} {path}: {answer}"
        );
        said.push_str(&answer);
    }
    let query = format!("/api/calls?token={token}");
    assert_eq!(
        server.ask("GET", &query, None).0,
        401,
        "a query is no place for a token"
    );
    for open in ["/health", "/ready"] {
        said.push_str(&server.ask("GET", open, None).1);
    }
    let printed = run(
        directory.path(),
        &["check", "--print"],
        &[("ALLO_ADMIN_TOKEN", &token), ("ALLO_LINE_USERS", &users)],
    );
    said.push_str(&String::from_utf8_lossy(&printed.stdout));
    let log = server.log();
    assert!(!log.is_empty());
    let database = std::fs::read(directory.path().join("data/allo.db")).unwrap();
    for (what, bytes) in [
        ("answers", said.as_bytes()),
        ("log", log.as_bytes()),
        ("database", &database),
    ] {
        for secret in [token.as_str(), ENGINE_KEY, USER_PASSWORD] {
            let mut windows = bytes.windows(secret.len());
            let found = windows.any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in the {what}");
        }
    }
}

fn store_call_in_new_directory(directory: &Path) {
    std::fs::create_dir_all(directory.join("data")).unwrap();
    store_call(directory, "one", "+33123456789", None);
}

#[test]
fn pattern_42_a_request_head_without_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), |_| {});
    let giant = format!(
        "GET /health HTTP/1.1\r\nHost: allo\r\nX-Long: {}\r\n\r\n",
        "a".repeat(2 << 20)
    );
    let many = format!(
        "GET /health HTTP/1.1\r\nHost: allo\r\n{}\r\n",
        "X: y\r\n".repeat(1_000)
    );
    for request in [giant, many] {
        let (status, answer) = server.send(&request);
        assert!(
            matches!(status, 431 | 0),
            "{status}: {}",
            answer.get(..200).unwrap_or(&answer)
        );
    }
    assert_eq!(
        server.ask("GET", "/health", None).0,
        200,
        "and the others are served"
    );
}

#[test]
fn pattern_46_a_recording_is_found_by_the_id_of_its_call_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("data/recordings")).unwrap();
    let recording = directory.path().join("data/recordings/elsewhere.wav");
    std::fs::write(&recording, b"RIFF of the call").unwrap();
    store_call(directory.path(), "call-1", "+33123456789", Some(&recording));
    let server = Server::start(directory.path(), |_| {});
    let token = server.token();
    let ask = |id: &str| {
        server.ask(
            "GET",
            &format!("/api/calls/{id}/recording.wav"),
            Some(&token),
        )
    };
    let (status, answer) = ask("call-1");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.ends_with("RIFF of the call"), "{answer}");
    let paths = [
        "elsewhere",
        "..%2F..%2Fadmin-token",
        "..%2Frecordings%2Felsewhere",
        "%2e%2e/%2e%2e/admin-token",
        "..%5C..%5Cadmin-token",
        "call-1%00",
        "call-1%2F..%2F..%2Fadmin-token",
        "%2Fetc%2Fpasswd",
        "call-1'%20OR%20'1'='1",
        "%25",
        "_all-1",
    ];
    for path in paths {
        let (status, answer) = ask(path);
        assert!(matches!(status, 400 | 404), "{path}: {status} {answer}");
        assert!(
            !answer.contains(&token) && !answer.contains("root:"),
            "{path}"
        );
    }
}

#[test]
fn pattern_47_what_a_stranger_wrote_stays_text_everywhere() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("data")).unwrap();
    store_call(directory.path(), "hostile", HOSTILE, None);
    let text = |arguments: &[&str]| {
        let output = run(directory.path(), arguments, &[]);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let is_dangerous = |character: char| {
        character.is_control() && character != '\n'
            || ('\u{202a}'..='\u{202e}').contains(&character)
            || ('\u{2066}'..='\u{2069}').contains(&character)
    };
    for arguments in [
        &["calls"][..],
        &["calls", "--json"],
        &["call", "explain", "hostile"],
        &["call", "explain", "last", "--json"],
    ] {
        let printed = text(arguments);
        assert!(printed.contains("script"), "the name is shown: {printed}");
        assert!(
            !printed.contains(is_dangerous),
            "{arguments:?}: {printed:?}"
        );
        assert!(
            !printed.lines().any(|line| line.starts_with("forged")),
            "{printed}"
        );
    }
    assert_eq!(text(&["calls"]).lines().count(), 1);
    for line in text(&["calls", "--json"]).lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["from"], HOSTILE, "the data are whole");
    }
    let missing = run(directory.path(), &["call", "explain", HOSTILE], &[]);
    let complaint = String::from_utf8(missing.stderr).unwrap();
    assert!(!complaint.contains(is_dangerous), "{complaint:?}");
    let server = Server::start(directory.path(), |_| {});
    let token = server.token();
    for path in [
        "/api/calls",
        "/api/calls/hostile",
        "/api/calls/hostile/explanation",
        "/api/calls?party=%3Cscript%3E",
    ] {
        let (status, answer) = server.ask("GET", path, Some(&token));
        assert_eq!(status, 200, "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.to_ascii_lowercase()
                .contains("content-type: application/json"),
            "{head}"
        );
        assert!(
            !body.contains(|character: char| character.is_ascii_control()),
            "{body:?}"
        );
    }
    let (_, listed) = server.ask("GET", "/api/calls?party='%20OR%201=1%20--", Some(&token));
    assert!(
        listed.contains("\"calls\":[]"),
        "a filter is a value, not a query: {listed}"
    );
}
