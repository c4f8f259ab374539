//! Nodes that share a store, on a clock that moves only when told: who writes
//! the records of one that is gone, and who does not.

use std::time::Duration;

use gate::{OpenError, Sharing};
use ground::Timestamp;
use store::Store;

use super::*;

const TAKEOVER_AFTER: Duration = Duration::from_secs(300);

/// A little more than a third of [`TAKEOVER_AFTER`]: every node renews at every step.
const STEP: Duration = Duration::from_secs(101);

/// Several nodes, one store, one clock.
pub(crate) struct Nodes {
    pub(crate) store: Store,
    clock: Clock,
    directory: tempfile::TempDir,
}

pub(crate) struct Node {
    address: SocketAddr,
    pub(crate) door: Arc<Door>,
    clock: Clock,
}

impl Nodes {
    pub(crate) async fn new() -> Nodes {
        Nodes {
            store: Store::open(store::Config::memory()).await.unwrap(),
            clock: Clock::virtual_from(Timestamp::from_seconds(1_800_000_000)),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    async fn open(&self, name: &str, place: &str) -> Result<Node, OpenError> {
        // Nothing is synced by itself, so that every intent stays until the node is gone.
        let journal = journal::Config {
            durable: false,
            sync_interval: Duration::from_secs(3_600),
            ..journal::Config::new(self.directory.path().join(place))
        };
        let sharing = Sharing {
            place: place.to_owned(),
            takeover_after: TAKEOVER_AFTER,
            clock: self.clock.clone(),
        };
        let parts = Parts {
            store: self.store.clone(),
            clock: self.clock.clone(),
            mode: Mode::Dev,
            node: name.to_owned(),
            // The same in every node.
            root_key: Arc::new(crypto::RootKey::generate(&crypto::Random::seeded(7))),
            ..parts_with(journal).await
        };
        let door = Door::open_among(parts, Some(sharing)).await?;
        Ok(Node {
            address: serve(&door).await,
            door,
            clock: self.clock.clone(),
        })
    }

    pub(crate) async fn node(&self, name: &str) -> Node {
        self.open(name, name).await.unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn step(&self) {
        self.clock.advance(STEP).unwrap();
    }
}

impl Node {
    /// Makes a change. Its intent stays in the store until the node next looks.
    pub(crate) async fn change(&self, operation: &str, key: &str) -> serde_json::Value {
        let signer = Signer {
            time: Some(self.clock.now()),
            ..root()
        };
        let call = json_call(&format!("TrentService.{operation}"), &json!({"KeyId": key}));
        let answer = post(self.address, "kms", Some(&signer), call).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.records().pop().unwrap()
    }

    /// Looks after its jobs, as a node does once a second.
    pub(crate) async fn look(&self) {
        let order = (Vec::new(), br#"{"advance_seconds": 0}"#.to_vec());
        let answer = send(self.address, "POST", "/_palisade/clock", "", None, order).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(crate) fn records(&self) -> Vec<serde_json::Value> {
        records_of(&self.door)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_records_of_a_node_that_is_gone_are_written_by_exactly_one_other() {
    let nodes = Nodes::new().await;
    let (gone, left, right) = (
        nodes.node("gone").await,
        nodes.node("left").await,
        nodes.node("right").await,
    );
    let first = gone.change("EnableKey", "k").await;
    let last = gone.change("EnableKey", "k").await;
    for _ in 0..2 {
        nodes.step();
        tokio::join!(left.look(), right.look());
        assert_eq!(
            left.records().len() + right.records().len(),
            0,
            "robbed too early"
        );
    }
    nodes.step();
    tokio::join!(left.look(), right.look());
    let mut written = left.records();
    written.extend(right.records());
    assert_eq!(written.len(), 2, "{written:?}");
    for own in [first, last] {
        let theirs = written.iter().find(|record| record["eventID"] == own["eventID"]);
        let mut theirs = theirs.unwrap().clone();
        let addendum = json!({"reason": "SERVICE_OUTAGE", "node": "gone"});
        assert_eq!(theirs["addendum"], addendum);
        assert_eq!(theirs["requestID"], own["requestID"]);
        theirs.as_object_mut().unwrap().remove("addendum");
        assert_eq!(theirs["eventName"], own["eventName"]);
    }
    // They are gone from the store: whoever looks later finds nothing.
    for _ in 0..3 {
        nodes.step();
        tokio::join!(left.look(), right.look());
    }
    assert_eq!(left.records().len() + right.records().len(), 2);
    // The one that was gone comes back, and has nothing to make up for.
    let back = nodes.open("gone", "gone-returned").await.unwrap();
    assert_eq!(back.records().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_shows_itself_is_never_robbed() {
    let nodes = Nodes::new().await;
    let (slow, other) = (nodes.node("slow").await, nodes.node("other").await);
    for _ in 0..8 {
        nodes.step();
        slow.look().await;
        slow.change("EnableKey", "k").await;
        other.look().await;
        assert_eq!(other.records().len(), 0);
    }
    // Both were out of reach of the store for long: the first that is back does not rob the other.
    slow.change("EnableKey", "k").await;
    nodes.clock.advance(TAKEOVER_AFTER * 4).unwrap();
    other.look().await;
    assert_eq!(other.records().len(), 0);
    slow.look().await;
    nodes.step();
    other.look().await;
    assert_eq!(other.records().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_belongs_to_one_process() {
    let nodes = Nodes::new().await;
    let own = nodes.node("name").await;
    let refused = nodes.open("name", "a-copy").await.err().unwrap();
    assert!(
        matches!(&refused, OpenError::NameHeld { name, seconds: 300 } if name == "name"),
        "{refused}"
    );
    // A process that ended properly leaves its name to whoever comes.
    own.door.close().await.unwrap();
    let copy = nodes.open("name", "a-copy").await.unwrap();
    // One that was killed leaves it to its own place at once, and to others in time.
    drop(copy);
    assert!(nodes.open("name", "elsewhere").await.is_err());
    nodes.clock.advance(TAKEOVER_AFTER).unwrap();
    nodes.open("name", "elsewhere").await.unwrap();
}
