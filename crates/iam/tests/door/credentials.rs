//! Credentials that are not what they seem.

use crate::world::World;

const IDENTITY: (&str, &str) = ("sts", "GetCallerIdentity");

async fn refused(world: &World, who: &str) {
    world
        .fails(who, IDENTITY.0, IDENTITY.1, &[], "InvalidClientTokenId")
        .await;
}

async fn with_session() -> World {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    let answer = world.ok("bob", "sts", "GetSessionToken", &[]).await;
    world.remember("session", &answer);
    world.ok("session", IDENTITY.0, IDENTITY.1, &[]).await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_altered_anywhere_is_refused() {
    let mut world = with_session().await;
    let token = world.signer("session").session_token.clone().unwrap();
    for at in (0..token.len()).step_by(7) {
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        world.signer("session").session_token = Some(String::from_utf8(altered).unwrap());
        refused(&world, "session").await;
    }
    for other in ["", "x", &token[..token.len() - 4], &format!("{token}AAAA")] {
        world.signer("session").session_token = Some(other.to_owned());
        refused(&world, "session").await;
    }
    world.signer("session").session_token = Some(token);
    world.ok("session", IDENTITY.0, IDENTITY.1, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_and_token_belong_together() {
    let mut world = with_session().await;
    let session = world.signer("session").clone();
    let answer = world.ok("bob", "sts", "GetSessionToken", &[]).await;
    world.remember("other", &answer);

    world
        .signer("other")
        .session_token
        .clone_from(&session.session_token);
    refused(&world, "other").await;
    world.signer("other").session_token = None;
    refused(&world, "other").await;
    world
        .signer("bob")
        .session_token
        .clone_from(&session.session_token);
    refused(&world, "bob").await;
    world.signer("bob").session_token = None;
    world.ok("bob", IDENTITY.0, IDENTITY.1, &[]).await;
    world.signer("bob").access_key_id = "AKIANOBODYNOBODYNOBO".to_owned();
    refused(&world, "bob").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_does_not_sign() {
    let mut world = with_session().await;
    for who in ["bob", "session", "root"] {
        world.signer(who).secret.push('x');
        world
            .fails(who, IDENTITY.0, IDENTITY.1, &[], "SignatureDoesNotMatch")
            .await;
    }
}
