//! The sweeps can fail: each meets a service that is broken in the way that it
//! is there to find, and must say so by the operation's name. The same service
//! unbroken, in the same surroundings, gives it nothing to say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gate::{Access, Cx, Fault, Handler, Table};
use kms::{Kms, ops};
use kms_api::{DescribeKeyInput, DescribeKeyOutput, EncryptInput, EncryptOutput, KeyMetadata};
use shape::OperationShape;

use crate::stage::{allow_all, prepare};
use crate::sweep_denied::{another_account, those_who_are_not_who_they_say, those_who_may_not};
use crate::sweep_malformed::broken_input;
use crate::sweep_regions::another_region;
use crate::world::{World, operation};

/// KMS with what the sweeps need of it, and these handlers for two of its operations.
fn kms_with(
    describe: impl for<'a> Handler<'a, Kms, kms_api::DescribeKey> + 'static,
    encrypt: impl for<'a> Handler<'a, Kms, kms_api::Encrypt> + 'static,
) -> Vec<gate::Service> {
    let table = Table::new(&kms_api::SERVICE, Kms::default())
        .on::<kms_api::CreateKey>(ops::create_key::create_key)
        .on::<kms_api::ListKeys>(ops::list_keys::list_keys)
        .on::<kms_api::DescribeKey>(describe)
        .on::<kms_api::Encrypt>(encrypt)
        .seals(kms::sealed());
    vec![
        iam::service(std::sync::Arc::default()),
        iam::sts_service(iam::Issuers::none()),
        table.done(),
    ]
}

/// What a broken handler can fail with.
#[derive(Debug)]
struct Told(String);

impl From<&Told> for Fault {
    fn from(told: &Told) -> Fault {
        Fault::client("ValidationException", &told.0)
    }
}

impl From<gate::AuthorizeError> for Told {
    fn from(_error: gate::AuthorizeError) -> Told {
        Told("the caller may not".to_owned())
    }
}

impl From<store::StoreError> for Told {
    fn from(error: store::StoreError) -> Told {
        Told(error.to_string())
    }
}

fn described(input: DescribeKeyInput) -> DescribeKeyOutput {
    DescribeKeyOutput {
        key_metadata: Some(KeyMetadata {
            key_id: input.key_id,
            ..KeyMetadata::default()
        }),
    }
}

/// Answers without asking for permission.
async fn forgets_to_ask(_kms: &Kms, _cx: &Cx, input: DescribeKeyInput) -> Result<DescribeKeyOutput, Told> {
    Ok(described(input))
}

/// Says that no permission is needed, where one is.
async fn needs_none(_kms: &Kms, cx: &Cx, input: DescribeKeyInput) -> Result<DescribeKeyOutput, Told> {
    cx.needs_no_permission("it is broken");
    Ok(described(input))
}

/// Refuses by words of its own.
async fn refuses_in_its_own_words(
    _kms: &Kms,
    cx: &Cx,
    input: DescribeKeyInput,
) -> Result<DescribeKeyOutput, Told> {
    cx.authorize(Access::to((), "*")).await?;
    Ok(described(input))
}

/// Asks for permission, and then finds everything everywhere.
async fn sees_other_regions(_kms: &Kms, cx: &Cx, input: DescribeKeyInput) -> Result<DescribeKeyOutput, Told> {
    cx.authorize(Access::to((), "*")).await?;
    Ok(described(input))
}

async fn panics(_kms: &Kms, _cx: &Cx, _input: DescribeKeyInput) -> Result<DescribeKeyOutput, Told> {
    panic!("this handler always panics")
}

async fn leaks_into_the_record(_kms: &Kms, cx: &Cx, input: EncryptInput) -> Result<EncryptOutput, Told> {
    cx.authorize(Access::to((), "*")).await?;
    cx.note("plaintext", BASE64.encode(&input.plaintext.expose().0));
    Ok(EncryptOutput::default())
}

async fn leaks_into_the_error(_kms: &Kms, cx: &Cx, input: EncryptInput) -> Result<EncryptOutput, Told> {
    cx.authorize(Access::to((), "*")).await?;
    Err(Told(format!("cannot encrypt {:?}", input.plaintext.expose().0)))
}

const CLEAR: store::Table<String, String> = store::Table::new("test/clear", 1);

async fn leaks_into_the_store(_kms: &Kms, cx: &Cx, input: EncryptInput) -> Result<EncryptOutput, Told> {
    cx.authorize(Access::to((), "*")).await?;
    let clear = BASE64.encode(&input.plaintext.expose().0);
    cx.write(async |tx| {
        tx.put(&CLEAR, &input.key_id, &clear);
        Ok::<_, Told>(())
    })
    .await?;
    Ok(EncryptOutput::default())
}

/// A good service again, in the surroundings of the broken ones.
fn whole() -> Vec<gate::Service> {
    kms_with(ops::describe_key::describe_key, ops::encrypt::encrypt)
}

fn describe() -> [&'static OperationShape; 1] {
    [operation("kms:DescribeKey")]
}

/// Whether a problem begins with the operation's name and says this.
fn says(problems: &[String], name: &str, words: &str) -> bool {
    problems
        .iter()
        .any(|problem| problem.starts_with(name) && problem.contains(words))
}

/// Calls an operation once as one who may, and tells what `finish` would find.
async fn left_behind(
    services: Vec<gate::Service>,
    shortcut: Option<&'static str>,
    name: &str,
) -> Vec<String> {
    let world = World::broken(services, shortcut).await;
    let admin = world.user("admin", allow_all()).await;
    let operation = operation(name);
    let given = prepare(&world, operation).await;
    world
        .call(&admin, operation, &world.input(operation, &given))
        .await;
    world.problems().await
}

