//! A member that another opens only on its own machine, which its TPM proves:
//! by the program itself, and by one that lies in every way it can.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use testkit::program::{Ended, Server};

use crate::peer::{free_address, refused, run, running_with, somebody};
use crate::serve::Installed;
use crate::software_tpm::Tpm;
use crate::world::copy_directory;

const VERIFY: [&str; 3] = ["seal", "verify", "--data=second"];

/// A running member, `one`, and a sealed one, `two`.
struct Pair {
    installed: Installed,
    address: SocketAddr,
    one: String,
    two: String,
}

impl Pair {
    fn new() -> Pair {
        let installed = Installed::new();
        copy_directory(&installed.path("data"), &installed.path("second"));
        let [one, two] = ["one", "two"].map(|name| somebody(&installed, name));
        let address = free_address();
        Pair {
            installed,
            address,
            one,
            two,
        }
    }

    fn runs(&self, more: &str) -> Server {
        running_with(&self.installed, "one", self.address, &[&self.two], more)
    }

    fn add(&self, more: &[&str]) -> Ended {
        let (peer, identity) = (
            format!("--peer={}", self.address),
            format!("--peer-identity={}", self.one),
        );
        let add = [
            "seal",
            "add",
            "--data=second",
            "--passphrase-file=passphrase",
            "--slot=peer",
        ];
        run(
            &self.installed.launch,
            &[&add[..], &[&peer, &identity], more].concat(),
            "two",
        )
    }

    /// The slots of the sealed member, as they are told.
    fn told(&self) -> Vec<Value> {
        let status = self
            .installed
            .launch
            .run(&["seal", "status", "--data=second", "--json"]);
        let slots = status.json()["slots"].as_array().unwrap().clone();
        slots.into_iter().filter(|slot| slot["kind"] == "peer").collect()
    }

    fn sealed(&self) -> String {
        let text = fs::read_to_string(self.installed.path("second/slots.json")).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let slots = document["slots"].as_array().unwrap();
        let slot = slots.iter().find(|slot| slot["method"]["kind"] == "peer");
        slot.unwrap()["method"]["ciphertext"].as_str().unwrap().to_owned()
    }

    fn store(&self) -> String {
        let text = fs::read_to_string(self.installed.path("second/slots.json")).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        document["store_id"].as_str().unwrap().to_owned()
    }

    /// The last thing that the running member recorded of peers.
    fn recorded(&self) -> Value {
        crate::records::of(&self.installed.path("data/journal"))
            .into_iter()
            .rfind(|record| {
                record["eventName"]
                    .as_str()
                    .is_some_and(|name| name.ends_with("PeerSlot"))
            })
            .unwrap()
    }
}

#[test]
fn a_slot_with_registers_opens_on_its_machine_while_they_are_as_they_were() {
    let pair = Pair::new();
    let tpm = Tpm::start(&pair.installed.path("tpm"));
    let tcti = format!("--tpm-tcti={}", tpm.tcti);
    let member = pair.runs("");
    let nonsense = pair.add(&["--tpm-pcrs=sha256:7;16", &tcti]);
    assert!(nonsense.stderr.contains("no list of registers"), "{nonsense:?}");
    let told = pair.add(&["--tpm-pcrs=sha256:7,16", "--label=bound", &tcti]);
    assert_eq!(told.code(), 0, "{told:?}");
    let told = pair.add(&["--label=plain"]);
    assert_eq!(told.code(), 0, "{told:?}");

    // Which is which is told, and what was proven is recorded.
    let slots = pair.told();
    assert_eq!(slots[0]["attested"]["registers"], "sha256:7,16");
    assert_eq!(slots[1]["attested"], json!(false));
    let key = slots[0]["attested"]["attestationKey"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        slots[0]["details"]
            .as_str()
            .unwrap()
            .contains(&format!("for TPM {key}"))
    );
    let told = run(&pair.installed.launch, &[&VERIFY[..], &[&tcti]].concat(), "two");
    assert_eq!(told.code(), 0, "{told:?}");
    let opened = crate::records::of(&pair.installed.path("data/journal"));
    let proven = opened
        .iter()
        .filter(|record| record["eventName"] == "OpenPeerSlot")
        .map(|record| record["serviceEventDetails"]["quote"]["attestationKey"].clone());
    let proven: Vec<Value> = proven.collect();
    assert!(
        proven.contains(&json!(key)) && proven.contains(&Value::Null),
        "{proven:?}"
    );

    // Who has the files and the private key but not the machine gets nothing by this slot.
    let other = Tpm::start(&pair.installed.path("other"));
    let foreign = format!("--tpm-tcti={}", other.tcti);
    let launch = &pair.installed.launch;
    let away = refused(launch, &[&VERIFY[..], &[&foreign]].concat(), "two");
    assert!(away.contains(&format!("the slot is for the TPM {key}")), "{away}");

    // Something else was started.
    let digest = format!("16:sha256={}", "ab".repeat(32));
    tpm.run(&pair.installed.path("data"), "tpm2_pcrextend", &[&digest]);
    let changed = refused(launch, &[&VERIFY[..], &[&tcti]].concat(), "two");
    assert!(
        changed.contains("its registers sha256:7,16 do not hold") && changed.contains("make the slot anew"),
        "{changed}"
    );
    let refusals: Vec<Value> = crate::records::of(&pair.installed.path("data/journal"))
        .into_iter()
        .filter(|record| record["errorCode"] == "AccessDenied")
        .collect();
    let [refusal] = &refusals[..] else {
        panic!("{refusals:?}");
    };
    assert_eq!(refusal["eventName"], "OpenPeerSlot");
    assert_eq!(refusal["serviceEventDetails"]["quote"]["attestationKey"], key);
    drop(member);

    // Where the operator wishes, slots that need no TPM open nothing and none is made.
    let member = pair.runs("tpm_required = true\n");
    let shut = refused(launch, &[&VERIFY[..], &[&tcti]].concat(), "two");
    assert!(shut.contains("tpm_required"), "{shut}");
    let none = pair.add(&["--label=plain"]);
    assert!(none.stderr.contains("tpm_required"), "{none:?}");
    let told = pair.add(&["--tpm-pcrs=sha256:7,16", "--label=anew", &tcti]);
    assert_eq!(told.code(), 0, "{told:?}");
    drop(member);
}

