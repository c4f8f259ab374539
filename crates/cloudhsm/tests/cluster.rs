//! A helper and its token, by SoftHSM. The helper runs on a thread of this
//! process, so that a module is loaded once: all is one test.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prepares its token: a directory and a program's work"
)]

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;

use cloudhsm::message::{Hidden, Refusal, Reply, Request, Setup, Vectors, frame_length, parse_reply};
use ground::Secret;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// The server's side of the socket.
struct Server {
    socket: UnixStream,
    calls: u64,
    helper: std::thread::JoinHandle<Result<(), cloudhsm::helper::HelperError>>,
}

/// Vectors by counting: no two are equal in a test either.
fn vector() -> [u8; 12] {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut vector = [7; 12];
    vector[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    vector
}

impl Server {
    fn start(setup: &Setup) -> Server {
        let (mut socket, theirs) = UnixStream::pair().unwrap();
        socket.write_all(setup.to_frame().expose()).unwrap();
        let helper = std::thread::spawn(move || cloudhsm::helper::help(theirs, vector));
        Server {
            socket,
            calls: 0,
            helper,
        }
    }

    fn send(&mut self, request: &Request<'_>) -> u64 {
        self.calls += 1;
        let frame = request.to_frame(self.calls).unwrap();
        self.socket.write_all(frame.expose()).unwrap();
        self.calls
    }

    fn take(&mut self) -> (u64, Reply) {
        let mut head = [0; 4];
        self.socket.read_exact(&mut head).unwrap();
        let mut body = vec![0; frame_length(head).unwrap()];
        self.socket.read_exact(&mut body).unwrap();
        parse_reply(&body).unwrap()
    }

    fn ask(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Refusal> {
        let call = self.send(request);
        let (replied, reply) = self.take();
        assert_eq!(replied, call);
        reply.map(|bytes: Secret<Vec<u8>>| bytes.expose().clone())
    }

    fn end(self) -> Result<(), cloudhsm::helper::HelperError> {
        drop(self.socket);
        self.helper.join().unwrap()
    }
}

fn log_in(pin: &str) -> Request<'_> {
    Request::LogIn {
        pin: Hidden(pin.as_bytes()),
    }
}

fn encrypt<'a>(label: &'a str, associated: &'a [u8], plaintext: &'a [u8]) -> Request<'a> {
    Request::Encrypt {
        label,
        associated,
        plaintext: Hidden(plaintext),
    }
}

fn decrypt<'a>(label: &'a str, associated: &'a [u8], ciphertext: &'a [u8]) -> Request<'a> {
    Request::Decrypt {
        label,
        associated,
        ciphertext,
    }
}

fn make_token(label: &str, pin: &str) {
    let told = Command::new("softhsm2-util")
        .args([
            "--init-token",
            "--free",
            "--label",
            label,
            "--so-pin",
            "87654321",
            "--pin",
            pin,
        ])
        .output()
        .unwrap_or_else(|error| panic!("softhsm2-util is not here ({error}); ./test installs it"));
    assert!(told.status.success(), "{told:?}");
}

/// Runs itself again with the environment that SoftHSM reads, which a program
/// may not change while it runs.
fn with_tokens(name: &str) -> bool {
    if std::env::var_os("SOFTHSM2_CONF").is_some() {
        return true;
    }
    let home = tempfile::tempdir().unwrap();
    let tokens = home.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = home.path().join("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let told = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("SOFTHSM2_CONF", conf)
        .output()
        .unwrap();
    let (out, complained) = (
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr),
    );
    assert!(
        told.status.success() && out.contains("1 passed"),
        "{out}{complained}"
    );
    false
}

