//! Names, moments and page tokens: what is accepted is spelled the same again.

#![no_main]

use std::ops::RangeInclusive;

use ground::{AccountId, Arn, PageToken, Region, Timestamp, id};
use libfuzzer_sys::fuzz_target;

/// The years 1 to 9999, less the last day; what lies beyond is spelled as their first or last moment.
const SPELLED_EXACTLY: RangeInclusive<Timestamp> =
    Timestamp(-62_135_596_800_000)..=Timestamp(253_402_207_199_000);

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(arn) = Arn::parse(text) {
        assert_eq!(arn.to_string(), text);
        std::hint::black_box(arn.account_id());
    }
    if let Ok(account) = AccountId::parse(text) {
        assert_eq!(account.to_string(), text);
    }
    if let Ok(region) = Region::parse(text) {
        assert_eq!(region.as_str(), text);
    }
    if let Ok(token) = PageToken::decode("ListKeys", text) {
        assert_eq!(PageToken::encode("ListKeys", &token.after), text);
    }
    if let Some(account) = id::account_of_access_key(text) {
        assert!(AccountId::from_number(account.number()).is_some());
    }
    for moment in [
        Timestamp::parse_iso8601(text),
        Timestamp::parse_amz_date(text),
        Timestamp::parse_http_date(text),
    ]
    .into_iter()
    .flatten()
    {
        spelled_alike(moment);
    }
});

fn spelled_alike(moment: Timestamp) {
    std::hint::black_box((moment.iso8601(), moment.http_date(), moment.cloudtrail()));
    if !SPELLED_EXACTLY.contains(&moment) {
        return;
    }
    assert_eq!(Timestamp::parse_iso8601(&moment.iso8601()).ok(), Some(moment));
    let whole_seconds = Timestamp::from_seconds(moment.seconds());
    assert_eq!(
        Timestamp::parse_amz_date(&whole_seconds.amz_date()).ok(),
        Some(whole_seconds)
    );
    assert_eq!(
        Timestamp::parse_http_date(&whole_seconds.http_date()).ok(),
        Some(whole_seconds)
    );
}
