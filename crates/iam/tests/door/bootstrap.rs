//! Accounts made by the operator, and what the door is told of them.

use std::sync::Arc;

use crypto::{Random, RootKey};
use gate::{Credential, CredentialFault, Directory as _, Presented};
use ground::{AccountId, Secret, Timestamp};
use iam::{BootstrapError, Identities, RootCredential, bootstrap_account};
use store::Store;

use crate::world::{AWAY, HOME, World};

struct Office {
    store: Store,
    root_key: Arc<RootKey>,
    random: Random,
}

impl Office {
    async fn open() -> Office {
        let random = Random::seeded(7);
        let root_key = Arc::new(RootKey::generate(&random));
        Office {
            store: Store::open(store::Config::memory()).await.unwrap(),
            root_key,
            random,
        }
    }

    async fn bootstrap(&self, account: &str, key_id: &str, secret: &str) -> Result<(), BootstrapError> {
        let credential = RootCredential {
            access_key_id: key_id.to_owned(),
            secret: Secret::new(secret.to_owned()),
        };
        let account = AccountId::parse(account).unwrap();
        bootstrap_account(
            &self.store,
            &self.root_key,
            &self.random,
            Timestamp(5_500),
            account,
            &credential,
        )
        .await
    }

    fn identities(&self) -> Identities {
        Identities::new(self.store.clone(), Arc::clone(&self.root_key))
    }
}

async fn present(identities: &Identities, key_id: &str) -> Result<Arc<Credential>, CredentialFault> {
    let presented = Presented {
        access_key_id: key_id,
        session_token: None,
        now: Timestamp(6_000),
    };
    identities.credential(presented).get().await
}

#[tokio::test]
async fn an_account_is_made_once_and_keeps_its_keys() {
    let office = Office::open().await;
    let identities = office.identities();
    let home = AccountId::parse(HOME).unwrap();
    assert!(!identities.account_exists(home).await.unwrap());

    for _ in 0..2 {
        office.bootstrap(HOME, "test", "first").await.unwrap();
    }
    office.bootstrap(HOME, "AKIASECOND", "second").await.unwrap();
    assert!(identities.account_exists(home).await.unwrap());
    for (key_id, secret) in [("test", "first"), ("AKIASECOND", "second")] {
        let credential = present(&identities, key_id).await.unwrap();
        assert_eq!(credential.secret.expose(), secret);
        assert_eq!(
            credential.caller.principal.arn(),
            format!("arn:aws:iam::{HOME}:root")
        );
    }
    // Another secret for a known key takes effect at once.
    office.bootstrap(HOME, "test", "changed").await.unwrap();
    assert_eq!(
        present(&identities, "test").await.unwrap().secret.expose(),
        "changed"
    );
}

#[tokio::test]
async fn keys_of_others_and_words_that_are_no_keys_are_refused() {
    let office = Office::open().await;
    office.bootstrap(HOME, "test", "secret").await.unwrap();
    assert!(matches!(
        office.bootstrap(AWAY, "test", "secret").await,
        Err(BootstrapError::KeyTaken(_))
    ));
    for key_id in ["", "a/b", "é", &"k".repeat(129)] {
        assert!(
            matches!(
                office.bootstrap(AWAY, key_id, "s").await,
                Err(BootstrapError::BadKeyId(_))
            ),
            "{key_id}"
        );
    }
    for secret in ["", "two words", &"s".repeat(129)] {
        assert!(
            matches!(
                office.bootstrap(AWAY, "k", secret).await,
                Err(BootstrapError::BadSecret)
            ),
            "{secret}"
        );
    }
    let identities = office.identities();
    assert!(
        !identities
            .account_exists(AccountId::parse(AWAY).unwrap())
            .await
            .unwrap()
    );
    assert!(matches!(
        present(&identities, "nobody").await,
        Err(CredentialFault::Invalid)
    ));
}

#[tokio::test]
async fn another_root_key_opens_no_secret() {
    let office = Office::open().await;
    office.bootstrap(HOME, "test", "secret").await.unwrap();
    let other = Arc::new(RootKey::generate(&Random::seeded(8)));
    let identities = Identities::new(office.store.clone(), other);
    assert!(matches!(
        present(&identities, "test").await,
        Err(CredentialFault::Store(_))
    ));
}

#[tokio::test]
async fn only_users_and_roles_have_an_id_behind_their_arn() {
    let office = Office::open().await;
    office.bootstrap(HOME, "test", "secret").await.unwrap();
    let identities = office.identities();
    for arn in [
        "",
        "nonsense",
        "arn:aws:iam::111122223333:user/bob",
        "arn:aws:iam::111122223333:root",
    ] {
        assert_eq!(identities.principal_id(arn).await.unwrap(), None, "{arn}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_gets_the_access_key_that_the_operator_chose() {
    let world = World::new().await;
    for user in ["alice", "bob"] {
        world
            .call("root", "iam", "CreateUser", &[("UserName", user)])
            .await;
    }
    let home = AccountId::parse(HOME).unwrap();
    let give = async |user: &str, key_id: &str, secret: &str| {
        let cx = world.door().set_up();
        iam::bootstrap_access_key(&cx, home, user, key_id, &Secret::new(secret.to_owned())).await
    };
    // Twice is once.
    for _ in 0..2 {
        give("alice", "AKIAALICE", "first").await.unwrap();
    }
    let listed = world
        .call("root", "iam", "ListAccessKeys", &[("UserName", "alice")])
        .await;
    assert_eq!(listed.text().matches("AKIAALICE").count(), 1, "{}", listed.text());

    type Wrong = BootstrapError;
    assert!(matches!(
        give("alice", "AKIAALICE", "other").await,
        Err(Wrong::SecretDiffers(_))
    ));
    assert!(matches!(
        give("bob", "AKIAALICE", "first").await,
        Err(Wrong::KeyTaken(_))
    ));
    assert!(matches!(
        give("nobody", "AKIANOBODY", "s").await,
        Err(Wrong::UserMissing(_))
    ));
    assert!(matches!(give("alice", "a/b", "s").await, Err(Wrong::BadKeyId(_))));
    assert!(matches!(give("alice", "AKIAX", "").await, Err(Wrong::BadSecret)));
    give("alice", "AKIAALICE2", "second").await.unwrap();
    assert!(matches!(
        give("alice", "AKIAALICE3", "third").await,
        Err(Wrong::TooManyKeys(_))
    ));

    let records = world.records();
    let made: Vec<_> = records
        .iter()
        .filter(|record| record["eventName"] == "BootstrapAccessKey")
        .map(|record| record["serviceEventDetails"]["accessKeyId"].as_str().unwrap())
        .collect();
    assert_eq!(made, ["AKIAALICE", "AKIAALICE2"]);
}
