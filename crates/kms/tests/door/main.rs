//! KMS through the door: signed calls over a socket, answers, records.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod agreement;
mod aliases;
mod announcements;
mod bootstrap;
mod clusters;
mod conversation;
mod cryptography;
mod data_key_pairs;
mod grants;
mod hsm_stores;
mod import;
mod keys;
mod last_use;
mod life;
mod managed;
mod material;
mod multi_region;
mod names;
mod nist;
mod permissions;
mod quotas;
mod recipient;
mod rehearsals;
mod rotation;
mod scale;
mod states;
mod usage;
mod vectors;
mod world;
mod xks_proxy;

use conversation::check;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            check(stringify!($name)).await;
        }
    )*};
}

cases!(
    aliases,
    cross_account,
    custom_key_stores,
    data_key_pairs,
    data_keys,
    deletion,
    encryption,
    key_policies,
    keys,
    macs,
    names_of_keys,
    rehearsals,
    signatures,
    states,
    tags,
    unsupported,
);
