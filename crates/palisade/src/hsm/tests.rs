//! Clusters by SoftHSM, with their helpers as processes of their own.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::*;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const FIRST: &str = "cluster-1st2t3u4v5w"; // Not one: 1 is no digit of an id.
const ONE: &str = "cluster-abcdefghi23";
const TWO: &str = "cluster-abcdefghi24";

/// The helper: what the tests start in place of `palisade hsm-helper`.
#[test]
#[ignore = "it is no test but the other side of one"]
fn the_helper_itself() {
    help().unwrap();
}

/// Runs the named test again with the environment that SoftHSM reads, and with
/// tokens for two clusters; true if this is that run.
#[expect(clippy::disallowed_methods, reason = "a token is a program's work")]
fn with_tokens(name: &str) -> bool {
    if std::env::var_os("SOFTHSM2_CONF").is_some() {
        return true;
    }
    let home = tempfile::tempdir().unwrap();
    let tokens = home.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let conf = home.path().join("softhsm2.conf");
    fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let anchors = [ONE, TWO].map(|id| {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![id.to_owned()]).unwrap();
        (id, parameters.self_signed(&key).unwrap().pem())
    });
    for (id, pem) in anchors {
        fs::write(home.path().join(format!("{id}.pem")), pem).unwrap();
        let told = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", id])
            .args(["--so-pin", "87654321", "--pin", &format!("kmsuser:{id}")])
            .env("SOFTHSM2_CONF", &conf)
            .output()
            .unwrap_or_else(|error| panic!("softhsm2-util is not here ({error}); ./test installs it"));
        assert!(told.status.success(), "{told:?}");
    }
    let told = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr)
    );
    assert!(told.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// Where the certificates are.
fn home() -> PathBuf {
    let conf = PathBuf::from(std::env::var_os("SOFTHSM2_CONF").unwrap());
    conf.parent().unwrap().to_owned()
}

fn said(id: &str) -> ClusterSettings {
    ClusterSettings {
        id: id.to_owned(),
        account: "111122223333".to_owned(),
        region: None,
        module: MODULE.into(),
        token: id.to_owned(),
        user: Some("kmsuser".to_owned()),
        trust_anchor: home().join(format!("{id}.pem")),
        module_vectors: false,
        rotate_password: false,
    }
}

fn account() -> AccountId {
    AccountId::parse("111122223333").unwrap()
}

fn password(id: &str) -> Secret<String> {
    Secret::new(id.to_owned())
}

/// The processes that this one has started.
fn helpers() -> BTreeSet<i32> {
    let own = std::process::id().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|process| {
            // `pid (name) state parent …`, and no name here has a bracket.
            let stat = files::read_text(format!("/proc/{process}/stat").as_ref()).unwrap_or_default();
            let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
            parent == Some(&own)
        })
        .collect()
}

fn signal(process: i32, signal: Signal) {
    kill_process(Pid::from_raw(process).unwrap(), signal).unwrap();
}