const DESCRIBE: &str = "kms:DescribeKey";
const PAST_THE_DOOR: Option<&str> = Some("TrentService.DescribeKey");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_service_gives_the_sweeps_nothing_to_say() {
    let world = World::broken(whole(), None).await;
    let mut problems = another_region(&world, &describe()).await;
    problems.retain(|problem| problem.starts_with(DESCRIBE));
    assert!(problems.is_empty(), "{problems:?}");
    let problems = world.problems().await;
    assert!(problems.is_empty(), "{problems:?}");

    let world = World::broken(whole(), None).await;
    let mut problems = those_who_may_not(&world, &describe()).await;
    problems.retain(|problem| problem.starts_with(DESCRIBE));
    assert!(problems.is_empty(), "{problems:?}");

    let world = World::broken(whole(), None).await;
    let mut problems = another_account(&world, &describe()).await;
    problems.retain(|problem| problem.starts_with(DESCRIBE));
    assert!(problems.is_empty(), "{problems:?}");

    let world = World::broken(whole(), None).await;
    let mut problems = those_who_are_not_who_they_say(&world, &describe()).await;
    problems.retain(|problem| problem.starts_with(DESCRIBE));
    assert!(problems.is_empty(), "{problems:?}");

    let world = World::broken(whole(), None).await;
    let (mut problems, tried) = broken_input(&world, &describe()).await;
    problems.retain(|problem| problem.starts_with(DESCRIBE));
    assert!(problems.is_empty() && tried > 0, "{problems:?}");

    let problems = left_behind(whole(), None, "kms:Encrypt").await;
    assert!(problems.is_empty(), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_forgets_to_ask_is_found() {
    let world = World::broken(kms_with(forgets_to_ask, ops::encrypt::encrypt), None).await;
    let problems = those_who_may_not(&world, &describe()).await;
    assert!(
        says(&problems, DESCRIBE, "by nobody answered 500"),
        "{problems:?}"
    );
    assert!(says(&problems, DESCRIBE, "by admin"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lets_everyone_in_is_found() {
    let services = || kms_with(needs_none, ops::encrypt::encrypt);
    let world = World::broken(services(), None).await;
    let problems = those_who_may_not(&world, &describe()).await;
    for who in ["nobody", "denied", "bounded", "session"] {
        assert!(
            says(&problems, DESCRIBE, &format!("by {who} answered 200")),
            "{who}: {problems:?}"
        );
    }
    let world = World::broken(services(), None).await;
    let problems = another_account(&world, &describe()).await;
    assert!(says(&problems, DESCRIBE, "succeeded"), "{problems:?}");
    // The record shows that nothing was decided.
    let problems = left_behind(services(), None, DESCRIBE).await;
    assert!(says(&problems, DESCRIBE, "decisions is"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_refuses_in_its_own_words_is_found() {
    let services = kms_with(refuses_in_its_own_words, ops::encrypt::encrypt);
    let world = World::broken(services, None).await;
    let problems = those_who_may_not(&world, &describe()).await;
    assert!(
        says(&problems, DESCRIBE, "by nobody answered 400 ValidationException"),
        "{problems:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sees_other_regions_is_found() {
    let services = kms_with(sees_other_regions, ops::encrypt::encrypt);
    let world = World::broken(services, None).await;
    let problems = another_region(&world, &describe()).await;
    assert!(
        says(&problems, DESCRIBE, "from eu-west-1 answered 200"),
        "{problems:?}"
    );
    assert!(says(&problems, DESCRIBE, "from eu-west-1 shows"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_panics_is_found() {
    let services = kms_with(panics, ops::encrypt::encrypt);
    let problems = left_behind(services, None, DESCRIBE).await;
    assert!(says(&problems, "something panicked", ""), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_past_the_door_is_found_by_all() {
    // Unsigned and wrongly signed calls, and calls by those who may not, are answered.
    let world = World::broken(whole(), PAST_THE_DOOR).await;
    let problems = those_who_are_not_who_they_say(&world, &describe()).await;
    for who in [
        "unsigned",
        "by expired",
        "by altered token",
        "by deleted",
        "by forger",
    ] {
        assert!(
            says(&problems, DESCRIBE, &format!("{who} answered 200")),
            "{who}: {problems:?}"
        );
    }
    let world = World::broken(whole(), PAST_THE_DOOR).await;
    assert!(says(
        &those_who_may_not(&world, &describe()).await,
        DESCRIBE,
        "by nobody answered 200"
    ));
    // So is what breaks the model.
    let world = World::broken(whole(), PAST_THE_DOOR).await;
    let (problems, _) = broken_input(&world, &describe()).await;
    assert!(says(&problems, DESCRIBE, "KeyId"), "{problems:?}");
    // And nothing is recorded.
    let problems = left_behind(whole(), PAST_THE_DOOR, DESCRIBE).await;
    assert!(says(&problems, DESCRIBE, "no record"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaks_is_found_wherever_it_leaks() {
    const ENCRYPT: &str = "kms:Encrypt";
    let whole = ops::describe_key::describe_key;
    let problems = left_behind(kms_with(whole, leaks_into_the_record), None, ENCRYPT).await;
    assert!(
        says(&problems, "the record", "holds Plaintext in input of kms:Encrypt"),
        "{problems:?}"
    );
    let problems = left_behind(kms_with(whole, leaks_into_the_error), None, ENCRYPT).await;
    assert!(
        says(&problems, "the error of kms:Encrypt", "holds Plaintext"),
        "{problems:?}"
    );
    let problems = left_behind(kms_with(whole, leaks_into_the_store), None, ENCRYPT).await;
    assert!(says(&problems, "store.redb", "holds Plaintext"), "{problems:?}");
}
