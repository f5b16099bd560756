//! Who answers this request, and whether the other backend hears of it.

use std::net::IpAddr;

use http::header::COOKIE;
use http::{HeaderMap, request};

use super::upgrade;
use crate::backend::Backend;
use crate::bucket::{KEYLESS, bucket};
use crate::config::{KeySource, Plan, Rollout};
use crate::percent::Percent;
use crate::skip::Skip;
use crate::stage::Stage;

/// The roles of the backends for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick {
    /// Whose answer the consumer gets.
    pub(super) primary: Backend,
    /// Whether the other backend is called to be scored.
    pub(super) shadow: Shadowing,
}

/// Whether a request has a shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shadowing {
    /// The stage has no pairs.
    None,
    /// The stage has pairs, but this request cannot be one.
    Skipped(Skip),
    /// The other backend is called.
    Wanted,
}

/// Decides by the plan, the request and its sender; `lot` is a random number in `0..100_000` for `sample`.
pub(super) fn pick(plan: &Plan, head: &request::Parts, peer: IpAddr, lot: u32) -> Pick {
    let Some(rollout) = plan.rollout.as_deref() else {
        return Pick { primary: Backend::V1, shadow: Shadowing::None };
    };
    let is_on_v2 = match rollout.stage {
        Stage::Off | Stage::Shadow => false,
        Stage::Cutover => moves(rollout, plan.effective, &head.headers, peer),
        // Less than everybody only after a rollback by hand.
        Stage::Complete => plan.effective.covers(KEYLESS),
    };
    let primary = if is_on_v2 { Backend::V2 } else { Backend::V1 };
    let shadow = if rollout.stage.pairs() { shadowing(rollout, head, lot) } else { Shadowing::None };
    Pick { primary, shadow }
}

fn moves(rollout: &Rollout, effective: Percent, headers: &HeaderMap, peer: IpAddr) -> bool {
    let forced = rollout.force_v2.iter().any(|wanted| wanted.matches(headers));
    forced || effective.covers(bucket_of(rollout, headers, peer))
}

fn bucket_of(rollout: &Rollout, headers: &HeaderMap, peer: IpAddr) -> u32 {
    let key = rollout.key.iter().find_map(|source| key_of(source, headers, peer));
    key.map_or(KEYLESS, |key| key.bucket(&rollout.salt))
}

enum Key<'a> {
    Bytes(&'a [u8]),
    Address(IpAddr),
}

impl Key<'_> {
    fn bucket(&self, salt: &str) -> u32 {
        match self {
            Self::Bytes(bytes) => bucket(salt, bytes),
            Self::Address(address) => bucket(salt, address.to_canonical().to_string().as_bytes()),
        }
    }
}

fn key_of<'a>(source: &KeySource, headers: &'a HeaderMap, peer: IpAddr) -> Option<Key<'a>> {
    match source {
        KeySource::Header(name) => headers.get(name).map(|value| Key::Bytes(value.as_bytes())),
        KeySource::Cookie(name) => cookie(headers, name).map(Key::Bytes),
        KeySource::ClientIp => Some(Key::Address(peer)),
    }
}

/// The value of the first cookie of that name (RFC 6265, section 5.4).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let pairs = headers.get_all(COOKIE).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn shadowing(rollout: &Rollout, head: &request::Parts, lot: u32) -> Shadowing {
    if upgrade::is_asked_for(head) {
        Shadowing::Skipped(Skip::NotMirrorable)
    } else if rollout.shadow_methods.as_ref().is_some_and(|methods| !methods.contains(&head.method)) {
        Shadowing::Skipped(Skip::Method)
    } else if !rollout.sample.covers(lot) {
        Shadowing::Skipped(Skip::Sample)
    } else {
        Shadowing::Wanted
    }
}
