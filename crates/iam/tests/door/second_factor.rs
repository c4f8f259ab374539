//! One-time codes, from a new device to the condition keys of a session.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::totp::{self, STEP_SECONDS};

use crate::world::{HOME, World, leaf};

/// What bob may do only with a second factor, and not an hour after it.
const WITH_MFA: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iam:GetUser","Resource":"*",
     "Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}},
    {"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}"#;

const TRUST_WITH_MFA: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow",
    "Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole",
    "Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}}"#;

/// A telephone, which knows a seed and the time.
struct Phone {
    serial_number: String,
    seed: Vec<u8>,
}

fn base32(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for eight in text.as_bytes().chunks(8) {
        let number = eight.iter().fold(0u64, |number, letter| {
            let at = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
                .iter()
                .position(|known| known == letter)
                .unwrap();
            (number << 5) | u64::try_from(at).unwrap()
        });
        bytes.extend_from_slice(&number.to_be_bytes()[3..]);
    }
    bytes
}

impl Phone {
    async fn new(world: &mut World, name: &str) -> Phone {
        let answer = world
            .ok(
                "root",
                "iam",
                "CreateVirtualMFADevice",
                &[("VirtualMFADeviceName", name)],
            )
            .await;
        let shown = leaf(&answer, "Base32StringSeed");
        let text = String::from_utf8(STANDARD.decode(&shown).unwrap()).unwrap();
        let picture = STANDARD.decode(leaf(&answer, "QRCodePNG")).unwrap();
        assert!(picture.starts_with(b"\x89PNG"));
        world.keep_secret(&shown);
        world.keep_secret(&text);
        Phone {
            serial_number: leaf(&answer, "SerialNumber"),
            seed: base32(&text),
        }
    }

    /// The code that the telephone shows, so many steps from now.
    fn code(&self, world: &World, steps: i64) -> String {
        let step = world.now().seconds() / STEP_SECONDS.cast_signed() + steps;
        totp::code(&self.seed, step.cast_unsigned())
    }

    fn two_codes(&self, world: &World) -> (String, String) {
        (self.code(world, -1), self.code(world, 0))
    }

    async fn enable(&self, world: &World, user: &str) {
        let (first, second) = self.two_codes(world);
        let parameters = self.proof(user, &first, &second);
        world.ok("root", "iam", "EnableMFADevice", &parameters).await;
    }

    fn proof<'a>(&'a self, user: &'a str, first: &'a str, second: &'a str) -> [(&'a str, &'a str); 4] {
        [
            ("UserName", user),
            ("SerialNumber", &self.serial_number),
            ("AuthenticationCode1", first),
            ("AuthenticationCode2", second),
        ]
    }

    fn presented<'a>(&'a self, code: &'a str) -> [(&'a str, &'a str); 2] {
        [("SerialNumber", &self.serial_number), ("TokenCode", code)]
    }
}

/// Bob, with a device that is enabled and a step of time since.
async fn bob() -> (World, Phone) {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    let policy = [
        ("UserName", "bob"),
        ("PolicyName", "p"),
        ("PolicyDocument", WITH_MFA),
    ];
    world.ok("root", "iam", "PutUserPolicy", &policy).await;
    let phone = Phone::new(&mut world, "bobs").await;
    phone.enable(&world, "bob").await;
    world.advance(STEP_SECONDS);
    (world, phone)
}

#[tokio::test]
async fn a_session_has_a_second_factor_only_if_one_was_shown() {
    let (mut world, phone) = bob().await;
    let code = phone.code(&world, 0);
    let answer = world
        .ok("bob", "sts", "GetSessionToken", &phone.presented(&code))
        .await;
    world.remember("with", &answer);
    let answer = world.ok("bob", "sts", "GetSessionToken", &[]).await;
    world.remember("without", &answer);

    world.ok("with", "iam", "GetUser", &[]).await;
    world.fails("bob", "iam", "GetUser", &[], "AccessDenied").await;
    world
        .fails("without", "iam", "GetUser", &[], "InvalidClientTokenId")
        .await;

    // The second factor grows old.
    world.advance(3_601);
    world.fails("with", "iam", "GetUser", &[], "AccessDenied").await;
    let recorded = world.records();
    assert!(
        !format!("{recorded:?}").contains("okenCode"),
        "a code is not recorded"
    );
    let denied = recorded.last().unwrap();
    assert_eq!(
        denied["userIdentity"]["sessionContext"]["attributes"]["mfaAuthenticated"],
        "true"
    );
}

