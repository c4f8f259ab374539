//! What anybody may read of an account that vouches for its principals to
//! others (OpenID Connect Discovery 1.0): which keys its tokens are signed with.
//!
//! `GET /_palisade/issuer/ID/.well-known/openid-configuration` and
//! `…/.well-known/jwks.json`. Nobody signs for them: relying parties have no
//! credentials here. An id that no account has is told to be missing, like any
//! other path.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

use crate::directory::TokenIssuer;
use crate::door::Door;
use crate::limits::TOKEN_ISSUER_ID_CHARACTERS_MAX;
use crate::operator;

/// Where issuers are; the id comes behind it.
pub const PATH: &str = "/_palisade/issuer/";

const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/.well-known/jwks.json";

/// The document at this path; `None` if there is none.
pub(crate) async fn answer(door: &Door, path: &str) -> Option<Response<Full<Bytes>>> {
    let rest = path.strip_prefix(PATH)?;
    let (id, document) = rest.split_at(rest.find('/')?);
    if id.len() > TOKEN_ISSUER_ID_CHARACTERS_MAX || ![DISCOVERY, KEYS].contains(&document) {
        return None;
    }
    let issuer = match door.parts.directory.token_issuer(id).await {
        Ok(issuer) => issuer?,
        Err(error) => {
            tracing::error!(%error, "a token issuer cannot be read");
            return Some(operator::problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                "the issuer cannot be read",
            ));
        }
    };
    let document = match document {
        DISCOVERY => configuration(&issuer),
        _ => issuer.keys,
    };
    let mut answer = operator::json(StatusCode::OK, &document);
    // Keys stay as they are; whoever fetched them need not ask again for a while.
    let cached = HeaderValue::from_static("public, max-age=600");
    answer.headers_mut().insert(http::header::CACHE_CONTROL, cached);
    Some(answer)
}

fn configuration(issuer: &TokenIssuer) -> serde_json::Value {
    json!({
        "issuer": issuer.issuer,
        "jwks_uri": format!("{}{KEYS}", issuer.issuer),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": issuer.algorithms,
        "claims_supported": ["iss", "aud", "sub", "iat", "exp", "jti", "https://sts.amazonaws.com/"],
    })
}
