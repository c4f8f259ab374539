//! Signing certificates, of users and of the root user.

use crate::world::{World, leaf};

const PEM: &str = include_str!("../../../federation/tests/certificate/self-signed.pem");

const UPLOAD: &str = "UploadSigningCertificate";
const LIST: &str = "ListSigningCertificates";
const UPDATE: &str = "UpdateSigningCertificate";
const DELETE: &str = "DeleteSigningCertificate";

async fn present(world: &World) -> bool {
    let summary = world.ok("root", "iam", "GetAccountSummary", &[]).await;
    summary.contains("<key>AccountSigningCertificatesPresent</key><value>1</value>")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_certificate_is_kept_and_keeps_its_user() {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    world.user("root", "eve").await;
    let own = [("UserName", "bob"), ("CertificateBody", PEM)];
    let answer = world.ok("root", "iam", UPLOAD, &own).await;
    let id = leaf(&answer, "CertificateId");
    assert_eq!(id.len(), 32);
    assert_eq!(
        (leaf(&answer, "UserName"), leaf(&answer, "Status")),
        ("bob".into(), "Active".into())
    );
    assert!(leaf(&answer, "CertificateBody").starts_with("-----BEGIN CERTIFICATE-----"));

    // Nobody in the account has it again, in whatever spelling.
    let respelled = PEM.replace('\n', " ");
    for who in ["bob", "eve"] {
        let again = [("UserName", who), ("CertificateBody", respelled.as_str())];
        world
            .fails("root", "iam", UPLOAD, &again, "DuplicateCertificate")
            .await;
    }
    let of = |user: &'static str| [("UserName", user), ("CertificateId", id.as_str())];
    let eves = [of("eve")[0], of("eve")[1], ("Status", "Inactive")];
    world.fails("root", "iam", UPDATE, &eves, "NoSuchEntity").await;
    world
        .fails("root", "iam", DELETE, &of("eve"), "NoSuchEntity")
        .await;
    for (operation, with) in [(UPLOAD, &own[..]), (DELETE, &of("bob")[..]), (LIST, &own[..1])] {
        world.fails("eve", "iam", operation, with, "AccessDenied").await;
    }
    for (status, code) in [("Expired", "InvalidInput"), ("Lost", "ValidationError")] {
        let with = [of("bob")[0], of("bob")[1], ("Status", status)];
        world.fails("root", "iam", UPDATE, &with, code).await;
    }
    let off = [of("bob")[0], of("bob")[1], ("Status", "Inactive")];
    world.ok("root", "iam", UPDATE, &off).await;
    let listed = world.ok("root", "iam", LIST, &own[..1]).await;
    assert_eq!(
        (leaf(&listed, "CertificateId"), leaf(&listed, "Status")),
        (id.clone(), "Inactive".into())
    );
    assert!(!present(&world).await);

    let key = world.ok("root", "iam", "ListAccessKeys", &own[..1]).await;
    let key = leaf(&key, "AccessKeyId");
    let key = [("UserName", "bob"), ("AccessKeyId", key.as_str())];
    world.ok("root", "iam", "DeleteAccessKey", &key).await;
    world
        .fails("root", "iam", "DeleteUser", &own[..1], "DeleteConflict")
        .await;
    world.ok("root", "iam", DELETE, &of("bob")).await;
    world
        .fails("root", "iam", DELETE, &of("bob"), "NoSuchEntity")
        .await;
    // Once it is gone, somebody else may have it.
    let eves = [("UserName", "eve"), ("CertificateBody", PEM)];
    world.ok("root", "iam", UPLOAD, &eves).await;
    world.ok("root", "iam", "DeleteUser", &own[..1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_user_has_some_of_its_own() {
    let world = World::new().await;
    let answer = world.ok("root", "iam", UPLOAD, &[("CertificateBody", PEM)]).await;
    let id = leaf(&answer, "CertificateId");
    assert!(present(&world).await);
    assert_eq!(
        leaf(&world.ok("root", "iam", LIST, &[]).await, "CertificateId"),
        id
    );
    // Another account may have the same.
    world.ok("away", "iam", UPLOAD, &[("CertificateBody", PEM)]).await;

    world.ok("root", "iam", DELETE, &[("CertificateId", &id)]).await;
    assert!(!present(&world).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_certificate_or_not_good_now_is_refused() {
    let world = World::new().await;
    for bad in [
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        &PEM.replace("MI", ""),
    ] {
        let with = [("CertificateBody", bad)];
        world
            .fails("root", "iam", UPLOAD, &with, "MalformedCertificate")
            .await;
    }
    // It is good until 2036.
    world.advance(11 * 366 * 86_400);
    world
        .fails(
            "root",
            "iam",
            UPLOAD,
            &[("CertificateBody", PEM)],
            "InvalidCertificate",
        )
        .await;
}