#[tokio::test]
async fn a_code_is_taken_once_and_in_its_time() {
    let (world, phone) = bob().await;
    let code = phone.code(&world, 0);
    world
        .ok("bob", "sts", "GetSessionToken", &phone.presented(&code))
        .await;
    world
        .fails(
            "bob",
            "sts",
            "GetSessionToken",
            &phone.presented(&code),
            "AccessDenied",
        )
        .await;
    let (early, late) = (phone.code(&world, 3), phone.code(&world, -1));
    for code in [&early, &late] {
        world
            .fails(
                "bob",
                "sts",
                "GetSessionToken",
                &phone.presented(code),
                "AccessDenied",
            )
            .await;
    }
    world.advance(2 * STEP_SECONDS);
    // One that was ahead of its time is good when its time has come.
    world
        .ok("bob", "sts", "GetSessionToken", &phone.presented(&early))
        .await;
}

#[tokio::test]
async fn one_of_two_calls_with_the_same_code_succeeds() {
    let (world, phone) = bob().await;
    let code = phone.code(&world, 0);
    let presented = phone.presented(&code);
    let call = || world.call("bob", "sts", "GetSessionToken", &presented);
    let (one, other) = tokio::join!(call(), call());
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
}

#[tokio::test]
async fn guessing_is_cut_short() {
    let (world, phone) = bob().await;
    let good = phone.code(&world, 0);
    let wrong = if good == "000000" { "000001" } else { "000000" };
    for _ in 0..10 {
        world
            .fails(
                "bob",
                "sts",
                "GetSessionToken",
                &phone.presented(wrong),
                "AccessDenied",
            )
            .await;
    }
    world
        .fails(
            "bob",
            "sts",
            "GetSessionToken",
            &phone.presented(&good),
            "AccessDenied",
        )
        .await;
    world.advance(300);
    let good = phone.code(&world, 0);
    world
        .fails(
            "bob",
            "sts",
            "GetSessionToken",
            &phone.presented("x"),
            "ValidationError",
        )
        .await;
    world
        .ok("bob", "sts", "GetSessionToken", &phone.presented(&good))
        .await;
}

#[tokio::test]
async fn a_role_that_asks_for_a_second_factor_gets_one_with_the_call_or_from_the_session() {
    let (mut world, phone) = bob().await;
    let role = [
        ("RoleName", "Careful"),
        ("AssumeRolePolicyDocument", TRUST_WITH_MFA),
    ];
    world.ok("root", "iam", "CreateRole", &role).await;
    let may = [
        ("RoleName", "Careful"),
        ("PolicyName", "p"),
        ("PolicyDocument", WITH_MFA),
    ];
    world.ok("root", "iam", "PutRolePolicy", &may).await;
    let arn = format!("arn:aws:iam::{HOME}:role/Careful");
    let assume = [("RoleArn", arn.as_str()), ("RoleSessionName", "session")];
    let user = [("UserName", "bob")];

    world
        .fails("bob", "sts", "AssumeRole", &assume, "AccessDenied")
        .await;
    let code = phone.code(&world, 0);
    let with_code = [&assume[..], &phone.presented(&code)[..]].concat();
    let answer = world.ok("bob", "sts", "AssumeRole", &with_code).await;
    world.remember("direct", &answer);
    world.ok("direct", "iam", "GetUser", &user).await;
    world
        .fails("bob", "sts", "AssumeRole", &with_code, "AccessDenied")
        .await;

    // A session with a second factor opens the door, and does not pass it on.
    world.advance(STEP_SECONDS);
    let code = phone.code(&world, 0);
    let answer = world
        .ok("bob", "sts", "GetSessionToken", &phone.presented(&code))
        .await;
    world.remember("with", &answer);
    let answer = world.ok("with", "sts", "AssumeRole", &assume).await;
    world.remember("chained", &answer);
    world
        .fails("chained", "iam", "GetUser", &user, "AccessDenied")
        .await;
}

#[tokio::test]
async fn a_device_is_one_users_and_proves_no_other() {
    let (mut world, phone) = bob().await;
    world.user("root", "eve").await;
    let code = phone.code(&world, 0);
    world
        .fails(
            "eve",
            "sts",
            "GetSessionToken",
            &phone.presented(&code),
            "AccessDenied",
        )
        .await;
    let (first, second) = phone.two_codes(&world);
    let taken = phone.proof("eve", &first, &second);
    world
        .fails("root", "iam", "EnableMFADevice", &taken, "EntityAlreadyExists")
        .await;
    world
        .fails("root", "iam", "ResyncMFADevice", &taken, "NoSuchEntity")
        .await;
    let of_eve = [
        ("UserName", "eve"),
        ("SerialNumber", phone.serial_number.as_str()),
    ];
    world
        .fails("root", "iam", "DeactivateMFADevice", &of_eve, "NoSuchEntity")
        .await;
    world
        .fails("root", "iam", "GetMFADevice", &of_eve, "NoSuchEntity")
        .await;
    let serial = [("SerialNumber", phone.serial_number.as_str())];
    world
        .fails("root", "iam", "DeleteVirtualMFADevice", &serial, "DeleteConflict")
        .await;
    world
        .fails(
            "root",
            "iam",
            "DeleteUser",
            &[("UserName", "bob")],
            "DeleteConflict",
        )
        .await;
    let listed = world
        .ok("root", "iam", "ListMFADevices", &[("UserName", "bob")])
        .await;
    assert_eq!(leaf(&listed, "SerialNumber"), phone.serial_number);
    let assigned = [("AssignmentStatus", "Assigned")];
    let listed = world.ok("root", "iam", "ListVirtualMFADevices", &assigned).await;
    assert_eq!(leaf(&listed, "UserName"), "bob");
    assert!(!listed.contains("Base32StringSeed"), "a seed is shown once");
}

