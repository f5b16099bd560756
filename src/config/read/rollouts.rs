//! `rollout.toml`: one entry for each dependency, and who wanted it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use http::{HeaderName, Method};
use jiff::Timestamp;
use toml::de::DeValue;
use xxhash_rust::xxh3::xxh3_64;

use super::super::deployment::{Dependency, Deployment};
use super::super::rollout::{Change, KeySource, Rollout, Rollouts};
use super::gate;
use super::headers;
use super::ladder;
use super::suggest;
use super::table::Table;
use super::value::Value;
use crate::gate::{FreezeWindow, Mode, RollbackTo};
use crate::percent::Percent;
use crate::score::HeaderMatch;
use crate::stage::Stage;

const KEY_HELP: &str = "write \"header:NAME\", \"cookie:NAME\" or \"client-ip\"";

pub(super) fn read(mut root: Table<'_>, deployment: Option<&Deployment>) -> Rollouts {
    let change = root.get("change", Value::table).map(change);
    if let Some(deployment) = deployment {
        unnamed_have_v1(&root, deployment);
    }
    let mut entries = BTreeMap::new();
    for entry in root.drain() {
        let dependency = deployment.map(|deployment| known(&entry, deployment));
        if let Some(rollout) = rollout(&entry, dependency.flatten()) {
            entries.insert(entry.key().to_owned(), Arc::new(rollout));
        }
    }
    Rollouts { change, entries }
}

fn change(mut table: Table<'_>) -> Change {
    let text = |value: &Value<'_>| value.str().map(str::to_owned);
    let change = Change {
        id: table.get("id", text),
        by: table.get("by", text),
        reason: table.get("reason", text),
        committed_at: table.get("committed_at", Value::timestamp),
    };
    table.finish();
    change
}

/// A dependency without an entry is in stage `off`, where V1 serves.
fn unnamed_have_v1(root: &Table<'_>, deployment: &Deployment) {
    for dependency in &deployment.dependencies {
        if dependency.v1.is_none() && !root.has(&dependency.name) {
            let name = &dependency.name;
            root.missing(
                &format!("`{name}` has no `v1` in crossfade.toml, and no entry here: stage `off` needs V1"),
                &format!("add [{name}] with stage = \"complete\""),
            );
        }
    }
}

fn known<'d>(entry: &Value<'_>, deployment: &'d Deployment) -> Option<&'d Dependency> {
    if !entry.is_table() {
        // A key of an entry that lost its table, rather than a name.
        return None;
    }
    let found = deployment.dependency(entry.key());
    if found.is_none() {
        let names: Vec<_> = deployment.dependencies.iter().map(|it| it.name.as_str()).collect();
        let help = match names.as_slice() {
            [] => "crossfade.toml has no dependency".to_owned(),
            names => suggest::help(entry.key(), names),
        };
        entry.key_error("is not a dependency of crossfade.toml", Some(help));
    }
    found.map(|(_, dependency)| dependency.as_ref())
}

fn rollout(entry: &Value<'_>, dependency: Option<&Dependency>) -> Option<Rollout> {
    let mut table = entry.table_like("a table such as [NAME] with a stage")?;
    let stage = table.required("stage", "stage = \"shadow\"");
    let stage = stage.and_then(|value| stage_of(&value, dependency));
    let ladder = ladder::read(&mut table, stage.unwrap_or_default());
    let params = gate::read(&mut table, stage.unwrap_or_default(), dependency.map(|it| it.v2.timeout));
    let asks_for_rescue = table.has("rescue");
    let rollout = Rollout {
        hash: hash(entry),
        stage: stage.unwrap_or_default(),
        params,
        sample: table.get("sample", Value::percent).unwrap_or(Percent::HUNDRED),
        shadow_methods: shadow_methods(&mut table),
        key: table.get("key", keys).unwrap_or_else(default_keys),
        salt: table.get("salt", salt).unwrap_or_else(|| entry.key().to_owned()),
        force_v2: table.get("force_v2", force_v2).unwrap_or_default(),
        rescue: table.bool("rescue", true),
        rollback_to: table.get("rollback_to", rollback_to).unwrap_or_default(),
        mode: table.get("mode", mode).unwrap_or_default(),
        freeze: table.get("freeze", freeze).unwrap_or_default(),
        ceiling: ladder.ceiling,
        steps: ladder.steps,
        bake: ladder.bake,
        approve: ladder.approve,
    };
    warn(&table, &rollout, asks_for_rescue);
    table.finish();
    stage.map(|_| rollout)
}

