//! Root keys of several nodes, on a clock that moves only when told: who is waited
//! for, and what a node may do that nobody waited for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gate::{Resealed, Resealing, RootKeyFault, Sealed};
use kms_api::{CancelKeyDeletionInput, CancelKeyDeletionOutput};
use store::Scope;

use super::nodes::{Node, Nodes};
use super::*;

const PURPOSE: &str = "test/sealed";

const SEALED: store::Table<String, String> = store::Table::new("test/sealed", 1);

/// What the service seals.
pub(crate) fn sealed() -> [Sealed; 1] {
    [Sealed::column(PURPOSE, &SEALED, again)]
}

#[expect(clippy::ptr_arg, reason = "the type of the table's records")]
fn again<'a>(resealing: &'a Resealing<'a>, key: &'a String, row: &'a String) -> Resealed<'a, String> {
    Box::pin(async move {
        let domain = resealing.domain(resealing.account()?, &Region::us_east_1());
        Ok(resealing.text(&domain, &[key.as_bytes()], row)?)
    })
}

/// Writes a row with a sealed value.
pub(crate) async fn cancel_key_deletion(
    _service: &Service,
    cx: &Cx,
    input: CancelKeyDeletionInput,
) -> Result<CancelKeyDeletionOutput, Error> {
    let permit = cx.authorize(Access::to(input.key_id, "*")).await?;
    let domain = cx.domain_key(cx.account(), cx.region(), PURPOSE);
    let value = domain.seal(&[permit.as_bytes()], b"secret", cx.random()).unwrap();
    cx.write(async |tx| {
        tx.put(&SEALED, &permit, &STANDARD.encode(value));
        Ok::<_, Error>(())
    })
    .await?;
    Ok(CancelKeyDeletionOutput::default())
}

/// The root that a row is sealed under.
async fn root_of(nodes: &Nodes, key: &str) -> u32 {
    let view = nodes.store.view(Scope::regional(account(), &Region::us_east_1()));
    let row = view.get(&SEALED, &key.to_owned()).await.unwrap().unwrap();
    crypto::hierarchy::root_of(&STANDARD.decode(&*row).unwrap()).unwrap()
}

/// Works until nothing is left to do.
async fn finish(node: &Node) {
    for _ in 0..20 {
        node.door.root_keys().work().await.unwrap();
        if node.door.root_keys().is_idle().await.unwrap() {
            return;
        }
    }
    panic!(
        "it does not end: {}",
        node.door.root_keys().status().await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_is_used_when_every_node_that_lives_knows_it() {
    let nodes = Nodes::new().await;
    let (one, two) = (nodes.node("one").await, nodes.node("two").await);
    one.change("CancelKeyDeletion", "first").await;
    assert_eq!(one.door.root_keys().rotate("test").await.unwrap(), 2);
    for _ in 0..3 {
        one.door.root_keys().work().await.unwrap();
    }
    let status = one.door.root_keys().status().await.unwrap();
    assert_eq!(status["waitingFor"], json!(["two"]), "{status}");
    one.change("CancelKeyDeletion", "second").await;
    assert_eq!(root_of(&nodes, "second").await, 1);
    let busy = one.door.root_keys().rotate("test").await;
    assert!(matches!(busy, Err(RootKeyFault::Ring(_))), "{busy:?}");

    // It knows the root now, and then has to learn that it is used.
    two.look().await;
    for _ in 0..3 {
        one.door.root_keys().work().await.unwrap();
    }
    let status = one.door.root_keys().status().await.unwrap();
    assert_eq!(status["waitingFor"], json!(["two"]), "{status}");
    assert_eq!(status["pass"]["begun"], json!(null), "{status}");
    two.look().await;
    finish(&one).await;
    for key in ["first", "second"] {
        assert_eq!(root_of(&nodes, key).await, 2, "{key}");
    }
}

/// A release without rings takes its name and says nothing of roots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_says_nothing_is_waited_for_while_it_lives() {
    let nodes = Nodes::new().await;
    let one = nodes.node("one").await;
    one.change("CancelKeyDeletion", "first").await;
    let now = nodes.now();
    let lease = nodes
        .store
        .acquire("node/older", "there", Duration::from_secs(150), now)
        .await;
    assert!(lease.unwrap().is_some());
    one.door.root_keys().rotate("test").await.unwrap();
    for _ in 0..3 {
        one.door.root_keys().work().await.unwrap();
    }
    let status = one.door.root_keys().status().await.unwrap();
    assert_eq!(status["waitingFor"], json!(["older"]), "{status}");
    assert_eq!(root_of(&nodes, "first").await, 1);
    for _ in 0..2 {
        nodes.step();
        one.look().await;
    }
    finish(&one).await;
    assert_eq!(root_of(&nodes, "first").await, 2);
}

/// It was out of reach for longer than its lease lasts, and comes back in the
/// middle of what it did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_nobody_waited_for_writes_nothing_under_a_root_that_is_gone() {
    let nodes = Nodes::new().await;
    let (one, late) = (nodes.node("one").await, nodes.node("late").await);
    one.change("CancelKeyDeletion", "first").await;
    for _ in 0..4 {
        nodes.step();
        one.look().await;
    }
    assert_eq!(one.door.root_keys().rotate("test").await.unwrap(), 2);
    finish(&one).await;
    // Two hours later, by steps, so that the node that lives keeps its name.
    for _ in 0..2 * 3600 / 101 {
        nodes.step();
        one.look().await;
    }
    let early = one.door.root_keys().remove(1, false, "test").await;
    assert!(
        matches!(early, Err(RootKeyFault::TooEarly { root: 1, .. })),
        "{early:?}"
    );
    one.door.root_keys().remove(1, true, "test").await.unwrap();
    finish(&one).await;
    let status = one.door.root_keys().status().await.unwrap();
    assert_eq!(status["roots"].as_array().unwrap().len(), 1, "{status}");

    // It has not looked at anything since, and seals by what it knows.
    late.change("CancelKeyDeletion", "late").await;
    assert_eq!(root_of(&nodes, "late").await, 2);
    late.change("CancelKeyDeletion", "first").await;
    assert_eq!(root_of(&nodes, "first").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_does_not_open_keeps_its_root() {
    let nodes = Nodes::new().await;
    let one = nodes.node("one").await;
    for at in 0..250 {
        one.change("CancelKeyDeletion", &format!("row-{at:03}")).await;
    }
    let scope = Scope::regional(account(), &Region::us_east_1());
    let spoil = nodes.store.view(scope.clone()).begin();
    let (whole, broken) = ("row-000".to_owned(), "row-199".to_owned());
    let other = spoil.get(&SEALED, &whole).await.unwrap().unwrap();
    spoil.put(&SEALED, &broken, &other);
    nodes.store.commit(spoil).await.unwrap();

    one.door.root_keys().rotate("test").await.unwrap();
    finish(&one).await;
    let status = one.door.root_keys().status().await.unwrap();
    assert_eq!(status["pass"]["rowsResealed"], 249, "{status}");
    assert_eq!(status["pass"]["rowsUnreadable"], 1, "{status}");
    for at in (0..250).filter(|at| *at != 199) {
        assert_eq!(root_of(&nodes, &format!("row-{at:03}")).await, 2);
    }
    for _ in 0..(Duration::from_secs(2 * 3600).as_secs() / 101) {
        nodes.step();
        one.look().await;
    }
    let kept = one.door.root_keys().remove(1, true, "test").await;
    assert!(matches!(kept, Err(RootKeyFault::Unreadable(1))), "{kept:?}");
}
