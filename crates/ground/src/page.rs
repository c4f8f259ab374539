//! Where a list goes on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The opaque continuation of a list: base64url of the list's name, a NUL and
/// the last key given out. It names its list so that a token of one operation
/// or filter is refused by another.
///
/// It is not secret and grants nothing: whoever forges one reads the same
/// list, in the same account and region, from another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// The last key of the page before.
    pub after: String,
}

/// The token was not made by this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pagination token is not valid for this list")]
pub struct BadPageToken;

impl PageToken {
    /// Longest encoded token accepted (KMS API Reference, `MarkerType`: 1,024
    /// characters). A KMS alias of 256 characters needs 360; an API with a
    /// smaller bound (IAM's `Marker`, 320) has names that fit it.
    pub const LENGTH_MAX: usize = 1024;

    /// Spells the continuation of `list` after `after`.
    pub fn encode(list: &str, after: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{list}\0{after}"))
    }

    /// Reads a token of `list`.
    ///
    /// # Errors
    ///
    /// [`BadPageToken`] if another list made it, or none did.
    pub fn decode(list: &str, token: &str) -> Result<PageToken, BadPageToken> {
        if token.len() > Self::LENGTH_MAX {
            return Err(BadPageToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadPageToken)?;
        let text = String::from_utf8(bytes).map_err(|_| BadPageToken)?;
        let (name, after) = text.split_once('\0').ok_or(BadPageToken)?;
        if name != list {
            return Err(BadPageToken);
        }
        Ok(PageToken {
            after: after.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_serves_its_own_list_only() {
        let token = PageToken::encode("ListKeys", "key-7");
        assert_eq!(PageToken::decode("ListKeys", &token).unwrap().after, "key-7");
        assert_eq!(PageToken::decode("ListAliases", &token), Err(BadPageToken));
        assert_eq!(PageToken::decode("ListKeys", "garbage!"), Err(BadPageToken));
        assert_eq!(
            PageToken::decode("ListKeys", &"A".repeat(4000)),
            Err(BadPageToken)
        );
    }
}
