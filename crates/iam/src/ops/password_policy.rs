//! The account's password policy. Setting one sets all of it: what is left out
//! becomes the API's default, not what it was before.

use gate::Cx;
use iam_api::{
    GetAccountPasswordPolicyOutput, PasswordPolicy as ApiPasswordPolicy, UpdateAccountPasswordPolicyInput,
};
use shape::Unit;

use crate::Iam;
use crate::access;
use crate::error::Error;
use crate::limits::PASSWORD_LENGTH_MIN;
use crate::model::PasswordPolicy;
use crate::store::{self, rows};

fn missing(cx: &Cx) -> Error {
    Error::NoSuch(format!(
        "The Password Policy with domain name {} cannot be found.",
        cx.account()
    ))
}

fn number(asked: Option<i32>) -> Option<u32> {
    asked.and_then(|number| u32::try_from(number).ok())
}

fn told(number: u32) -> Option<i32> {
    i32::try_from(number).ok()
}

pub(crate) async fn get_account_password_policy(
    _iam: &Iam,
    cx: &Cx,
    _: Unit,
) -> Result<GetAccountPasswordPolicyOutput, Error> {
    access::account_wide(cx).await?;
    let policy = rows(cx).password_policy().await?.ok_or_else(|| missing(cx))?;
    Ok(GetAccountPasswordPolicyOutput {
        password_policy: ApiPasswordPolicy {
            minimum_password_length: told(policy.length_min),
            require_symbols: Some(policy.symbols),
            require_numbers: Some(policy.numbers),
            require_uppercase_characters: Some(policy.upper_case),
            require_lowercase_characters: Some(policy.lower_case),
            allow_users_to_change_password: Some(policy.users_may_change),
            expire_passwords: Some(policy.age_max_days.is_some()),
            max_password_age: policy.age_max_days.and_then(told),
            password_reuse_prevention: policy.reuse_prevention.and_then(told),
            hard_expiry: policy.hard_expiry,
        },
    })
}

pub(crate) async fn update_account_password_policy(
    _iam: &Iam,
    cx: &Cx,
    input: UpdateAccountPasswordPolicyInput,
) -> Result<Unit, Error> {
    let policy = PasswordPolicy {
        length_min: number(input.minimum_password_length).unwrap_or(PASSWORD_LENGTH_MIN),
        symbols: input.require_symbols == Some(true),
        numbers: input.require_numbers == Some(true),
        upper_case: input.require_uppercase_characters == Some(true),
        lower_case: input.require_lowercase_characters == Some(true),
        users_may_change: input.allow_users_to_change_password == Some(true),
        age_max_days: number(input.max_password_age),
        reuse_prevention: number(input.password_reuse_prevention),
        hard_expiry: input.hard_expiry,
    };
    let policy = access::of_account(cx, policy).await?;
    store::write(cx, |tx| store::put_password_policy(tx, &policy)).await?;
    Ok(Unit)
}

pub(crate) async fn delete_account_password_policy(_iam: &Iam, cx: &Cx, _: Unit) -> Result<Unit, Error> {
    let permit = access::of_account(cx, ()).await?;
    if rows(cx).password_policy().await?.is_none() {
        return Err(missing(cx));
    }
    store::write(cx, |tx| store::delete_password_policy(tx, &permit)).await?;
    Ok(Unit)
}