#[test]
fn a_token_serves_as_a_cluster() {
    if !with_tokens("a_token_serves_as_a_cluster") {
        return;
    }
    make_token("first", "31415926");
    let setup = Setup {
        module: MODULE.into(),
        token: "first".to_owned(),
        vectors: Vectors::Ours,
    };
    let mut server = Server::start(&setup);

    // Nobody is logged in, and a wrong PIN changes nothing of that.
    assert_eq!(server.ask(&Request::Active), Ok(Vec::new()));
    assert_eq!(server.ask(&Request::Make { label: "a" }), Err(Refusal::LoggedOut));
    assert_eq!(server.ask(&log_in("27182818")), Err(Refusal::WrongPin));
    assert_eq!(server.ask(&log_in("")), Err(Refusal::WrongPin));
    let not_text = Request::LogIn {
        pin: Hidden(&[0xff, 0xfe, 0xfd, 0xfc]),
    };
    assert_eq!(server.ask(&not_text), Err(Refusal::WrongPin));
    assert_eq!(server.ask(&Request::Random { bytes: 8 }), Err(Refusal::LoggedOut));

    // Two keys: each opens its own, for the purpose it was made for, unaltered.
    assert_eq!(server.ask(&log_in("31415926")), Ok(Vec::new()));
    assert_eq!(server.ask(&log_in("31415926")), Ok(Vec::new()));
    for label in ["a", "b"] {
        assert_eq!(server.ask(&Request::Make { label }), Ok(Vec::new()));
        assert_eq!(server.ask(&Request::Make { label }), Err(Refusal::Exists));
    }
    let sealed = server.ask(&encrypt("a", b"for this", b"plain")).unwrap();
    assert_eq!(sealed.len(), 12 + 5 + 16);
    let again = server.ask(&encrypt("a", b"for this", b"plain")).unwrap();
    assert_ne!(sealed, again);
    assert_eq!(
        server.ask(&decrypt("a", b"for this", &sealed)),
        Ok(b"plain".to_vec())
    );
    assert_eq!(
        server.ask(&decrypt("a", b"for that", &sealed)),
        Err(Refusal::Forged)
    );
    assert_eq!(
        server.ask(&decrypt("b", b"for this", &sealed)),
        Err(Refusal::Forged)
    );
    for at in [0, 12, sealed.len() - 1] {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert_eq!(
            server.ask(&decrypt("a", b"for this", &altered)),
            Err(Refusal::Forged)
        );
    }
    for cut in [0, 11, 12, 27, sealed.len() - 1] {
        assert_eq!(
            server.ask(&decrypt("a", b"for this", &sealed[..cut])),
            Err(Refusal::Forged)
        );
    }
    let empty = server.ask(&encrypt("a", b"", b"")).unwrap();
    assert_eq!(server.ask(&decrypt("a", b"", &empty)), Ok(Vec::new()));
    let long = vec![1; 4_096];
    let sealed_long = server.ask(&encrypt("a", &long, &long)).unwrap();
    assert_eq!(server.ask(&decrypt("a", &long, &sealed_long)), Ok(long.clone()));
    assert_eq!(server.ask(&encrypt("c", b"", b"")), Err(Refusal::NoSuchKey));
    assert_eq!(server.ask(&Request::Random { bytes: 32 }).unwrap().len(), 32);

    // Many at once, answered as they are ready, each under its number.
    let asked: HashMap<u64, Vec<u8>> = (0..64_u8)
        .map(|number| (server.send(&encrypt("a", b"many", &[number])), vec![number]))
        .collect();
    let mut sealed_many = Vec::new();
    for _ in 0..64 {
        let (call, reply) = server.take();
        sealed_many.push((asked[&call].clone(), reply.unwrap().expose().clone()));
    }
    for (plain, sealed) in sealed_many {
        assert_eq!(server.ask(&decrypt("a", b"many", &sealed)), Ok(plain));
    }

    // Another PIN logs out first, whatever comes of it.
    assert_eq!(server.ask(&log_in("27182818")), Err(Refusal::WrongPin));
    assert_eq!(
        server.ask(&decrypt("a", b"for this", &sealed)),
        Err(Refusal::LoggedOut)
    );
    assert_eq!(server.ask(&log_in("31415926")), Ok(Vec::new()));
    assert_eq!(
        server.ask(&decrypt("a", b"for this", &sealed)),
        Ok(b"plain".to_vec())
    );

    // A deleted key is gone; the other is not.
    assert_eq!(server.ask(&Request::Delete { label: "b" }), Ok(Vec::new()));
    assert_eq!(
        server.ask(&Request::Delete { label: "b" }),
        Err(Refusal::NoSuchKey)
    );
    assert_eq!(server.ask(&encrypt("b", b"", b"")), Err(Refusal::NoSuchKey));
    assert_eq!(
        server.ask(&decrypt("a", b"for this", &sealed)),
        Ok(b"plain".to_vec())
    );

    assert_eq!(server.ask(&Request::LogOut), Ok(Vec::new()));
    assert_eq!(server.ask(&Request::LogOut), Ok(Vec::new()));
    assert_eq!(
        server.ask(&decrypt("a", b"for this", &sealed)),
        Err(Refusal::LoggedOut)
    );
    server.end().unwrap();
}

#[test]
fn a_key_stays_in_its_token() {
    if !with_tokens("a_key_stays_in_its_token") {
        return;
    }
    make_token("kept", "31415926");
    let setup = Setup {
        module: MODULE.into(),
        token: "kept".to_owned(),
        vectors: Vectors::Module,
    };
    let mut server = Server::start(&setup);
    server.ask(&log_in("31415926")).unwrap();
    server.ask(&Request::Make { label: "key" }).unwrap();
    // SoftHSM makes no vectors: it would use one of zeros, and never does.
    let none = server.ask(&encrypt("key", b"", b"plain")).unwrap_err();
    assert_eq!(
        none,
        Refusal::Unwilling("the module makes no vectors of its own".to_owned())
    );
    // What another program sees of the key.
    let told = Command::new("pkcs11-tool")
        .args([
            "--module",
            MODULE,
            "--token-label",
            "kept",
            "--pin",
            "31415926",
            "--list-objects",
        ])
        .output()
        .unwrap_or_else(|error| panic!("pkcs11-tool is not here ({error}); ./test installs it"));
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("AES length 32") && told.contains("key"), "{told}");
    assert!(
        told.contains("sensitive, always sensitive, never extractable"),
        "{told}"
    );
}

#[test]
fn of_two_tokens_of_one_label_neither_is_chosen() {
    if !with_tokens("of_two_tokens_of_one_label_neither_is_chosen") {
        return;
    }
    let setup = Setup {
        module: MODULE.into(),
        token: "twin".to_owned(),
        vectors: Vectors::Ours,
    };
    for _ in 0..2 {
        make_token("twin", "31415926");
    }
    let mut server = Server::start(&setup);
    let found = Refusal::NoToken("2 tokens are labelled twin, not one".to_owned());
    assert_eq!(server.ask(&Request::Active), Err(found.clone()));
    assert_eq!(server.ask(&log_in("31415926")), Err(found));
    server.end().unwrap();
}

#[test]
fn a_module_that_is_none_is_told_each_time() {
    let setup = Setup {
        module: "/nowhere/module.so".into(),
        token: "first".to_owned(),
        vectors: Vectors::Ours,
    };
    let mut server = Server::start(&setup);
    for _ in 0..2 {
        let Err(Refusal::Broken(why)) = server.ask(&Request::Active) else {
            panic!("it was taken");
        };
        assert!(why.starts_with("loading the module"), "{why}");
    }
    server.end().unwrap();
}
