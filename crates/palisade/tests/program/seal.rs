//! Slots whose key is kept elsewhere, by real keepers: a second program's KMS,
//! SoftHSM, swtpm. Each opens unattended, and by nothing but its keeper.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use testkit::client::Signer;
use testkit::program::{Ended, Launch, Server};

use crate::PALISADE;
use crate::serve::{Installed, call, ok, write_private};
use crate::software_tpm::Tpm;
use crate::world::leaf;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// Runs a command that must succeed with these means.
fn done(launch: &Launch, arguments: &[&str]) -> Ended {
    let told = launch.run(arguments);
    assert_eq!(told.code(), 0, "{arguments:?}: {told:?}");
    told
}

/// Runs a command that must fail, and gives what it complained.
fn refused(launch: &Launch, arguments: &[&str]) -> String {
    let told = launch.run(arguments);
    assert_eq!(told.code(), 1, "{arguments:?}: {told:?}");
    told.stderr
}

const ADD: [&str; 4] = ["seal", "add", "--data=data", "--passphrase-file=passphrase"];
const SERVE: [&str; 3] = ["serve", "--data=data", "--listen=127.0.0.1:0"];
const VERIFY: [&str; 3] = ["seal", "verify", "--data=data"];

/// Starts the server with nobody there.
fn serves(installed: &Installed, launch: &Launch, means: &[&str]) {
    let server = launch.serve(&[&SERVE[..], means].concat(), &installed.path("log"));
    assert!(server.stop().success());
}