fn stage_of(value: &Value<'_>, dependency: Option<&Dependency>) -> Option<Stage> {
    let stage = value.word(&Stage::ALL.map(|stage| (stage.as_str(), stage)))?;
    if stage != Stage::Complete && dependency.is_some_and(|it| it.v1.is_none()) {
        value.error(
            format_args!("stage `{stage}` needs V1, which crossfade.toml does not have"),
            "add `v1` there, or write stage = \"complete\"",
        );
    }
    Some(stage)
}

/// What may be sent twice without asking: safe methods (RFC 9110, section 9.2.1).
fn safe_methods() -> Vec<Method> {
    vec![Method::GET, Method::HEAD, Method::OPTIONS]
}

/// `None`: all methods.
fn shadow_methods(table: &mut Table<'_>) -> Option<Vec<Method>> {
    const WANTED: &str = "a list of methods, such as [\"GET\", \"HEAD\"], or [\"*\"] for all";
    let Some(value) = table.take("shadow_methods") else {
        return Some(safe_methods());
    };
    let items = value.items(WANTED).unwrap_or_default();
    match items.as_slice() {
        [only] if matches!(only.raw(), DeValue::String(text) if text == "*") => None,
        items => Some(items.iter().filter_map(Value::method).collect()),
    }
}

/// Whoever is known keeps their version; whoever is not has an address.
fn default_keys() -> Vec<KeySource> {
    vec![
        KeySource::Header(HeaderName::from_static("x-user-id")),
        KeySource::Cookie("session".to_owned()),
        KeySource::ClientIp,
    ]
}

fn keys(value: &Value<'_>) -> Option<Vec<KeySource>> {
    value.some(
        "a list such as [\"header:x-user-id\", \"client-ip\"]",
        "no key: there is nothing to assign requests by",
        |item| key(item),
    )
}

fn key(item: &Value<'_>) -> Option<KeySource> {
    item.parsed("a string such as \"client-ip\"", KEY_HELP, |text| {
        let wrong = || format!("`{}` is no place of a key", text.escape_debug());
        match text.split_once(':') {
            None if text == "client-ip" => Ok(KeySource::ClientIp),
            Some(("header", name)) => {
                HeaderName::from_bytes(name.as_bytes()).map(KeySource::Header).map_err(|_| wrong())
            }
            // A cookie's name is a token, as a header's is (RFC 6265, section 4.1.1), but its case matters.
            Some(("cookie", name)) if HeaderName::from_bytes(name.as_bytes()).is_ok() => {
                Ok(KeySource::Cookie(name.to_owned()))
            }
            _ => Err(wrong()),
        }
    })
}

fn salt(value: &Value<'_>) -> Option<String> {
    let text = value.str()?;
    if text.contains('\0') {
        value.error("a zero byte, which separates salt and key", "leave it out");
    }
    Some(text.to_owned())
}

fn force_v2(value: &Value<'_>) -> Option<Vec<HeaderMatch>> {
    let mut table = value.table_like("a table such as { header = { \"x-user-id\" = [\"qa-1\"] } }")?;
    let conditions = table.required("header", "{ header = { \"x-user-id\" = [\"qa-1\"] } }");
    let conditions = conditions.and_then(|value| headers::conditions(&value));
    table.finish();
    conditions
}

