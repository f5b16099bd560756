//! Which credentials a request carried, and whether they were accepted. Names and places only, never a value.

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::asking::Asking;
use super::exchange::Answered;
use super::place::Place;
use super::report::{Found, Wrong};
use crate::config::HeaderSource;
use crate::outcome::Cause;
use crate::score::Score;

/// Parts of names that credentials go by.
const TELLING: [&str; 7] = ["auth", "key", "token", "secret", "session", "signature", "credential"];
/// Registered ways to authenticate (IANA, HTTP Authentication Schemes): nothing else of the header is repeated.
const SCHEMES: [&str; 9] = ["Basic", "Bearer", "Digest", "DPoP", "GNAP", "HOBA", "Mutual", "Negotiate", "PrivateToken"];

/// Whether whoever asked was accepted. The score knows of gRPC as well.
pub(super) fn judge(place: &Place, asking: &Asking, answered: &Answered, score: Score) -> Found {
    let carried = Carried::of(place, asking);
    let is_refused = score == Score::Fallback(Cause::Auth)
        || answered.status == StatusCode::UNAUTHORIZED
        || answered.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        || answered.status == StatusCode::FORBIDDEN;
    if !is_refused {
        let sent = if carried.list.is_empty() { "none sent, none asked for".to_owned() } else { carried.told("") };
        return Found::ok(sent);
    }
    refused(place, answered, &carried)
}

/// The finding for a request that was refused.
pub(super) fn refused(place: &Place, answered: &Answered, carried: &Carried) -> Found {
    let status = match answered.status {
        StatusCode::OK => "refused by grpc-status".to_owned(),
        status => status.as_u16().to_string(),
    };
    let wanted = wanted(&answered.headers);
    let set = place.key("request.set");
    let (finding, remedy) = if carried.list.is_empty() {
        let example = format!("set one under {set}, such as \"authorization\" = {{ file = \"secrets/v2.key\" }}");
        (format!("{status}: the request carried no credential{wanted}"), example)
    } else if answered.status == StatusCode::FORBIDDEN {
        let told = carried.told(" sent, and not allowed to do this");
        (
            format!("{status}: {told}"),
            format!("have the backend allow it, or use the credential that may: {}", carried.mend),
        )
    } else {
        (format!("{status}: {}{wanted}", carried.told(" sent, and refused")), carried.mend.clone())
    };
    let finding = format!("{finding}{}", carried.removed);
    Found::failed(Wrong::Credentials, finding, remedy).because(Cause::Auth)
}

/// The credentials of a request.
pub(super) struct Carried {
    /// Each with the place it comes from.
    list: Vec<String>,
    /// What to do when they are refused.
    mend: String,
    /// Those that the mapping took out.
    removed: String,
}

impl Carried {
    pub(super) fn of(place: &Place, asking: &Asking) -> Self {
        let mapping = &place.spec.request;
        let (mut list, mut mend) = (Vec::new(), Vec::new());
        for (name, source) in &mapping.set {
            let key = place.key(format!("request.set.{name}"));
            match source {
                HeaderSource::File { path, .. } => {
                    list.push(format!("{name} from {}", path.display()));
                    mend.push(format!("put the credential for this environment into {} ({key})", path.display()));
                }
                HeaderSource::Literal(_) if is_telling(name) => {
                    list.push(format!("{name} as written in crossfade.toml"));
                    mend.push(format!("correct {key}"));
                }
                HeaderSource::Literal(_) => {}
            }
        }
        let is_set = |name: &HeaderName| mapping.set.iter().any(|(set, _)| set == name);
        let given = asking.headers.keys().filter(|name| is_telling(name) && !is_set(name));
        let (taken, sent): (Vec<_>, Vec<_>) = given.partition(|name| mapping.remove.contains(name));
        for name in sent {
            list.push(format!("{name} of the probe itself"));
            mend.push(format!("give another {name} with --header, or set one under {}", place.key("request.set")));
        }
        let has_certificate =
            |tls: &crate::config::EndpointTls| tls.client.config().client_auth_cert_resolver.has_certs();
        if place.endpoint.tls.as_ref().is_some_and(has_certificate) {
            list.push("a client certificate".to_owned());
            mend.push(format!("check who {} stands for", place.key("tls.client_cert")));
        }
        let taken: Vec<&str> = taken.into_iter().map(HeaderName::as_str).collect();
        let removed = if taken.is_empty() {
            String::new()
        } else {
            format!("; {} takes out {}", place.key("request.remove"), taken.join(", "))
        };
        Self { list, mend: mend.join("; or "), removed }
    }

    fn told(&self, how: &str) -> String {
        format!("{}{how}", self.list.join(", "))
    }
}

fn is_telling(name: &HeaderName) -> bool {
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name)
        || TELLING.iter().any(|telling| name.as_str().contains(telling))
}

/// The ways to authenticate that the backend names, as far as they are registered.
fn wanted(headers: &HeaderMap) -> String {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    let schemes = values.filter_map(|value| {
        let first = value.split([' ', ',']).next()?;
        SCHEMES.iter().find(|scheme| scheme.eq_ignore_ascii_case(first))
    });
    let schemes: Vec<&str> = schemes.copied().collect();
    if schemes.is_empty() { String::new() } else { format!(" (the backend asks for {})", schemes.join(", ")) }
}
