//! A sealed member of a cluster is opened by one that runs: the right one, for
//! the right one, and by nothing that was heard before.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::client::send;
use testkit::program::{Ended, Launch, Server};

use crate::PALISADE;
use crate::serve::{Installed, ok, write_private};
use crate::world::{copy_directory, leaf};

/// Files `NAME.crt` and `NAME.key` of somebody, and his identity.
pub(crate) fn somebody(installed: &Installed, name: &str) -> String {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    fs::write(installed.path(&format!("{name}.crt")), made.cert.pem()).unwrap();
    write_private(
        &installed.path(&format!("{name}.key")),
        &made.signing_key.serialize_pem(),
    );
    let told = installed
        .launch
        .run(&["seal", "identity", &format!("{name}.crt")]);
    assert_eq!(told.code(), 0, "{told:?}");
    told.stdout.trim().to_owned()
}

/// Starts the running member as somebody, at `address`, opening for `members`.
fn running(installed: &Installed, who: &str, address: SocketAddr, members: &[&str]) -> Server {
    running_with(installed, who, address, members, "")
}

/// The same, with more settings of `[peers]`.
pub(crate) fn running_with(
    installed: &Installed,
    who: &str,
    address: SocketAddr,
    members: &[&str],
    more: &str,
) -> Server {
    let config = format!(
        "listen = \"127.0.0.1:0\"\ndata = \"data\"\n[peers]\nlisten = \"{address}\"\ncertificate = \"{who}.crt\"\n\
         key = \"{who}.key\"\nmembers = {members:?}\n{more}"
    );
    fs::write(installed.path("palisade.toml"), config).unwrap();
    let arguments = ["serve", "--config=palisade.toml", "--passphrase-file=passphrase"];
    installed.launch.serve(&arguments, &installed.path("log"))
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// How a member says who it is.
pub(crate) fn shown(who: &str) -> [String; 2] {
    [
        format!("--peer-certificate={who}.crt"),
        format!("--peer-key={who}.key"),
    ]
}

pub(crate) fn run(launch: &Launch, arguments: &[&str], who: &str) -> Ended {
    let shown = shown(who);
    let arguments: Vec<&str> = arguments
        .iter()
        .copied()
        .chain(shown.iter().map(String::as_str))
        .collect();
    launch.run(&arguments)
}

pub(crate) fn refused(launch: &Launch, arguments: &[&str], who: &str) -> String {
    let told = run(launch, arguments, who);
    assert_eq!(told.code(), 1, "{arguments:?}: {told:?}");
    told.stderr
}

const SERVE: [&str; 3] = ["serve", "--data=second", "--listen=127.0.0.1:0"];

/// What the running member recorded of peers: name and whether it was refused.
fn recorded(installed: &Installed) -> Vec<(String, bool)> {
    crate::records::of(&installed.path("data/journal"))
        .iter()
        .filter(|record| {
            record["eventName"]
                .as_str()
                .is_some_and(|name| name.ends_with("PeerSlot"))
        })
        .map(|record| {
            let name = record["eventName"].as_str().unwrap().to_owned();
            (name, record["errorCode"] == "AccessDenied")
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_member_opens_the_one_it_was_told_of() {
    let installed = Installed::new();
    copy_directory(&installed.path("data"), &installed.path("second"));
    let [one, two, three] = ["one", "two", "three"].map(|name| somebody(&installed, name));
    let launch = &installed.launch;
    let address = free_address();
    let member = running(&installed, "one", address, &[&two]);
    assert_eq!(member.said["peers"], json!(address.to_string()));

    // Without a slot it stays sealed. One is made with the root key open, for one's own key.
    assert!(refused(launch, &SERVE, "two").contains("stays sealed"));
    let peer = format!("--peer={address}");
    let of_one = format!("--peer-identity={one}");
    let add = [
        "seal",
        "add",
        "--data=second",
        "--passphrase-file=passphrase",
        "--slot=peer",
        "--label=peer",
        &peer,
        &of_one,
    ];
    let stranger = refused(launch, &add, "three");
    assert!(
        stranger.contains("opens for no member of the identity"),
        "{stranger}"
    );
    assert!(stranger.contains(&three), "{stranger}");
    let nobody = launch.run(&add);
    assert!(nobody.stderr.contains("--peer-certificate"), "{nobody:?}");
    let of_three = format!("--peer-identity={three}");
    let wrong = refused(launch, &[&add[..7], &[&of_three]].concat(), "two");
    assert!(wrong.contains(&format!("is not {three}")), "{wrong}");
    let told = run(launch, &add, "two");
    assert_eq!(told.code(), 0, "{told:?}");
    assert!(
        told.stdout.contains(&one) && told.stdout.contains(&address.to_string()),
        "{told:?}"
    );
    assert!(recorded(&installed).iter().all(|(_, refused)| !refused));

    // Unattended: both serve the same key of the same store, each from its own copy.
    let second = {
        let shown = shown("two");
        let arguments: Vec<&str> = SERVE
            .iter()
            .copied()
            .chain(shown.iter().map(String::as_str))
            .collect();
        launch.serve(&arguments, &installed.path("log-second"))
    };
    let key = leaf(
        &ok(&second, &installed.root, "kms:CreateKey", json!({})).await,
        "KeyId",
    );
    let input = json!({"KeyId": key, "Plaintext": "dHdv"});
    ok(&second, &installed.root, "kms:Encrypt", input).await;
    assert!(second.stop().success());

    // Another's certificate does not serve for this slot; nor does the right one's without its key.
    let foreign = refused(launch, &SERVE, "three");
    assert!(foreign.contains("the slot is for the identity"), "{foreign}");
    let stolen = launch.run(
        &[
            &SERVE[..],
            &["--peer-certificate=two.crt", "--peer-key=three.key"],
        ]
        .concat(),
    );
    assert_eq!(stolen.code(), 1, "{stolen:?}");

    // What was asked is recorded and counted.
    let records = recorded(&installed);
    let count = |name: &str| records.iter().filter(|(found, _)| found == name).count();
    assert!(
        count("WrapPeerSlot") >= 1 && count("OpenPeerSlot") >= 2,
        "{records:?}"
    );
    let (path, root) = ("/_palisade/metrics", &installed.root);
    let metrics = send(
        member.address,
        "GET",
        path,
        "palisade",
        Some(root),
        Default::default(),
    )
    .await;
    let metrics = metrics.text();
    assert!(
        metrics.contains("palisade_peer_slots_total{outcome=\"key\"}"),
        "{metrics}"
    );
    assert!(
        metrics.contains("palisade_peer_slots_total{outcome=\"stranger\"}"),
        "{metrics}"
    );

    // The peer is stopped; is somebody else; does not name the member any more.
    assert!(member.stop().success());
    let gone = refused(launch, &SERVE, "two");
    assert!(
        gone.contains("no member answers") && gone.contains("peer slot stays shut"),
        "{gone}"
    );
    let impostor = running(&installed, "three", address, &[&two]);
    let other = refused(launch, &SERVE, "two");
    assert!(other.contains(&format!("is not {one}")), "{other}");
    drop(impostor);
    let member = running(&installed, "one", address, &[&three]);
    let left = refused(launch, &SERVE, "two");
    assert!(left.contains("opens for no member of the identity"), "{left}");
    drop(member);

    // And everything is as it was once it does.
    let member = running(&installed, "one", address, &[&two]);
    let verify = ["seal", "verify", "--data=second"];
    let told = run(launch, &verify, "two");
    assert_eq!(told.code(), 0, "{told:?}");
    // Without [peers] it opens for nobody.
    drop(member);
    let plain = installed.serve(&["--passphrase-file=passphrase"]);
    assert_eq!(plain.said["peers"], Value::Null);
    assert!(refused(launch, &verify, "two").contains("no member answers"));
}

/// Passes bytes on between a member and its peer, and keeps what the member said.
fn listening_in(peer: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&heard);
    std::thread::spawn(move || {
        for member in listener.incoming() {
            let mut member = member.unwrap();
            let mut peer = TcpStream::connect(peer).unwrap();
            let (mut back, mut to) = (peer.try_clone().unwrap(), member.try_clone().unwrap());
            keep.lock().unwrap().clear();
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut back, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
            let mut bytes = [0; 4_096];
            while let Ok(length @ 1..) = member.read(&mut bytes) {
                keep.lock().unwrap().extend_from_slice(&bytes[..length]);
                if peer.write_all(&bytes[..length]).is_err() {
                    break;
                }
            }
            let _ = peer.shutdown(std::net::Shutdown::Write);
        }
    });
    (address, heard)
}

#[test]
fn what_was_heard_opens_nothing_and_another_store_gets_nothing() {
    let installed = Installed::new();
    copy_directory(&installed.path("data"), &installed.path("second"));
    let [one, two] = ["one", "two"].map(|name| somebody(&installed, name));
    let address = free_address();
    let member = running(&installed, "one", address, &[&two]);
    let (between, heard) = listening_in(address);
    let (peer, identity) = (format!("--peer={between}"), format!("--peer-identity={one}"));
    let add = |data: &'static str| {
        let passphrase = "--passphrase-file=passphrase";
        ["seal", "add", data, passphrase, "--slot=peer", &peer, &identity].map(str::to_owned)
    };
    let told = run(
        &installed.launch,
        &add("--data=second").each_ref().map(String::as_str),
        "two",
    );
    assert_eq!(told.code(), 0, "{told:?}");
    let verify = ["seal", "verify", "--data=second"];
    let told = run(&installed.launch, &verify, "two");
    assert_eq!(told.code(), 0, "{told:?}");

    // The same bytes once more: no answer to the order, and no record of an opening.
    let before = recorded(&installed).len();
    let mut again = TcpStream::connect(address).unwrap();
    again.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = heard.lock().unwrap().clone();
    assert!(heard.len() > 500, "nothing was heard");
    // The peer may hang up in the middle.
    let _ = again.write_all(&heard);
    let mut answer = Vec::new();
    let _ = again.read_to_end(&mut answer);
    assert_eq!(recorded(&installed).len(), before);
    drop(again);

    // A member of another store, though its key is named: it is told so, and that is recorded.
    let other = Installed::new();
    for file in ["two.crt", "two.key"] {
        fs::copy(installed.path(file), other.path(file)).unwrap();
    }
    let told = run(
        &other.launch,
        &add("--data=data").each_ref().map(String::as_str),
        "two",
    );
    assert_eq!(told.code(), 1, "{told:?}");
    assert!(told.stderr.contains("it serves another store"), "{told:?}");
    assert_eq!(
        recorded(&installed).last().map(|(_, refused)| *refused),
        Some(true)
    );

    // Who asks again and again is told to wait.
    let mut last = told;
    for _ in 0..12 {
        last = run(&installed.launch, &verify, "two");
    }
    assert!(last.stderr.contains("times in a minute"), "{last:?}");
    drop(member);
}

#[test]
fn who_opens_for_whom_is_looked_at() {
    let installed = Installed::new();
    let one = somebody(&installed, "one");
    let launch = Launch::new(PALISADE, installed.home.path());
    let fails = |members: &str, more: &str| {
        let config = format!(
            "listen = \"127.0.0.1:0\"\ndata = \"data\"\n[peers]\nlisten = \"127.0.0.1:0\"\ncertificate = \"one.crt\"\n\
             key = \"one.key\"\nmembers = {members}\n{more}"
        );
        fs::write(installed.path("palisade.toml"), config).unwrap();
        let told = launch.run(&["serve", "--config=palisade.toml", "--passphrase-file=passphrase"]);
        assert_eq!(told.code(), 1, "{told:?}");
        told.stderr
    };
    assert!(fails("[]", "").contains("names nobody"));
    assert!(fails("[\"two\"]", "").contains("is no identity"));
    assert!(fails(&format!("[\"{}\"]", one.to_uppercase()), "").contains("is no identity"));
    assert!(fails(&format!("[\"{one}\"]"), "anyone = true\n").contains("anyone"));
    let readable = Path::new("one.key");
    let path = installed.home.path().join(readable);
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(&path, permissions).unwrap();
    assert!(fails(&format!("[\"{one}\"]"), "").contains("chmod 600"));
}
