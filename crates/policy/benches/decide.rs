//! How many decisions one core makes in a second: `cargo bench -p policy`.
//!
//! A principal with ten policies of ten statements, as the door meets it on
//! every request. Counts the time on the processor where Linux tells it, else
//! on the clock, and prints the best of several rounds, since a shared machine
//! only ever makes a round slower.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ground::{AccountId, Region, Timestamp};
use policy::{
    Attached, Context, Document, DocumentKind, Holder, Policies, Principal, Request, ResourcePolicy,
    ResourcePolicyKind, decide, explain,
};

const DECISIONS: u32 = 100_000;
const ROUNDS: usize = 7;
const KEY: &str = "arn:aws:kms:eu-west-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn main() {
    let account = AccountId::parse("111111111111").expect("twelve digits were written");
    let region = Region::parse("eu-west-1").expect("a region was written");
    let user = Principal::user(account, "AIDAQAAAAAAAEXAMPLE23", "/", "bob");
    let identity: Vec<Attached> = (0..10)
        .map(|number| attached(&identity_policy(number), number))
        .collect();
    let conditional: Vec<Attached> = (0..10)
        .map(|number| attached(&conditional_policy(number, false), number))
        .collect();
    let third_fails: Vec<Attached> = (0..10)
        .map(|number| attached(&conditional_policy(number, true), number))
        .collect();
    let unlike = |fails| -> Vec<Attached> {
        (0..10)
            .map(|number| attached(&varied_policy(number, fails), number))
            .collect()
    };
    let (unlike, unlike_last) = (unlike(Fails::InTheMiddle), unlike(Fails::Last));
    let elsewhere: Vec<Attached> = (0..10)
        .map(|number| attached(&many_actions_policy(number), number))
        .collect();
    let key_policy = Attached::inline(
        "default",
        Holder::Resource,
        parse(
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"kms:*","Resource":"*"}}"#,
            DocumentKind::KmsKey,
        ),
    );
    let context = request_context(account, region.clone());
    let with_key = ResourcePolicy {
        policy: &key_policy,
        kind: ResourcePolicyKind::KmsKey,
    };

    let plain = Policies {
        identity: &identity,
        ..Policies::default()
    };
    let keyed = Policies {
        identity: &identity,
        resource: Some(with_key),
        ..Policies::default()
    };
    let conditions = Policies {
        identity: &conditional,
        resource: Some(with_key),
        ..Policies::default()
    };
    let third = Policies {
        identity: &third_fails,
        ..conditions
    };
    let varied = Policies {
        identity: &unlike,
        ..conditions
    };
    let varied_last = Policies {
        identity: &unlike_last,
        ..conditions
    };
    let actions = Policies {
        identity: &elsewhere,
        ..conditions
    };
    let ask = |action| Request::new(&user, action, KEY, Some(account), &context);

    measure("allowed by the last of 100 statements", || {
        decide(&ask("kms:Encrypt"), &plain).is_allow()
    });
    measure("the same through a key policy", || {
        decide(&ask("kms:Encrypt"), &keyed).is_allow()
    });
    measure("refused by none of 100 statements", || {
        decide(&ask("kms:Sign"), &plain).is_allow()
    });
    measure("100 statements with conditions on the same action", || {
        decide(&ask("kms:Encrypt"), &conditions).is_allow()
    });
    measure("the same, failing at the third condition only", || {
        decide(&ask("kms:Encrypt"), &third).is_allow()
    });
    measure("the same, no two statements alike", || {
        decide(&ask("kms:Encrypt"), &varied).is_allow()
    });
    measure("unlike statements, each failing where it was asked last", || {
        decide(&ask("kms:Encrypt"), &varied_last).is_allow()
    });
    measure("ten other actions of the service in every statement", || {
        decide(&ask("kms:Encrypt"), &actions).is_allow()
    });
    measure("the key policy alone, and making the context", || {
        let context = request_context(account, region.clone());
        let request = Request::new(&user, "kms:Encrypt", KEY, Some(account), &context);
        decide(&request, &keyed).is_allow()
    });
    measure("explaining the first", || {
        explain(&ask("kms:Encrypt"), &plain).allowed
    });
}

/// Measures, unless the command line names other words: `cargo bench -p policy -- third`.
///
/// With a number too, makes that many decisions and tells no time, for tools
/// that count instructions.
fn measure(what: &str, mut decision: impl FnMut() -> bool) {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    if words
        .iter()
        .any(|word| word.parse::<u32>().is_err() && !what.contains(word.as_str()))
    {
        return;
    }
    if let Some(counted) = words.iter().find_map(|word| word.parse::<u32>().ok()) {
        for _ in 0..counted {
            black_box(decision());
        }
        return;
    }
    let decisions = if what.starts_with("explain") {
        DECISIONS / 20
    } else {
        DECISIONS
    };
    let best = (0..ROUNDS)
        .map(|_| {
            let (start, on_processor) = (Instant::now(), processor_time());
            for _ in 0..decisions {
                black_box(decision());
            }
            match (on_processor, processor_time()) {
                (Some(before), Some(after)) => after.saturating_sub(before),
                _ => start.elapsed(),
            }
        })
        .min()
        .expect("there is at least one round");
    let each = best.as_secs_f64() / f64::from(decisions);
    println!(
        "{:>10.0} per CPU-second, {:>7.3} µs each: {what}",
        1.0 / each,
        each * 1e6
    );
}