/// A member that lies: it has the files and the private key of `two`.
struct Liar {
    stream: StreamOwned<ClientConnection, TcpStream>,
    nonce: Vec<u8>,
}

impl Liar {
    /// Asks for the key of the slot, and is asked for a quote.
    fn asks(pair: &Pair) -> Liar {
        let pem = |name: &str| fs::read(pair.installed.path(name)).unwrap();
        let certificate = |name: &str| CertificateDer::from_pem_slice(&pem(name)).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate("one.crt")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![certificate("two.crt")],
                PrivateKeyDer::from_pem_slice(&pem("two.key")).unwrap(),
            )
            .unwrap();
        let name = ServerName::try_from("one").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = TcpStream::connect(pair.address).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).unwrap();
        }
        let order = json!({"store": pair.store(), "task": {"Open": pair.sealed()}}).to_string();
        let mut liar = Liar {
            stream: StreamOwned::new(connection, socket),
            nonce: Vec::new(),
        };
        let bound = liar.exported("EXPORTER-Palisade-peer-slot", order.as_bytes());
        liar.send(&[&bound, order.as_bytes()].concat());
        let asked = liar.take();
        assert_eq!((asked[0], asked.len()), (b'?', 33), "{asked:?}");
        liar.nonce = asked[1..].to_vec();
        liar
    }

    fn exported(&self, label: &str, context: &[u8]) -> Vec<u8> {
        let exported = self
            .stream
            .conn
            .export_keying_material([0; 32], label.as_bytes(), Some(context));
        exported.unwrap().to_vec()
    }

    /// What an honest one would have signed.
    fn question(&self) -> String {
        hex(&self.exported("EXPORTER-Palisade-peer-quote", &self.nonce))
    }

    fn send(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).unwrap();
        self.stream.write_all(&length.to_be_bytes()).unwrap();
        self.stream.write_all(frame).unwrap();
    }

    fn take(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut frame).unwrap();
        frame
    }

    /// Shows a quote, and gives the first byte of what it is told, and the rest.
    fn shows(mut self, quote: &[u8], signature: &[u8]) -> (u8, String) {
        self.send(
            json!({"quote": hex(quote), "signature": hex(signature)})
                .to_string()
                .as_bytes(),
        );
        let told = self.take();
        (told[0], String::from_utf8_lossy(&told[1..]).into_owned())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whoever drives a TPM, and a directory to do it in.
struct Driver<'a> {
    tpm: &'a Tpm,
    directory: PathBuf,
}

