//! IAM and STS through the door: signed calls over a socket, answers, records.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod authorization_message;
mod bootstrap;
mod conversation;
mod credentials;
mod root_access;
mod saml;
mod scale;
mod second_factor;
mod server_certificates;
mod service_credentials;
mod signing_certificates;
mod tricks;
mod volumes;
mod web_identity;
mod web_identity_token;
mod world;

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
    users,
    access_keys,
    groups,
    roles,
    service_linked_roles,
    managed_policies,
    inline_policies,
    boundaries,
    tags,
    assume_role,
    sessions,
    accounts,
    nothing_yet,
    instance_profiles,
    account_alias,
    password_policy,
    last_used,
    authorization_details,
    login_profiles,
    mfa_devices,
    simulate,
    oidc_providers,
    saml_providers,
    ssh_public_keys,
);