fn rollback_to(value: &Value<'_>) -> Option<RollbackTo> {
    value.word(&[("zero", RollbackTo::Zero), ("previous", RollbackTo::Previous)])
}

fn mode(value: &Value<'_>) -> Option<Mode> {
    value.word(&[("enforce", Mode::Enforce), ("observe", Mode::Observe)])
}

fn freeze(value: &Value<'_>) -> Option<Vec<FreezeWindow>> {
    value.list("a list such as [{ from = 2026-11-27T00:00:00Z, to = 2026-12-01T00:00:00Z }]", |item| {
        let mut table = item.table()?;
        let from = table.required("from", "from = 2026-11-27T00:00:00Z").and_then(|at| at.timestamp());
        let to = table.required("to", "to = 2026-12-01T00:00:00Z");
        let to_at = to.as_ref().and_then(Value::timestamp);
        table.finish();
        let window = FreezeWindow { from: from?.as_second(), to: to_at?.as_second() };
        let to = to?;
        if window.to <= window.from {
            to.error("ends before it begins", "write an instant after `from`");
        } else if window.to <= Timestamp::now().as_second() {
            item.warn("this window is over", "remove it");
        }
        Some(window)
    })
}

/// What is valid, but hardly meant.
fn warn(table: &Table<'_>, rollout: &Rollout, asks_for_rescue: bool) {
    if !rollout.stage.pairs() {
        return;
    }
    warn_of_keys(table, &rollout.key);
    if rollout.sample == Percent::ZERO || rollout.shadow_methods.as_ref().is_some_and(Vec::is_empty) {
        table.warn(
            "nothing is shadowed: there is no evidence before customers are exposed",
            "raise `sample`, and name at least \"GET\" in `shadow_methods`",
        );
    } else if asks_for_rescue && rollout.rescue && rollout.stage == Stage::Cutover && rollout.sample < Percent::HUNDRED
    {
        table.warn(
            "`rescue` works for shadowed requests only, and `sample` is below 100",
            "write sample = 100, or accept that the rest is not rescued",
        );
    }
    if rollout.steps == [Percent::HUNDRED] {
        table.warn("a single step, from nobody to everybody", "add steps = [1, 5, 25, 50, 100]");
    }
}

fn warn_of_keys(table: &Table<'_>, keys: &[KeySource]) {
    match keys.iter().position(|key| *key == KeySource::ClientIp) {
        None => table.warn(
            "`key` lacks \"client-ip\": requests without any of the keys move last, all at once",
            "append \"client-ip\"",
        ),
        Some(at) if at + 1 < keys.len() => table.warn(
            "what follows \"client-ip\" in `key` is never looked at: every request has an address",
            "move \"client-ip\" to the end",
        ),
        Some(_) => {}
    }
}

/// XXH3-64 of the entry as it is written, but for comments, white space and the order of keys.
fn hash(entry: &Value<'_>) -> u64 {
    let mut text = String::new();
    canonical(entry.raw(), &mut text);
    xxh3_64(text.as_bytes())
}

fn canonical(value: &DeValue<'_>, out: &mut String) {
    match value {
        DeValue::Table(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(key, _)| key.get_ref().as_ref());
            out.push('{');
            for (key, value) in entries {
                let _ = write!(out, "{:?}=", key.get_ref());
                canonical(value.get_ref(), out);
                out.push(',');
            }
            out.push('}');
        }
        DeValue::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item.get_ref(), out);
                out.push(',');
            }
            out.push(']');
        }
        DeValue::String(text) => {
            let _ = write!(out, "{text:?}");
        }
        DeValue::Integer(number) => out.push_str(&number.to_string()),
        DeValue::Float(number) => out.push_str(number.as_str()),
        DeValue::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        DeValue::Datetime(date) => out.push_str(&date.to_string()),
    }
}