/// Stops processes, and waits until they stand.
fn stop(processes: &BTreeSet<i32>) {
    for process in processes {
        signal(*process, Signal::STOP);
        let stands = || {
            let stat = files::read_text(format!("/proc/{process}/stat").as_ref()).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('T')
        };
        while !stands() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_outlives_its_helper() {
    if !with_tokens("hsm::tests::a_cluster_outlives_its_helper") {
        return;
    }
    let home = Region::us_east_1();
    let known = clusters(&[said(ONE), said(TWO)], &home).unwrap().unwrap();

    // It is there for its account in its region alone, and known by its certificate.
    let elsewhere = Region::parse("eu-west-1").unwrap();
    let stranger = AccountId::parse("444455556666").unwrap();
    assert!(known.cluster(account(), &elsewhere, ONE).is_none());
    assert!(known.cluster(stranger, &home, ONE).is_none());
    assert!(known.cluster(account(), &home, "cluster-abcdefghi25").is_none());
    let one = known.cluster(account(), &home, ONE).unwrap();
    let two = known.cluster(account(), &home, TWO).unwrap();
    let anchor = |id: &str| files::read_text(&said(id).trust_anchor).unwrap();
    assert!(one.is_trust_anchor(&anchor(ONE)));
    assert!(!one.is_trust_anchor(&anchor(TWO)) && !one.is_trust_anchor(""));

    // No process before the first call; a process for each cluster after it.
    assert!(helpers().is_empty());
    one.log_out().await;
    assert!(helpers().is_empty());
    assert!(one.is_active().await && two.is_active().await);
    assert_eq!(helpers().len(), 2);

    // Each by its own password, and with keys of its own.
    assert_eq!(
        one.log_in(&password(TWO)).await,
        Err(LoginError::InvalidCredentials)
    );
    assert_eq!(one.make_key("key").await, Err(KeyError::LoggedOut));
    one.log_in(&password(ONE)).await.unwrap();
    two.log_in(&password(TWO)).await.unwrap();
    one.make_key("key").await.unwrap();
    assert_eq!(one.make_key("key").await, Err(KeyError::Exists));
    assert_eq!(two.encrypt("key", b"", b"plain").await, Err(KeyError::NoSuchKey));
    let sealed = one.encrypt("key", b"for this", b"plain").await.unwrap();
    assert_eq!(sealed.len(), 5 + OVERHEAD_BYTES);
    two.make_key("key").await.unwrap();
    let foreign = two.decrypt("key", b"for this", &sealed).await.err();
    assert_eq!(foreign, Some(KeyError::Forged));
    let other = one.decrypt("key", b"for that", &sealed).await.err();
    assert_eq!(other, Some(KeyError::Forged));
    assert_eq!(one.random(1_024).await.unwrap().expose().len(), 1_024);

    // What is too long is not sent.
    let long = vec![0; 70_000];
    for told in [
        one.encrypt("key", b"", &long[..4_097]).await.err(),
        one.encrypt("key", &long, b"").await.err(),
        one.make_key(&"k".repeat(129)).await.err(),
        one.random(1_025).await.err(),
    ] {
        assert!(matches!(told, Some(KeyError::Refused(_))), "{told:?}");
    }
    let told = one.decrypt("key", b"", &long).await.err();
    assert_eq!(told, Some(KeyError::Forged));
    let fits = one
        .encrypt("key", &long[..32 * 1_024], &long[..4_096])
        .await
        .unwrap();
    let opened = one.decrypt("key", &long[..32 * 1_024], &fits).await.unwrap();
    assert_eq!(opened.expose(), &long[..4_096]);

    // Killed in the middle of a call: that call fails, the next finds nobody logged in, and with
    // the password everything is as it was.
    let before = helpers();
    stop(&before);
    let waiting = one.decrypt("key", b"for this", &sealed);
    let killing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        for process in &before {
            signal(*process, Signal::KILL);
        }
    };
    let (told, ()) = tokio::join!(waiting, killing);
    assert_eq!(
        told.err(),
        Some(KeyError::Unreachable("the helper ended".to_owned()))
    );
    let told = one.decrypt("key", b"for this", &sealed).await.err();
    assert_eq!(told, Some(KeyError::LoggedOut));
    one.log_in(&password(ONE)).await.unwrap();
    let opened = one.decrypt("key", b"for this", &sealed).await.unwrap();
    assert_eq!(opened.expose(), b"plain");
    assert!(before.is_disjoint(&helpers()));

    // Logged out is logged out; a deleted key is gone.
    one.log_out().await;
    assert_eq!(one.encrypt("key", b"", b"x").await, Err(KeyError::LoggedOut));
    one.log_in(&password(ONE)).await.unwrap();
    one.delete_key("key").await.unwrap();
    assert_eq!(one.delete_key("key").await, Err(KeyError::NoSuchKey));
    let told = one.decrypt("key", b"for this", &sealed).await.err();
    assert_eq!(told, Some(KeyError::NoSuchKey));

    // With the last who holds the clusters, the helpers end.
    drop((one, two, known));
    for _ in 0..100 {
        if helpers().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("helpers are left: {:?}", helpers());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_helper_that_hangs_is_ended_and_many_at_once_wait_their_turn() {
    if !with_tokens("hsm::tests::a_helper_that_hangs_is_ended_and_many_at_once_wait_their_turn") {
        return;
    }
    let setup = |module: &str, token: &str| Setup {
        module: module.into(),
        token: token.to_owned(),
        vectors: Vectors::Ours,
    };
    let helper = Helper::patient(ONE, setup(MODULE, ONE), Duration::from_secs(3));
    let pin = format!("kmsuser:{ONE}");
    let log_in = || Request::LogIn {
        pin: Hidden(pin.as_bytes()),
    };
    helper.ask(&log_in()).await.unwrap();
    helper.ask(&Request::Make { label: "key" }).await.unwrap();
    let encrypt = || Request::Encrypt {
        label: "key",
        associated: b"",
        plaintext: Hidden(b"plain"),
    };
    // Many more than may be there at once.
    let many = (0..200).map(|_| async { helper.ask(&encrypt()).await.map(drop) });
    for told in futures_util::future::join_all(many).await {
        told.unwrap();
    }
    // Who goes away in the middle of a call does not confuse the others.
    for patience in 0..20 {
        let request = encrypt();
        let _ = tokio::time::timeout(Duration::from_micros(patience * 50), helper.ask(&request)).await;
    }
    helper.ask(&encrypt()).await.unwrap();

    // All who wait for one that hangs are told so, and it is gone.
    let hung = helpers();
    stop(&hung);
    let waiting = (0..3).map(|_| async { helper.ask(&Request::Active).await.err() });
    for told in futures_util::future::join_all(waiting).await {
        let Some(Failure::Unreachable(why)) = told else {
            panic!("{told:?}");
        };
        assert_eq!(why, "the module did not answer in time");
    }
    helper.ask(&Request::Active).await.unwrap();
    assert!(hung.is_disjoint(&helpers()));

    // A module that is none, and a token that is not there: said, and asked anew each time.
    let none = Helper::new(TWO, setup("/nowhere/module.so", TWO));
    for _ in 0..2 {
        let Err(Failure::Refused(Refusal::Broken(why))) = none.ask(&Request::Active).await else {
            panic!("it was taken");
        };
        assert!(why.starts_with("loading the module"), "{why}");
    }
    let absent = Helper::new(TWO, setup(MODULE, "absent"));
    let told = absent.ask(&log_in()).await.err();
    assert!(
        matches!(&told, Some(Failure::Refused(Refusal::NoToken(why))) if why.contains("absent")),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_changed_is_the_only_one() {
    if !with_tokens("hsm::tests::a_password_that_was_changed_is_the_only_one") {
        return;
    }
    let home = Region::us_east_1();
    let rotating = ClusterSettings {
        rotate_password: true,
        ..said(ONE)
    };
    let open = || clusters(&[said(TWO), rotating.clone()], &home).unwrap().unwrap();
    let known = open();
    let one = known.cluster(account(), &home, ONE).unwrap();
    assert!(one.rotates_password());
    assert!(!known.cluster(account(), &home, TWO).unwrap().rotates_password());
    let (old, new) = (password(ONE), Secret::new("0123456789abcdef".repeat(2)));
    // Nobody is logged in; who gives a wrong one changes nothing.
    let told = one.change_password(&old, &new).await;
    assert!(matches!(told, Err(LoginError::Internal(_))), "{told:?}");
    one.log_in(&old).await.unwrap();
    one.make_key("key").await.unwrap();
    let sealed = one.encrypt("key", b"", b"plain").await.unwrap();
    assert_eq!(
        one.change_password(&password(TWO), &new).await,
        Err(LoginError::InvalidCredentials)
    );
    one.change_password(&old, &new).await.unwrap();
    // Who was logged in stays so, by the new one.
    one.log_in(&new).await.unwrap();
    assert_eq!(one.decrypt("key", b"", &sealed).await.unwrap().expose(), b"plain");
    // A helper that knows nothing of it.
    let known = open();
    let one = known.cluster(account(), &home, ONE).unwrap();
    assert_eq!(one.log_in(&old).await, Err(LoginError::InvalidCredentials));
    one.log_in(&new).await.unwrap();
    assert_eq!(one.decrypt("key", b"", &sealed).await.unwrap().expose(), b"plain");
}

#[test]
fn what_the_operator_says_of_a_cluster_is_looked_at() {
    if !with_tokens("hsm::tests::what_the_operator_says_of_a_cluster_is_looked_at") {
        return;
    }
    let home = Region::us_east_1();
    let refused = |said: Vec<ClusterSettings>| format!("{:#}", clusters(&said, &home).unwrap_err());
    assert!(clusters(&[], &home).unwrap().is_none());
    assert!(clusters(&[said(ONE)], &home).unwrap().is_some());
    assert!(refused(vec![said(ONE), said(ONE)]).contains("twice"));
    let but = |change: fn(&mut ClusterSettings)| {
        let mut one = said(ONE);
        change(&mut one);
        refused(vec![one])
    };
    assert!(but(|one| one.id = FIRST.to_owned()).contains("its id"));
    assert!(but(|one| one.id = "cluster-short".to_owned()).contains("its id"));
    assert!(but(|one| one.id = "abcdefghijkl".to_owned()).contains("its id"));
    assert!(but(|one| one.module = "libsofthsm2.so".into()).contains("whole path"));
    assert!(but(|one| one.user = Some("kms:user".to_owned())).contains("colon"));
    assert!(but(|one| one.account = "1".to_owned()).contains("cannot be"));
    assert!(but(|one| one.trust_anchor = "/nowhere".into()).contains("cannot read"));
    assert!(but(|one| one.trust_anchor = std::env::var_os("SOFTHSM2_CONF").unwrap().into()).contains("PEM"));
    let many = (0..17).map(|_| said(ONE)).collect();
    assert!(refused(many).contains("at most 16"));

    // The table: nothing unknown, nothing missing.
    let table =
        format!("id = \"{ONE}\"\naccount = \"111122223333\"\nmodule = \"{MODULE}\"\ntoken = \"{ONE}\"\n");
    let anchor = "trust_anchor = \"customerCA.crt\"\n";
    for (text, taken) in [
        (format!("{table}{anchor}"), true),
        (
            format!(
                "{table}{anchor}user = \"kmsuser\"\nregion = \"eu-west-1\"\nmodule_vectors = true\nrotate_password = true\n"
            ),
            true,
        ),
        (table.clone(), false),
        (format!("{table}{anchor}pin = \"31415926\"\n"), false),
    ] {
        assert_eq!(toml::from_str::<ClusterSettings>(&text).is_ok(), taken, "{text}");
    }
}

#[test]
fn every_failure_of_a_login_has_its_code() {
    use kms_api::ConnectionErrorCodeType as Code;
    let refused = |refusal: Refusal| login_error(Failure::Refused(refusal)).connection_error_code();
    for (refusal, code) in [
        (Refusal::Broken("x".to_owned()), Code::InternalError),
        (Refusal::LockedOut, Code::UserLockedOut),
        (Refusal::NoToken("x".to_owned()), Code::InsufficientCloudhsmHsms),
        (Refusal::NoUser, Code::UserNotFound),
        (Refusal::UserElsewhere, Code::UserLoggedIn),
        (Refusal::WrongPin, Code::InvalidCredentials),
    ] {
        assert!(refused(refusal.clone()) == code, "{refusal:?}");
    }
    let gone = login_error(Failure::Unreachable("x".to_owned()));
    assert!(gone.connection_error_code() == Code::NetworkErrors);
    assert!(LoginError::ClusterNotFound.connection_error_code() == Code::ClusterNotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_a_cluster_are_told_to_its_operator() {
    if !with_tokens("hsm::tests::the_keys_of_a_cluster_are_told_to_its_operator") {
        return;
    }
    let home = Region::us_east_1();
    let settings = [said(ONE), said(TWO)];
    let told = async |id: &str, by: &str| key_ids(&settings, id, &home, &password(by)).await;
    assert!(told(ONE, ONE).await.unwrap().is_empty());

    let known = clusters(&settings, &home).unwrap().unwrap();
    let one = known.cluster(account(), &home, ONE).unwrap();
    one.log_in(&password(ONE)).await.unwrap();
    let id = |number: u32| format!("1234abcd-12ab-34cd-56ef-{number:012x}");
    // Others have keys there too, which are none of KMS's.
    let foreign = [
        "key",
        "",
        "1234ABCD-12ab-34cd-56ef-1234567890ab",
        "1234abcd-12ab-34cd-56ef-1234567890",
    ];
    for label in foreign {
        one.make_key(label).await.unwrap();
    }
    for number in [3, 1, 2] {
        one.make_key(&id(number)).await.unwrap();
    }
    assert_eq!(told(ONE, ONE).await.unwrap(), [id(1), id(2), id(3)]);
    // Who is logged in elsewhere stays so, and nothing was touched.
    one.delete_key(&id(2)).await.unwrap();
    assert_eq!(told(ONE, ONE).await.unwrap(), [id(1), id(3)]);

    for (id, by, why) in [
        (ONE, TWO, "password"),
        (TWO, ONE, "password"),
        ("cluster-abcdefghi25", ONE, "no cluster"),
    ] {
        let told = format!("{:#}", told(id, by).await.unwrap_err());
        assert!(told.contains(why), "{told}");
    }
    one.log_out().await;
}
