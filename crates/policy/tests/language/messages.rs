//! The texts of refusals.
//!
//! Source: IAM User Guide, "Troubleshoot access denied error messages".

use policy::{Decision, decide, denial_text, denial_text_without_reason};

use crate::scenario::{BUCKET, KEY, ROLE, Scenario, Setting};

fn text(setting: Setting, columns: &[(&str, &str)], same_organization: bool) -> String {
    let mut scenario = Scenario::new(setting, columns);
    scenario.same_organization = same_organization;
    scenario.with(|request, policies| match decide(request, policies) {
        Decision::Allow(_) => panic!("{columns:?} is allowed"),
        Decision::Deny(denial) => denial_text(request, &denial),
    })
}

fn own(columns: &[(&str, &str)]) -> String {
    text(KEY, columns, false)
}

const USER: &str = "User: arn:aws:iam::111111111111:user/staff/bob is not authorized to perform: kms:Encrypt \
                    on resource: arn:aws:kms:eu-west-1:222222222222:key/1";
const SESSION: &str = "User: arn:aws:sts::111111111111:assumed-role/Deploy/ci is not authorized to perform: \
                       kms:Encrypt on resource: arn:aws:kms:eu-west-1:222222222222:key/1";

#[test]
fn implicit_denies_name_the_type_that_misses() {
    let user = ("caller", "user");
    let account = ("resource", "account");
    assert_eq!(
        own(&[user, account, ("I", "miss")]),
        format!("{USER} because no identity-based policy allows the kms:Encrypt action")
    );
    assert_eq!(
        own(&[user, ("resource", "nobody"), ("I", "allow")]),
        format!("{USER} because no resource-based policy allows the kms:Encrypt action")
    );
    assert_eq!(
        own(&[user, account, ("I", "allow"), ("B", "miss")]),
        format!("{USER} because no permissions boundary allows the kms:Encrypt action")
    );
    assert_eq!(
        own(&[("caller", "role"), account, ("I", "allow"), ("S", "miss")]),
        format!("{SESSION} because no session policy allows the kms:Encrypt action")
    );
    assert_eq!(
        own(&[user, account, ("I", "allow"), ("SCP", "allow/miss")]),
        format!("{USER} because no service control policy allows the kms:Encrypt action")
    );
    assert_eq!(
        own(&[user, account, ("I", "allow"), ("E", "miss")]),
        format!("{USER} because no VPC endpoint policy allows the kms:Encrypt action")
    );
}

#[test]
fn explicit_denies_name_the_policy_where_the_caller_may_know_it() {
    let user = ("caller", "user");
    let account = ("resource", "account");
    assert_eq!(
        own(&[user, account, ("I", "deny")]),
        format!(
            "{USER} with an explicit deny in an identity-based policy: arn:aws:iam::111111111111:policy/identity"
        )
    );
    assert_eq!(
        own(&[user, ("resource", "deny"), ("I", "allow")]),
        format!("{USER} with an explicit deny in a resource-based policy")
    );
    assert_eq!(
        own(&[user, account, ("I", "allow"), ("B", "deny")]),
        format!(
            "{USER} with an explicit deny in a permissions boundary: arn:aws:iam::111111111111:policy/boundary"
        )
    );
    assert_eq!(
        own(&[("caller", "role"), account, ("I", "allow"), ("S", "deny")]),
        format!(
            "{SESSION} with an explicit deny in a session policy: arn:aws:iam::111111111111:policy/session"
        )
    );
    assert_eq!(
        own(&[user, account, ("I", "allow"), ("SCP", "allow/deny")]),
        format!(
            "{USER} with an explicit deny in a service control policy: \
             arn:aws:organizations::222222222222:policy/o-example123/service_control_policy/p-level1"
        )
    );
    assert_eq!(
        own(&[user, account, ("I", "allow"), ("RCP", "allow/deny")]),
        format!(
            "{USER} with an explicit deny in a resource control policy: \
             arn:aws:organizations::222222222222:policy/o-example123/resource_control_policy/p-level1"
        )
    );
    assert_eq!(
        own(&[user, account, ("I", "allow"), ("E", "deny")]),
        format!("{USER} with an explicit deny in a VPC endpoint policy")
    );
}

#[test]
fn a_foreign_owner_stays_silent_outside_the_organization() {
    let columns = [("caller", "user"), ("resource", "nobody"), ("I", "allow")];
    assert_eq!(text(KEY.foreign(), &columns, false), USER);
    assert_eq!(
        text(KEY.foreign(), &columns, true),
        format!("{USER} because no resource-based policy allows the kms:Encrypt action")
    );
    let own_side = [("caller", "user"), ("resource", "account"), ("I", "deny")];
    assert_eq!(
        text(KEY.foreign(), &own_side, false),
        format!("{USER} with an explicit deny in an identity-based policy")
    );
}

#[test]
fn trust_policies_have_their_own_words() {
    let user = "User: arn:aws:iam::111111111111:user/staff/bob is not authorized to perform: sts:AssumeRole on \
                resource: arn:aws:iam::222222222222:role/Target";
    assert_eq!(
        text(
            ROLE,
            &[("caller", "user"), ("resource", "nobody"), ("I", "allow")],
            false
        ),
        format!("{user} because no role trust policy allows the sts:AssumeRole action")
    );
    assert_eq!(
        text(
            ROLE,
            &[("caller", "user"), ("resource", "deny"), ("I", "allow")],
            false
        ),
        format!("{user} with an explicit deny in the role trust policy")
    );
    let scenario = Scenario::new(ROLE, &[("caller", "user")]);
    assert_eq!(
        scenario.with(|request, _| denial_text_without_reason(request)),
        user
    );
    let web = Setting {
        action: "sts:AssumeRoleWithWebIdentity",
        ..ROLE
    };
    assert_eq!(
        text(web, &[("caller", "web"), ("resource", "nobody")], false),
        "Not authorized to perform sts:AssumeRoleWithWebIdentity"
    );
}

#[test]
fn s3_quotes_the_resource() {
    assert_eq!(
        text(BUCKET, &[("caller", "anonymous")], false),
        "User: anonymous is not authorized to perform: s3:GetObject on resource: \"arn:aws:s3:::bucket/file\" \
         because no resource-based policy allows the s3:GetObject action"
    );
}
