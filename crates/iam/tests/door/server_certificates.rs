//! Server certificates, and what must belong together in one.

use testkit::server::{Server, server};

use crate::world::{HOME, World, leaf};

const UPLOAD: &str = "UploadServerCertificate";
const GET: &str = "GetServerCertificate";
const LIST: &str = "ListServerCertificates";
const UPDATE: &str = "UpdateServerCertificate";
const DELETE: &str = "DeleteServerCertificate";

fn uploading<'a>(server: &'a Server, name: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("ServerCertificateName", name),
        ("CertificateBody", &server.certificate),
        ("PrivateKey", &server.key),
    ]
}

/// May do this with certificates below `/web/` alone.
async fn web_master(world: &mut World) {
    world.user("root", "bob").await;
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"iam:*ServerCertificate*",
            "Resource":"arn:aws:iam::{HOME}:server-certificate/web/*"}}}}"#
    );
    let policy = [
        ("UserName", "bob"),
        ("PolicyName", "p"),
        ("PolicyDocument", document.as_str()),
    ];
    world.ok("root", "iam", "PutUserPolicy", &policy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_kept_and_its_key_never_told() {
    let mut world = World::new().await;
    web_master(&mut world).await;
    let server = server();
    // A line of the key stands for it: a record might fold the others.
    world.keep_secret(server.key.lines().nth(1).unwrap());
    let chain = server.chain.concat();
    let mut with = uploading(&server, "Shop");
    with.extend([
        ("CertificateChain", chain.as_str()),
        ("Path", "/web/"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "shop"),
    ]);
    let answer = world.ok("bob", "iam", UPLOAD, &with).await;
    let arn = format!("arn:aws:iam::{HOME}:server-certificate/web/Shop");
    let id = leaf(&answer, "ServerCertificateId");
    assert!(id.starts_with("ASCA") && id.len() == 21, "{id}");
    assert_eq!(
        (leaf(&answer, "Arn"), leaf(&answer, "Expiration")),
        (arn.clone(), "2100-01-01T00:00:00Z".into())
    );

    let named = [("ServerCertificateName", "Shop")];
    let got = world.ok("bob", "iam", GET, &named).await;
    assert_eq!(leaf(&got, "CertificateBody"), server.certificate.trim());
    assert_eq!(leaf(&got, "CertificateChain"), chain.trim());
    assert_eq!(
        (leaf(&got, "Key"), leaf(&got, "Value")),
        ("team".into(), "shop".into())
    );
    let listed = world.ok("bob", "iam", LIST, &[("PathPrefix", "/web/")]).await;
    assert_eq!(leaf(&listed, "ServerCertificateId"), id);
    let elsewhere = world.ok("root", "iam", LIST, &[("PathPrefix", "/cdn/")]).await;
    assert!(!elsewhere.contains(&id));
    for text in [&answer, &got, &listed] {
        assert!(!text.contains(server.key.lines().nth(1).unwrap()));
    }
    let summary = world.ok("root", "iam", "GetAccountSummary", &[]).await;
    assert!(summary.contains("<key>ServerCertificates</key><value>1</value>"));

    // In whatever case and path, the name is taken.
    let mut again = uploading(&server, "shop");
    again.push(("Path", "/web/other/"));
    world
        .fails("bob", "iam", UPLOAD, &again, "EntityAlreadyExists")
        .await;
    world.fails("bob", "iam", LIST, &[], "AccessDenied").await;
    world.records();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_belong_together_is_refused() {
    let world = World::new().await;
    let (own, other) = (server(), server());
    let [between, root] = &own.chain;
    let chains = [
        root.clone(),
        format!("{root}{between}"),
        other.chain[0].clone(),
        format!("{between}{}", other.chain[1]),
        format!("{between}{root}{between}"),
        "no certificate".to_owned(),
        between.repeat(17),
    ];
    let good_chains = [
        between.clone(),
        format!("{between}{root}"),
        format!("{between}\n{root}"),
    ];
    for (chain, is_good) in chains
        .iter()
        .map(|chain| (chain, false))
        .chain(good_chains.iter().map(|chain| (chain, true)))
    {
        let mut with = uploading(&own, "shop");
        with.push(("CertificateChain", chain));
        if is_good {
            world.ok("root", "iam", UPLOAD, &with).await;
            let named = [("ServerCertificateName", "shop")];
            world.ok("root", "iam", DELETE, &named).await;
        } else {
            world
                .fails("root", "iam", UPLOAD, &with, "MalformedCertificate")
                .await;
        }
    }

    let mut with = uploading(&own, "shop");
    with[2].1 = &other.key;
    world.fails("root", "iam", UPLOAD, &with, "KeyPairMismatch").await;
    for (at, bad) in [
        (1, "no certificate"),
        (1, &own.key),
        (2, "no key"),
        (2, &own.certificate),
        (2, &own.key.replace("PRIVATE", "ENCRYPTED PRIVATE")),
    ] {
        let mut with = uploading(&own, "shop");
        with[at].1 = bad;
        world
            .fails("root", "iam", UPLOAD, &with, "MalformedCertificate")
            .await;
    }
    // It is good until 2100.
    world.advance(75 * 366 * 86_400);
    world
        .fails(
            "root",
            "iam",
            UPLOAD,
            &uploading(&own, "shop"),
            "MalformedCertificate",
        )
        .await;
    assert!(!world.ok("root", "iam", LIST, &[]).await.contains("shop"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_certificates_and_no_more() {
    let world = World::new().await;
    let server = server();
    for number in 0..20 {
        let name = format!("shop-{number}");
        world.ok("root", "iam", UPLOAD, &uploading(&server, &name)).await;
    }
    let one_more = uploading(&server, "shop");
    world
        .fails("root", "iam", UPLOAD, &one_more, "LimitExceeded")
        .await;
    let named = [("ServerCertificateName", "shop-7")];
    world.ok("root", "iam", DELETE, &named).await;
    world.fails("root", "iam", DELETE, &named, "NoSuchEntity").await;
    world.ok("root", "iam", UPLOAD, &one_more).await;
    // Another account has its own.
    world.ok("away", "iam", UPLOAD, &uploading(&server, "shop")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_moves_only_where_one_may() {
    let mut world = World::new().await;
    web_master(&mut world).await;
    let server = server();
    let mut with = uploading(&server, "shop");
    with.push(("Path", "/web/"));
    let made = world.ok("bob", "iam", UPLOAD, &with).await;
    world.ok("root", "iam", UPLOAD, &uploading(&server, "mail")).await;

    let to = |name: &'static str, path: &'static str| {
        [
            ("ServerCertificateName", "shop"),
            ("NewServerCertificateName", name),
            ("NewPath", path),
        ]
    };
    world
        .fails("bob", "iam", UPDATE, &to("shop", "/"), "AccessDenied")
        .await;
    world
        .fails("bob", "iam", UPDATE, &to("Mail", "/web/"), "EntityAlreadyExists")
        .await;
    // Its own name in another case is not taken.
    world.ok("bob", "iam", UPDATE, &to("SHOP", "/web/")).await;
    world.ok("bob", "iam", UPDATE, &to("store", "/web/eu/")).await;
    world
        .fails(
            "root",
            "iam",
            GET,
            &[("ServerCertificateName", "shop")],
            "NoSuchEntity",
        )
        .await;
    let moved = [("ServerCertificateName", "store")];
    let got = world.ok("bob", "iam", GET, &moved).await;
    assert_eq!(
        (leaf(&got, "ServerCertificateId"), leaf(&got, "Path")),
        (leaf(&made, "ServerCertificateId"), "/web/eu/".into())
    );
    for (operation, with) in [
        (GET, &[("ServerCertificateName", "mail")][..]),
        (DELETE, &[("ServerCertificateName", "mail")]),
        (DELETE, &[("ServerCertificateName", "nobody")]),
    ] {
        world.fails("bob", "iam", operation, with, "AccessDenied").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_decide_who_may() {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    let document = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"iam:UploadServerCertificate","Resource":"*"},
        {"Effect":"Allow","Action":["iam:GetServerCertificate","iam:ListServerCertificateTags","iam:UntagServerCertificate"],
         "Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"shop"}}}]}"#;
    let policy = [
        ("UserName", "bob"),
        ("PolicyName", "p"),
        ("PolicyDocument", document),
    ];
    world.ok("root", "iam", "PutUserPolicy", &policy).await;
    let server = server();
    let mut tagged = uploading(&server, "shop");
    tagged.extend([("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "shop")]);
    // To make a thing with tags is to tag it too.
    world.fails("bob", "iam", UPLOAD, &tagged, "AccessDenied").await;
    world.ok("bob", "iam", UPLOAD, &uploading(&server, "shop")).await;
    let named = [("ServerCertificateName", "shop")];
    world.fails("bob", "iam", GET, &named, "AccessDenied").await;
    let tagging = [named[0], tagged[3], tagged[4]];
    world
        .fails("bob", "iam", "TagServerCertificate", &tagging, "AccessDenied")
        .await;
    world.ok("root", "iam", "TagServerCertificate", &tagging).await;
    world.ok("bob", "iam", GET, &named).await;
    let listed = world.ok("bob", "iam", "ListServerCertificateTags", &named).await;
    assert_eq!(leaf(&listed, "Value"), "shop");
    let untagging = [named[0], ("TagKeys.member.1", "team")];
    world.ok("bob", "iam", "UntagServerCertificate", &untagging).await;
    world.fails("bob", "iam", GET, &named, "AccessDenied").await;
}
