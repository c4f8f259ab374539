//! What record after record says alike: a thread keeps the text of the last ones.

use std::cell::RefCell;

use ground::Timestamp;

use super::text_member;

/// Texts of calls that a thread keeps.
const CALLS_KEPT: usize = 8;

/// What is called, where, and from where.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct CallFrom<'a> {
    pub(super) event_source: &'a str,
    pub(super) event_name: &'a str,
    pub(super) region: &'a str,
    pub(super) source_address: &'a str,
    pub(super) user_agent: Option<&'a str>,
}

/// A [`CallFrom`] of its own, and its text.
struct Kept {
    event_source: String,
    event_name: String,
    region: String,
    source_address: String,
    user_agent: Option<String>,
    text: String,
}

impl Kept {
    fn is_of(&self, call: &CallFrom<'_>) -> bool {
        let own = CallFrom {
            event_source: &self.event_source,
            event_name: &self.event_name,
            region: &self.region,
            source_address: &self.source_address,
            user_agent: self.user_agent.as_deref(),
        };
        own == *call
    }
}

/// Writes the second of a moment: a second has thousands of records.
pub(super) fn push_second(out: &mut String, time: Timestamp) {
    thread_local! {
        static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    LAST.with_borrow_mut(|(second, text)| {
        if *second != time.seconds() {
            (*second, *text) = (time.seconds(), time.iso8601_seconds());
        }
        out.push_str(text);
    });
}

/// Writes what is called and from where: a program calls the same again and again.
/// It begins with the quote that ends the member before.
pub(super) fn push_call(out: &mut String, call: &CallFrom<'_>) {
    thread_local! {
        static CALLS: RefCell<[Option<Kept>; CALLS_KEPT]> = const { RefCell::new([const { None }; CALLS_KEPT]) };
    }
    let agent_bytes = call.user_agent.map_or(0, str::len);
    let place = (call.event_name.len() + call.source_address.len() + agent_bytes) % CALLS_KEPT;
    CALLS.with_borrow_mut(|calls| {
        let kept = &mut calls[place];
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_of(call)) {
            return out.push_str(&kept.text);
        }
        let text = spelled(call);
        out.push_str(&text);
        *kept = Some(Kept {
            event_source: call.event_source.to_owned(),
            event_name: call.event_name.to_owned(),
            region: call.region.to_owned(),
            source_address: call.source_address.to_owned(),
            user_agent: call.user_agent.map(str::to_owned),
            text,
        });
    });
}

fn spelled(call: &CallFrom<'_>) -> String {
    let mut out = String::from("\"");
    text_member(&mut out, "eventSource", call.event_source);
    text_member(&mut out, "eventName", call.event_name);
    text_member(&mut out, "awsRegion", call.region);
    text_member(&mut out, "sourceIPAddress", call.source_address);
    if let Some(agent) = call.user_agent {
        text_member(&mut out, "userAgent", agent);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls that share a place each have their own text, whatever differs.
    #[test]
    fn another_call_has_another_text() {
        let call = CallFrom {
            event_source: "kms.amazonaws.com",
            event_name: "Encrypt",
            region: "eu-west-1",
            source_address: "127.0.0.1",
            user_agent: Some("a"),
        };
        let others = [
            CallFrom {
                event_source: "kmt.amazonaws.com",
                ..call
            },
            CallFrom {
                event_name: "Decrypt",
                ..call
            },
            CallFrom {
                region: "eu-west-2",
                ..call
            },
            CallFrom {
                source_address: "127.0.0.2",
                ..call
            },
            CallFrom {
                user_agent: Some("b"),
                ..call
            },
            CallFrom {
                user_agent: Some("\""),
                ..call
            },
            CallFrom {
                user_agent: None,
                ..call
            },
        ];
        for other in others {
            for asked in [call, other, other, call] {
                let mut out = String::new();
                push_call(&mut out, &asked);
                assert_eq!(out, spelled(&asked));
            }
            assert_ne!(spelled(&other), spelled(&call));
        }
    }
}