#[tokio::test]
async fn a_device_let_go_and_taken_back_makes_no_spent_code_good() {
    let (world, phone) = bob().await;
    let of_bob = [
        ("UserName", "bob"),
        ("SerialNumber", phone.serial_number.as_str()),
    ];
    let (first, second) = phone.two_codes(&world);
    world.ok("root", "iam", "DeactivateMFADevice", &of_bob).await;
    world
        .fails(
            "bob",
            "sts",
            "GetSessionToken",
            &phone.presented(&second),
            "AccessDenied",
        )
        .await;
    let again = phone.proof("bob", &first, &second);
    world
        .fails(
            "root",
            "iam",
            "EnableMFADevice",
            &again,
            "InvalidAuthenticationCode",
        )
        .await;
    world.advance(2 * STEP_SECONDS);
    phone.enable(&world, "bob").await;
}

/// A process that begins with the clock behind where another ended: what was
/// spent stays spent, and sessions of a time to come are not believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_moved_back_gives_nothing_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rows");
    let mut world = World::in_file(&file).await;
    world.user("root", "bob").await;
    let phone = Phone::new(&mut world, "bobs").await;
    phone.enable(&world, "bob").await;
    world.advance(STEP_SECONDS);
    let code = phone.code(&world, 0);
    let presented = phone.presented(&code);
    world.ok("bob", "sts", "GetSessionToken", &presented).await;
    world.advance(200);
    let soon = world.ok("bob", "sts", "GetSessionToken", &[]).await;
    world.remember("soon", &soon);
    world.advance(200);
    let late = world.ok("bob", "sts", "GetSessionToken", &[]).await;
    world.remember("late", &late);
    let ended = world.now();

    let world = world.restart(&file, async |_| {}).await;
    assert!(world.now() < ended, "the clock was moved back");
    world
        .fails("bob", "sts", "GetSessionToken", &presented, "AccessDenied")
        .await;
    // Clocks of nodes differ by less than five minutes.
    world.ok("soon", "sts", "GetCallerIdentity", &[]).await;
    world
        .fails("late", "sts", "GetCallerIdentity", &[], "InvalidClientTokenId")
        .await;
    // Its time comes, and that of codes that nobody used.
    world.advance(430);
    world.ok("late", "sts", "GetCallerIdentity", &[]).await;
    let code = phone.code(&world, 0);
    let presented = phone.presented(&code);
    world.ok("bob", "sts", "GetSessionToken", &presented).await;
}

#[tokio::test]
async fn a_clock_that_drifted_is_found_again() {
    let (world, phone) = bob().await;
    // The telephone is four minutes ahead.
    let code = phone.code(&world, 8);
    world
        .fails(
            "bob",
            "sts",
            "GetSessionToken",
            &phone.presented(&code),
            "AccessDenied",
        )
        .await;
    let (first, second) = (phone.code(&world, 8), phone.code(&world, 9));
    let backwards = phone.proof("bob", &second, &first);
    world
        .fails(
            "root",
            "iam",
            "ResyncMFADevice",
            &backwards,
            "InvalidAuthenticationCode",
        )
        .await;
    let proof = phone.proof("bob", &first, &second);
    world.ok("root", "iam", "ResyncMFADevice", &proof).await;
    let next = phone.code(&world, 10);
    world
        .ok("bob", "sts", "GetSessionToken", &phone.presented(&next))
        .await;
}

#[tokio::test]
async fn no_password_is_recorded() {
    let (mut world, _phone) = bob().await;
    for secret in ["First-pass-1", "Second-pass-2"] {
        world.keep_secret(secret);
    }
    let made = [("UserName", "bob"), ("Password", "First-pass-1")];
    world.ok("root", "iam", "CreateLoginProfile", &made).await;
    let policy = [("AllowUsersToChangePassword", "true")];
    world
        .ok("root", "iam", "UpdateAccountPasswordPolicy", &policy)
        .await;
    let changed = [("OldPassword", "First-pass-1"), ("NewPassword", "Second-pass-2")];
    world.ok("bob", "iam", "ChangePassword", &changed).await;
    world
        .fails("bob", "iam", "ChangePassword", &changed, "AccessDenied")
        .await;
    assert!(
        world
            .records()
            .iter()
            .any(|record| record["eventName"] == "ChangePassword")
    );
}
