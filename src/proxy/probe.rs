//! The probe header: somebody who knows the admin token chooses the backend of one request.

use http::HeaderMap;
use http::header::HeaderName;

use crate::backend::Backend;
use crate::config::Token;
use crate::refusal::Refusal;

/// Which backend is to answer: `v1` or `v2`.
const BACKEND: HeaderName = HeaderName::from_static("crossfade-backend");
/// The admin token.
const TOKEN: HeaderName = HeaderName::from_static("crossfade-token");

/// The backend that a request asks for, if it does. Neither header goes any further.
///
/// Whoever is not allowed to ask is refused and not served as if nothing had been asked: an answer of V1 that is taken for
/// V2's is worse than none.
pub(super) fn take(headers: &mut HeaderMap, token: Option<&Token>) -> Option<Result<Backend, Refusal>> {
    if !headers.keys().any(|name| *name == TOKEN || *name == BACKEND) {
        return None;
    }
    let given = headers.remove(TOKEN);
    let wanted = headers.remove(BACKEND)?;
    if !token.zip(given).is_some_and(|(token, given)| token.is(given.as_bytes())) {
        return Some(Err(Refusal::ProbeToken));
    }
    let named = Backend::ALL.into_iter().find(|backend| backend.as_str().as_bytes() == wanted.as_bytes());
    Some(named.ok_or(Refusal::ProbeBackend))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &'static str)], token: Option<&str>) -> Option<Result<Backend, Refusal>> {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")));
        let mut headers: HeaderMap = pairs.collect();
        let token = token.map(|token| Token::new(token.as_bytes().to_vec()));
        let asked = take(&mut headers, token.as_ref());
        assert!(!headers.contains_key(BACKEND) && !headers.contains_key(TOKEN), "always taken out");
        asked
    }

    #[test]
    fn a_backend_is_chosen_with_the_token_and_refused_without() {
        let (v2, token) = (("crossfade-backend", "v2"), ("crossfade-token", "s3cret"));
        assert_eq!(asked(&[v2, token], Some("s3cret")), Some(Ok(Backend::V2)));
        assert_eq!(asked(&[("crossfade-backend", "v1"), token], Some("s3cret")), Some(Ok(Backend::V1)));
        assert_eq!(asked(&[("crossfade-backend", "v3"), token], Some("s3cret")), Some(Err(Refusal::ProbeBackend)));
        assert_eq!(asked(&[v2, token], Some("other")), Some(Err(Refusal::ProbeToken)));
        assert_eq!(asked(&[v2], Some("s3cret")), Some(Err(Refusal::ProbeToken)));
        assert_eq!(asked(&[v2, token], None), Some(Err(Refusal::ProbeToken)), "no token, no probes");
        assert_eq!(asked(&[token], Some("s3cret")), None, "a token alone asks for nothing");
    }
}