/// Time this process has spent on the processor.
#[expect(
    clippy::disallowed_methods,
    reason = "the kernel tells processor time in a file, and a benchmark may ask"
)]
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn parse(text: &str, kind: DocumentKind) -> Arc<Document> {
    Arc::new(Document::parse(text, kind).expect("the benchmark's policies are well formed"))
}

fn attached(text: &str, number: usize) -> Attached {
    let arn = format!("arn:aws:iam::111111111111:policy/policy-{number}");
    Attached::managed(
        &arn,
        Holder::User("bob".into()),
        parse(text, DocumentKind::Identity),
    )
}

/// Ten statements over ten services, three actions and two resources each; the very last one fits.
fn identity_policy(number: usize) -> String {
    let services = [
        "s3", "sqs", "sns", "ec2", "iam", "ssm", "logs", "events", "lambda", "kms",
    ];
    let statement = |(index, service): (usize, &&str)| {
        let action = if number == 9 && *service == "kms" {
            "Encrypt"
        } else {
            "Describe*"
        };
        format!(
            r#"{{"Sid":"S{index}","Effect":"Allow","Action":["{service}:{action}","{service}:List*","{service}:Put{number}"],"Resource":["arn:aws:{service}:*:111111111111:*/app-{number}-*","arn:aws:{service}:*:*:key/*"]}}"#
        )
    };
    let statements: Vec<String> = services
        .iter()
        .enumerate()
        .map(statement)
        .map(|text| text.replace("arn:aws:iam:*:", "arn:aws:iam::"))
        .collect();
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statements.join(",")
    )
}

/// Ten statements that all fit but for one of their conditions, the first or
/// the third; the very last one fits altogether.
fn conditional_policy(number: usize, third_fails: bool) -> String {
    let statement = |index: usize| {
        let team = if number == 9 && index == 9 { "blue" } else { "red" };
        let team = format!(r#""StringEquals":{{"aws:ResourceTag/team":"{team}"}}"#);
        let others = r#""Bool":{"aws:SecureTransport":"true"},"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}"#;
        let conditions = if third_fails {
            format!("{others},{team}")
        } else {
            format!("{team},{others}")
        };
        format!(
            r#"{{"Effect":"Allow","Action":"kms:*","Resource":"arn:aws:kms:*:111111111111:key/*","Condition":{{{conditions}}}}}"#
        )
    };
    let statements: Vec<String> = (0..10).map(statement).collect();
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statements.join(",")
    )
}

/// Which of its three conditions keeps a statement from applying, in the order in which they are asked.
#[derive(Clone, Copy, PartialEq)]
enum Fails {
    InTheMiddle,
    Last,
}

/// As [`conditional_policy`], but no resource, network, moment or tag occurs twice.
fn varied_policy(number: usize, fails: Fails) -> String {
    let statement = |index: usize| {
        let place = number * 10 + index;
        let fits = place == 99;
        let team = if fits || fails == Fails::Last {
            "blue".to_owned()
        } else {
            format!("team-{place}")
        };
        let network = if fits || fails == Fails::InTheMiddle {
            "203.0.113.0/24".to_owned()
        } else {
            format!("192.168.{place}.0/24")
        };
        // Three spellings of the region, and the name of the key cut off at 34 places.
        let region = ["*", "eu-*", "eu-west-1"][place / 34 % 3];
        let name = &KEY[KEY.len() - 36..KEY.len() - 35 + place % 34];
        format!(
            r#"{{"Effect":"Allow","Action":["kms:*","x{index}:*"],"Resource":["arn:aws:kms:*:111111111111:alias/{place}","arn:aws:kms:{region}:111111111111:key/{name}*"],"Condition":{{"DateGreaterThan":{{"aws:CurrentTime":"2025-01-01T0{number}:0{index}:00Z"}},"IpAddress":{{"aws:SourceIp":["{network}","10.{number}.{index}.0/24"]}},"StringEquals":{{"aws:ResourceTag/team":["{team}","other-{place}"]}}}}}}"#
        )
    };
    let statements: Vec<String> = (0..10).map(statement).collect();
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statements.join(",")
    )
}

/// Ten statements of ten actions of the one service; the very last one has the action asked for.
fn many_actions_policy(number: usize) -> String {
    let statement = |index: usize| {
        let mut actions: Vec<String> = (0..10)
            .map(|action| format!("\"kms:Do{number}{index}{action}\""))
            .collect();
        if number == 9 && index == 9 {
            actions.push("\"kms:Encrypt\"".to_owned());
        }
        format!(
            r#"{{"Effect":"Allow","Action":[{}],"Resource":"arn:aws:kms:*:111111111111:key/*"}}"#,
            actions.join(",")
        )
    };
    let statements: Vec<String> = (0..10).map(statement).collect();
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statements.join(",")
    )
}

/// What the door knows of every request, and a service of its own.
fn request_context(account: AccountId, region: Region) -> Context<'static> {
    let mut context = Context::with_capacity(16);
    context
        .insert("aws:currenttime", Timestamp(1_767_225_600_000))
        .insert("aws:epochtime", Timestamp(1_767_225_600_000))
        .insert("aws:securetransport", true)
        .insert("aws:requestedregion", region)
        .insert("aws:useragent", "aws-cli/2.31.0")
        .insert("aws:sourceip", std::net::IpAddr::from([203, 0, 113, 9]))
        .insert("aws:viaawsservice", false)
        .insert("aws:resourceaccount", account)
        .insert("aws:resourcetag/team", "blue")
        .insert("kms:calleraccount", account)
        .insert("kms:keyspec", "SYMMETRIC_DEFAULT")
        .insert("kms:encryptionalgorithm", "SYMMETRIC_DEFAULT");
    context
}