/// The one slot of this kind as the document has it.
fn slot_document(installed: &Installed, kind: &str) -> Value {
    let text = fs::read_to_string(installed.path("data/slots.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let slots = document["slots"].as_array().unwrap();
    let slot = slots.iter().find(|slot| slot["method"]["kind"] == kind);
    json!({"store": document["store_id"], "method": slot.unwrap()["method"]})
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// The KMS that keeps: another program, its root credential and a key of it.
async fn keeper(home: &Path) -> (Server, Signer, String) {
    let launch = Launch::new(PALISADE, home);
    let credential = "--credential=AKIAQKEEPERROOT11111:conformance/secret+of=the.keeper0001:999988887777";
    let arguments = ["dev", "--data=kms", "--listen=127.0.0.1:0", credential];
    let server = launch.serve(&arguments, &home.join("log"));
    let signer = Signer::new("AKIAQKEEPERROOT11111", "conformance/secret+of=the.keeper0001");
    let key = leaf(&ok(&server, &signer, "kms:CreateKey", json!({})).await, "KeyId");
    (server, signer, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_kms_opens_it_unattended() {
    let installed = Installed::new();
    let home = tempfile::tempdir().unwrap();
    let (kms, signer, key) = keeper(home.path()).await;
    let (endpoint, key_id) = (
        format!("--kms-endpoint={}", kms.endpoint),
        format!("--kms-key-id={key}"),
    );
    let of_kms = ["--slot=kms", &endpoint, &key_id, "--label=kms"];
    let launch = &installed.launch;

    // No credentials, a key that is not there, plain HTTP to elsewhere: no slot is entered.
    assert!(refused(launch, &[&ADD[..], &of_kms].concat()).contains("AWS_ACCESS_KEY_ID"));
    write_private(
        &installed.path("credentials"),
        "[default]\naws_access_key_id = AKIAQKEEPERROOT11111\naws_secret_access_key = conformance/secret+of=the.keeper0001\n",
    );
    let means = ["--kms-credentials-file=credentials"];
    let lost = ["--slot=kms", &endpoint, "--kms-key-id=alias/lost"];
    let lost = refused(launch, &[&ADD[..], &lost, &means].concat());
    assert!(lost.contains("NotFoundException"), "{lost}");
    let plain = ["--slot=kms", "--kms-endpoint=http://192.0.2.1:80", &key_id];
    let plain = refused(launch, &[&ADD[..], &plain, &means].concat());
    assert!(plain.contains("https"), "{plain}");

    done(launch, &[&ADD[..], &of_kms, &means].concat());
    let status = done(launch, &["seal", "status", "--data=data"]).stdout;
    assert!(
        status.contains(&key) && status.contains(&kms.endpoint),
        "{status}"
    );
    done(launch, &[&VERIFY[..], &means].concat());
    serves(&installed, launch, &means);
    // The same by the usual variables.
    let by_variables = launch
        .clone()
        .with("AWS_ACCESS_KEY_ID", "AKIAQKEEPERROOT11111")
        .with("AWS_SECRET_ACCESS_KEY", "conformance/secret+of=the.keeper0001");
    serves(&installed, &by_variables, &[]);

    // What lies in the document is bound to the store by its context.
    let slot = slot_document(&installed, "kms");
    let blob = BASE64.encode(bytes(&slot["method"]["ciphertext"]));
    let bare = json!({"CiphertextBlob": blob});
    assert_eq!(call(&kms, &signer, "kms:Decrypt", bare).await.status, 400);
    let bound = json!({"CiphertextBlob": blob, "EncryptionContext": {"palisade:store": slot["store"]}});
    let plain = leaf(&ok(&kms, &signer, "kms:Decrypt", bound).await, "Plaintext");
    assert_eq!(BASE64.decode(plain).unwrap().len(), 32);

    // Another key of the KMS takes the slot over.
    let status = done(launch, &["seal", "status", "--data=data", "--json"]).json();
    let slots = status["slots"].as_array().unwrap();
    let id = slots.iter().find(|slot| slot["kind"] == "kms").unwrap()["id"].clone();
    let second = leaf(&ok(&kms, &signer, "kms:CreateKey", json!({})).await, "KeyId");
    let key_id = format!("--kms-key-id={second}");
    let rotate = ["seal", "rotate", id.as_str().unwrap()];
    done(
        launch,
        &[
            &rotate[..],
            &ADD[2..],
            &["--slot=kms", &endpoint, &key_id],
            &means,
        ]
        .concat(),
    );
    ok(&kms, &signer, "kms:DisableKey", json!({"KeyId": key})).await;
    let key = second;
    done(launch, &[&VERIFY[..], &means].concat());

    // Wrong credentials, a disabled key, no KMS: it stays sealed and says why; other slots still open.
    let stranger = launch
        .clone()
        .with("AWS_ACCESS_KEY_ID", "AKIAQKEEPERROOT11111")
        .with("AWS_SECRET_ACCESS_KEY", "conformance/wrong+of=the.keeper0001x");
    let wrong = refused(&stranger, &SERVE);
    assert!(wrong.contains("refuses kms:Decrypt"), "{wrong}");
    ok(&kms, &signer, "kms:DisableKey", json!({"KeyId": key})).await;
    let disabled = refused(launch, &[&VERIFY[..], &means].concat());
    assert!(disabled.contains("DisabledException"), "{disabled}");
    ok(&kms, &signer, "kms:EnableKey", json!({"KeyId": key})).await;
    done(launch, &[&VERIFY[..], &means].concat());
    kms.kill();
    let gone = refused(launch, &[&SERVE[..], &means].concat());
    assert!(gone.contains("stays sealed"), "{gone}");
    serves(&installed, launch, &["--passphrase-file=passphrase"]);
    // `verify` counts the slot that does not open even where another does.
    let mixed = refused(
        launch,
        &[&VERIFY[..], &means, &["--passphrase-file=passphrase"]].concat(),
    );
    assert!(mixed.contains("kms slot stays shut"), "{mixed}");
    assert!(mixed.contains("opens"), "{mixed}");
}

#[test]
fn recovery_shares_are_replaced_but_never_lost() {
    let installed = Installed::new();
    let launch = &installed.launch;
    let status = done(launch, &["seal", "status", "--data=data", "--json"]).json();
    let slots = status["slots"].as_array().unwrap();
    let old = slots.iter().find(|slot| slot["tested_recovery"] == true).unwrap();
    let remove = ["seal", "remove", old["id"].as_str().unwrap(), "--data=data"];
    assert!(refused(launch, &remove).contains("recovery shares"));
    let fresh = [
        "seal",
        "recovery",
        "--data=data",
        "--passphrase-file=passphrase",
        "--shares=3of4",
    ];
    // Without a terminal they cannot be typed back, and nothing is entered.
    assert!(refused(launch, &fresh).contains("file"));
    assert!(refused(launch, &remove).contains("recovery shares"));
    done(
        launch,
        &[&fresh[..], &["--new-shares-file=fresh", "--label=fresh"]].concat(),
    );
    done(launch, &[&VERIFY[..], &["--shares-file=fresh"]].concat());
    done(launch, &remove);
    refused(launch, &[&VERIFY[..], &["--shares-file=shares"]].concat());
    done(launch, &[&VERIFY[..], &["--shares-file=fresh"]].concat());
}

/// Runs a program of the system that must succeed.
fn system(program: &str, arguments: &[&str], variables: &[(&str, &str)]) {
    let told = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("{program} is not here ({error}); ./test installs it"));
    assert!(told.status.success(), "{program} {arguments:?}: {told:?}");
}

#[test]
fn a_token_opens_it_unattended_and_its_module_harms_nobody() {
    let installed = Installed::new();
    let tokens = installed.path("tokens");
    fs::create_dir(&tokens).unwrap();
    let conf = installed.path("softhsm2.conf");
    fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let conf = conf.to_str().unwrap();
    let make = [
        "--init-token",
        "--free",
        "--label",
        "palisade",
        "--so-pin",
        "87654321",
        "--pin",
        "31415926",
    ];
    system("softhsm2-util", &make, &[("SOFTHSM2_CONF", conf)]);
    write_private(&installed.path("pin"), "31415926\n");
    write_private(&installed.path("wrong"), "27182818\n");
    let launch = &installed.launch.clone().with("SOFTHSM2_CONF", conf);
    let module = format!("--pkcs11-module={MODULE}");
    let means = [&module[..], "--pkcs11-pin-file=pin"];
    let of_token = ["--slot=pkcs11", "--pkcs11-token=palisade", "--label=hsm"];

    let nowhere = ["--slot=pkcs11", "--pkcs11-token=another"];
    let nowhere = refused(launch, &[&ADD[..], &nowhere, &means].concat());
    assert!(nowhere.contains("0 tokens are labelled another"), "{nowhere}");
    assert!(refused(launch, &[&ADD[..], &of_token].concat()).contains("--pkcs11-module"));
    done(launch, &[&ADD[..], &of_token, &means].concat());
    done(launch, &[&VERIFY[..], &means].concat());
    serves(&installed, launch, &means);
    // A second slot finds the key that the first had made.
    done(launch, &[&ADD[..], &of_token, &means].concat());
    done(launch, &[&VERIFY[..], &means].concat());

    let wrong = [&module[..], "--pkcs11-pin-file=wrong"];
    let wrong = refused(launch, &[&SERVE[..], &wrong].concat());
    assert!(wrong.contains("logging in"), "{wrong}");
    assert!(!wrong.contains("27182818"), "{wrong}");

    // A module that crashes, and one that is none.
    let source = installed.path("crash.c");
    fs::write(
        &source,
        "#include <stdlib.h>\nint C_GetFunctionList(void *list) { abort(); }\n",
    )
    .unwrap();
    let crash = installed.path("crash.so");
    let compile = [
        "-shared",
        "-fPIC",
        "-o",
        crash.to_str().unwrap(),
        source.to_str().unwrap(),
    ];
    system("cc", &compile, &[]);
    let crash = format!("--pkcs11-module={}", crash.display());
    let crashed = refused(launch, &[&SERVE[..], &[&crash, "--pkcs11-pin-file=pin"]].concat());
    assert!(crashed.contains("ended without an answer"), "{crashed}");
    let none = refused(
        launch,
        &[
            &SERVE[..],
            &["--pkcs11-module=/nowhere.so", "--pkcs11-pin-file=pin"],
        ]
        .concat(),
    );
    assert!(none.contains("loading the module"), "{none}");
    let mixed = [
        &crash[..],
        "--pkcs11-pin-file=pin",
        "--passphrase-file=passphrase",
    ];
    serves(&installed, launch, &mixed);
}

#[test]
fn a_tpm_opens_it_unattended_while_its_registers_are_as_they_were() {
    let installed = Installed::new();
    let tpm = Tpm::start(&installed.path("tpm"));
    let launch = &installed.launch;
    let tcti = format!("--tpm-tcti={}", tpm.tcti);
    let means = [&tcti[..]];
    let nonsense = ["--slot=tpm2", "--tpm-pcrs=sha256:7=file"];
    assert!(refused(launch, &[&ADD[..], &nonsense, &means].concat()).contains("no list of registers"));
    let bound = ["--slot=tpm2", "--tpm-pcrs=sha256:16", "--label=bound"];
    done(launch, &[&ADD[..], &bound, &means].concat());
    done(launch, &[&VERIFY[..], &means].concat());
    serves(&installed, launch, &means);

    // Something else was started: the bound slot is shut, and one that asks for the TPM alone is not.
    let digest = format!("16:sha256={}", "ab".repeat(32));
    system("tpm2_pcrextend", &["-T", &tpm.tcti, &digest], &[]);
    let changed = refused(launch, &[&SERVE[..], &means].concat());
    assert!(
        changed.contains("only while the registers sha256:16 are as they were"),
        "{changed}"
    );
    done(
        launch,
        &[&ADD[..], &["--slot=tpm2", "--label=any"], &means].concat(),
    );
    serves(&installed, launch, &means);
    refused(launch, &[&VERIFY[..], &means].concat());

    // Another TPM opens neither.
    let other = Tpm::start(&installed.path("other"));
    let tcti = format!("--tpm-tcti={}", other.tcti);
    let foreign = refused(launch, &[&SERVE[..], &[&tcti]].concat());
    assert!(foreign.contains("stays sealed"), "{foreign}");
}

/// The helper answers what is no order with a failure, and holds no key open.
#[test]
fn the_helper_takes_orders_alone() {
    let home: PathBuf = tempfile::tempdir().unwrap().keep();
    let launch = Launch::new(PALISADE, &home);
    for input in ["", "{}", "\u{0}"] {
        let told = launch.run_with_input(&["keeper-helper"], input);
        assert_eq!((told.code(), told.stdout.as_str()), (1, ""), "{told:?}");
    }
    fs::remove_dir_all(home).unwrap();
}