impl Driver<'_> {
    fn new<'a>(tpm: &'a Tpm, directory: &Path) -> Driver<'a> {
        fs::create_dir(directory).unwrap();
        let driver = Driver {
            tpm,
            directory: directory.to_owned(),
        };
        let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign";
        let scheme = "ecc256:ecdsa-sha256:null";
        let arguments = [
            "-C", "o", "-g", "sha256", "-G", scheme, "-a", attributes, "-c", "key",
        ];
        driver
            .tpm
            .run(&driver.directory, "tpm2_createprimary", &arguments);
        driver
    }

    /// Quote and signature by a program of tpm2-tools.
    fn signed(&self, program: &str, arguments: &[&str]) -> (Vec<u8>, Vec<u8>) {
        self.tpm.run(&self.directory, program, arguments);
        let read = |name: &str| fs::read(self.directory.join(name)).unwrap();
        (read("quote"), read("signature"))
    }

    fn quote(&self, question: &str, pcrs: &str) -> (Vec<u8>, Vec<u8>) {
        let plain = ["-f", "plain", "-m", "quote", "-s", "signature"];
        let arguments = ["-c", "key", "-g", "sha256", "-l", pcrs, "-q", question];
        self.signed("tpm2_quote", &[&arguments[..], &plain].concat())
    }
}

#[test]
fn no_lie_about_the_machine_opens_and_each_is_recorded() {
    let pair = Pair::new();
    let tpm = Tpm::start(&pair.installed.path("tpm"));
    let other = Tpm::start(&pair.installed.path("other"));
    let member = pair.runs("");
    let tcti = format!("--tpm-tcti={}", tpm.tcti);
    let told = pair.add(&["--tpm-pcrs=sha256:16", &tcti]);
    assert_eq!(told.code(), 0, "{told:?}");
    let machine = Driver::new(&tpm, &pair.installed.path("drive"));
    let elsewhere = Driver::new(&other, &pair.installed.path("drive-other"));
    let refused = |(kind, why): (u8, String), reason: &str| {
        assert!(kind == b'!' && why.contains(reason), "{reason}: {kind} {why}");
        let record = pair.recorded();
        assert_eq!(record["errorCode"], "AccessDenied", "{reason}: {record}");
        assert_eq!(record["errorMessage"], why, "{record}");
        assert_eq!(record["serviceEventDetails"]["member"], pair.two);
    };

    // The truth opens, so the lies below fail by what is false in them.
    let honest = Liar::asks(&pair);
    let (quote, signature) = machine.quote(&honest.question(), "sha256:16");
    assert_eq!(honest.shows(&quote, &signature).0, b'=');
    assert_eq!(pair.recorded()["errorCode"], Value::Null);

    // Said before, on another connection.
    refused(
        Liar::asks(&pair).shows(&quote, &signature),
        "made for another question",
    );
    // The nonce alone, not bound to the connection.
    let liar = Liar::asks(&pair);
    let (quote, signature) = machine.quote(&hex(&liar.nonce), "sha256:16");
    refused(liar.shows(&quote, &signature), "made for another question");
    // Another TPM.
    let liar = Liar::asks(&pair);
    let (quote, signature) = elsewhere.quote(&liar.question(), "sha256:16");
    refused(
        liar.shows(&quote, &signature),
        "not signed by the attestation key",
    );
    // Other registers, which hold the same.
    let liar = Liar::asks(&pair);
    let (quote, signature) = machine.quote(&liar.question(), "sha256:15");
    refused(
        liar.shows(&quote, &signature),
        "quotes sha256:15, and the slot was made for sha256:16",
    );
    // Changed, cut off.
    let liar = Liar::asks(&pair);
    let (mut quote, signature) = machine.quote(&liar.question(), "sha256:16");
    *quote.last_mut().unwrap() ^= 1;
    refused(
        liar.shows(&quote, &signature),
        "not signed by the attestation key",
    );
    let liar = Liar::asks(&pair);
    let (quote, signature) = machine.quote(&liar.question(), "sha256:16");
    let cut = &quote[..quote.len() - 1];
    refused(liar.shows(cut, &signature), "not signed by the attestation key");
    drop(member);

    // As many questions as a member has in a minute: the rest to another run of it.
    let member = pair.runs("");
    // Signed by the right key for this question, and yet no quote: the TPM's time.
    let liar = Liar::asks(&pair);
    let (quote, signature) = machine.signed(
        "tpm2_gettime",
        &[
            "-c",
            "key",
            "-g",
            "sha256",
            "-q",
            &liar.question(),
            "-f",
            "plain",
            "-o",
            "signature",
            "--attestation=quote",
        ],
    );
    refused(liar.shows(&quote, &signature), "something else than a quote");
    // What is no quote at all, and nothing.
    let mut liar = Liar::asks(&pair);
    liar.send(b"{}");
    let told = liar.take();
    refused(
        (told[0], String::from_utf8_lossy(&told[1..]).into_owned()),
        "what it sent is no quote",
    );
    drop(Liar::asks(&pair));
    for _ in 0..100 {
        if pair.recorded()["errorMessage"]
            .as_str()
            .is_some_and(|why| why.contains("sent no quote"))
        {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    refused(
        (b'!', pair.recorded()["errorMessage"].as_str().unwrap().to_owned()),
        "sent no quote",
    );
    drop(member);
}
