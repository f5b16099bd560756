//! Who may change something through the admin port.

use std::net::IpAddr;
use std::path::Path;

use axum::http::{HeaderMap, StatusCode, header};

use super::problem::Problem;
use crate::config::Token;

/// Lets a write pass: with the bearer token where one is configured, else from this machine only and from no web page.
pub(super) fn check_write(headers: &HeaderMap, peer: IpAddr, token_file: Option<&Path>) -> Result<(), Problem> {
    match token_file {
        Some(file) => check_token(headers, file),
        None if !peer.to_canonical().is_loopback() => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "without [admin_auth] token_file, changes are accepted from loopback addresses only",
        )),
        None if is_cross_site(headers) => {
            Err(Problem::new(StatusCode::FORBIDDEN, "a page of another site may not change anything here"))
        }
        None => Ok(()),
    }
}

fn check_token(headers: &HeaderMap, file: &Path) -> Result<(), Problem> {
    // Read each time: writes are rare, and a token that was replaced is in force at once.
    let token = std::fs::read_to_string(file).map_err(|error| {
        let text = format!("the token file {} cannot be read: {error}", file.display());
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
    })?;
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let wanted = Token::new(token.trim_end().as_bytes().to_vec());
    if given.is_some_and(|given| wanted.is(given)) {
        return Ok(());
    }
    let text = "this needs the header `authorization: Bearer TOKEN` with the token of [admin_auth] token_file";
    Err(Problem::new(StatusCode::UNAUTHORIZED, text))
}

/// Whether a browser sends this on behalf of a page that is not ours (Fetch Metadata; RFC 6454, section 7).
fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(axum::http::HeaderValue::as_bytes);
    if let Some(site) = site {
        return !matches!(site, b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok()) else { return false };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    origin.split_once("://").map(|(_, authority)| authority) != host
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).try_into().expect("a name"), (*value).try_into().expect("a value")))
            .collect()
    }

    #[test]
    fn without_a_token_only_this_machine_may_write_and_no_web_page() {
        let local: IpAddr = [127, 0, 0, 1].into();
        let remote: IpAddr = [192, 0, 2, 1].into();
        let table = [
            (vec![], local, true),
            (vec![], remote, false),
            (vec![("sec-fetch-site", "cross-site")], local, false),
            (vec![("sec-fetch-site", "same-origin")], local, true),
            (vec![("origin", "http://evil.example"), ("host", "127.0.0.1:8081")], local, false),
            (vec![("origin", "http://127.0.0.1:8081"), ("host", "127.0.0.1:8081")], local, true),
            (vec![("origin", "null"), ("host", "127.0.0.1:8081")], local, false),
        ];
        for (pairs, peer, allowed) in table {
            assert_eq!(check_write(&headers(&pairs), peer, None).is_ok(), allowed, "{pairs:?} from {peer}");
        }
    }

    #[test]
    fn with_a_token_everyone_needs_it() {
        let file = tempfile::NamedTempFile::new().expect("a file for the test");
        std::fs::write(file.path(), "s3cret\n").expect("it is writable");
        let local: IpAddr = [127, 0, 0, 1].into();
        for (pairs, allowed) in [
            (vec![], false),
            (vec![("authorization", "Bearer s3cret")], true),
            (vec![("authorization", "Bearer s3cre")], false),
            (vec![("authorization", "Bearer s3creT")], false),
            (vec![("authorization", "s3cret")], false),
        ] {
            assert_eq!(check_write(&headers(&pairs), local, Some(file.path())).is_ok(), allowed, "{pairs:?}");
        }
    }

    #[test]
    fn an_empty_token_file_lets_nobody_in() {
        let file = tempfile::NamedTempFile::new().expect("a file for the test");
        let given = headers(&[("authorization", "Bearer ")]);
        assert!(check_write(&given, [127, 0, 0, 1].into(), Some(file.path())).is_err());
    }
}
