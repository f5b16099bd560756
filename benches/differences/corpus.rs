//! Answers as real services give them, from generators: what is true of a request, what changes from call to call, and what
//! a V2 may do differently.

use serde_json::{Map, Value, json};

use crate::edit::Edit;
use crate::random::Random;

/// One kind of answer.
pub(crate) struct Shape {
    /// What every answer to one request says.
    pub(crate) truth: fn(&mut Random) -> Value,
    /// What each call adds of its own: times, identifiers, orders, jitter, now and then.
    pub(crate) noise: fn(&mut Random, &mut Value),
    /// What a V2 may do differently, and where; each at a place without noise of its own.
    pub(crate) edits: &'static [(&'static str, Edit)],
}

pub(crate) const SHAPES: &[Shape] = &[
    // Product list.
    Shape {
        truth: products,
        noise: products_noise,
        edits: &[
            ("/items/*/price", Edit::Cents),
            ("/items/*/name", Edit::Rename("title")),
            ("/items/*/stock", Edit::Text),
            ("/items", Edit::Reverse),
            ("/currency", Edit::Drop),
            ("/items/*/sku", Edit::Change),
            ("/total", Edit::Add("pages")),
        ],
    },
    // Nested customer.
    Shape {
        truth: customer,
        noise: customer_noise,
        edits: &[
            ("/customer/name", Edit::Rename("fullName")),
            ("/customer/address/zip", Edit::Drop),
            ("/customer/phone", Edit::Null),
            ("/customer/vip", Edit::YesNo),
            ("/customer/address/city", Edit::Capitals),
            ("/customer/loyalty/points", Edit::Into("account")),
            ("/customer/born", Edit::Millis),
        ],
    },
    // Places.
    Shape {
        truth: places,
        noise: places_noise,
        edits: &[
            ("/features/*/properties/name", Edit::Change),
            ("/features/*/properties/kind", Edit::Relabel),
            ("/features/*/properties/height", Edit::Text),
            ("/features/*/properties", Edit::Rename("attributes")),
            ("/type", Edit::Change),
        ],
    },
    // Event log.
    Shape {
        truth: events,
        noise: events_noise,
        edits: &[
            ("/*/level", Edit::Relabel),
            ("/*/message", Edit::Rename("msg")),
            ("/*/user", Edit::Drop),
            ("/*/at", Edit::Millis),
            ("/*/code", Edit::Text),
        ],
    },
    // Pages.
    Shape {
        truth: pages,
        noise: pages_noise,
        edits: &[
            ("/data/*/attributes/title", Edit::Rename("name")),
            ("/data/*/type", Edit::Change),
            ("/meta/total", Edit::Text),
            ("/data/*/attributes/views", Edit::Change),
            ("/links/self", Edit::Drop),
            ("/data", Edit::Reverse),
        ],
    },
    // Map by id.
    Shape {
        truth: stock,
        noise: stock_noise,
        edits: &[
            ("/stock/*/count", Edit::Text),
            ("/stock/*/place", Edit::Relabel),
            ("/stock/*/name", Edit::Rename("label")),
            ("/bySlug/*/ok", Edit::Drop),
            ("/warehouse", Edit::Change),
        ],
    },
    // Orders.
    Shape {
        truth: orders,
        noise: orders_noise,
        edits: &[
            ("/orders/*/status", Edit::Relabel),
            ("/orders/*/paid", Edit::YesNo),
            ("/orders/*/sum", Edit::Cents),
            ("/orders/*/created", Edit::Millis),
            ("/orders/*/lines/*/quantity", Edit::Text),
            ("/orders/*/lines/*/product", Edit::Rename("article")),
            ("/orders/*/note", Edit::Drop),
        ],
    },
    // Recommendations.
    Shape {
        truth: recommendations,
        noise: recommendations_noise,
        edits: &[
            ("/items/*/title", Edit::Change),
            ("/items/*/reason", Edit::Relabel),
            ("/user", Edit::Into("for")),
            ("/items/*/id", Edit::Rename("itemId")),
            ("/model", Edit::Drop),
        ],
    },
    // Settings.
    Shape {
        truth: settings,
        noise: settings_noise,
        edits: &[
            ("/flags/dark", Edit::YesNo),
            ("/limits/daily", Edit::Text),
            ("/flags/beta", Edit::Negate),
            ("/profile/locale", Edit::Null),
            ("/limits/burst", Edit::Rename("peak")),
            ("/profile/plan", Edit::Capitals),
        ],
    },
    // Search.
    Shape {
        truth: search,
        noise: search_noise,
        edits: &[
            ("/hits/*/source/price", Edit::Cents),
            ("/hits/*/source/brand", Edit::Rename("maker")),
            ("/facets/color", Edit::Drop),
            ("/query", Edit::Capitals),
            ("/hits/*/source/available", Edit::YesNo),
            ("/total", Edit::Add("relation")),
        ],
    },
];

fn list(random: &mut Random, least: u64, most: u64, make: impl Fn(&mut Random) -> Value) -> Vec<Value> {
    (0..least + random.below(most - least + 1)).map(|_| make(random)).collect()
}

fn set(value: &mut Value, name: &str, to: Value) {
    value.as_object_mut().expect("an object").insert(name.to_owned(), to);
}

fn shuffle(random: &mut Random, value: &mut Value) {
    random.shuffle(value.as_array_mut().expect("an array"));
}

fn each(value: &mut Value, mut then: impl FnMut(&mut Value)) {
    value.as_array_mut().expect("an array").iter_mut().for_each(&mut then);
}

fn products(random: &mut Random) -> Value {
    let item = |random: &mut Random| {
        json!({
            "id": random.below(1 << 30), "sku": random.word(), "name": random.name(), "price": random.price(),
            "stock": random.below(500), "tags": [random.word(), random.word(), random.word()],
        })
    };
    let items = list(random, 1, 8, item);
    json!({"total": items.len(), "items": items, "currency": "EUR"})
}

/// Each call has an identifier; items say when they were looked up; tags are a set.
fn products_noise(random: &mut Random, answer: &mut Value) {
    set(answer, "requestId", random.uuid().into());
    let now = random.instant();
    each(&mut answer["items"], |item| {
        set(item, "updatedAt", now.clone().into());
        shuffle(random, &mut item["tags"]);
    });
}

fn customer(random: &mut Random) -> Value {
    let mut customer = json!({
        "id": random.uuid(), "name": random.name(), "email": format!("{}@mail.example", random.word()),
        "address": {"street": random.name(), "city": random.word(), "zip": random.below(99_999).to_string(),
            "country": random.pick(&["de", "fr", "it", "es"])},
        "loyalty": {"tier": random.pick(&["gold", "silver", "none"]), "points": random.below(90_000)},
        "vip": random.chance(0.2), "born": random.instant(), "consents": {"mail": random.chance(0.5), "push": random.chance(0.5)},
    });
    if random.chance(0.4) {
        set(&mut customer, "phone", format!("+49 {}", random.below(99_999_999)).into());
    }
    json!({"customer": customer})
}

/// A visit in between; a banner that one call in fifty gets.
fn customer_noise(random: &mut Random, answer: &mut Value) {
    let visits = u64::from(random.chance(0.3));
    set(&mut answer["customer"], "visits", (17 + visits).into());
    if random.chance(0.02) {
        set(answer, "banner", "maintenance on Sunday".into());
    }
}

fn places(random: &mut Random) -> Value {
    let feature = |random: &mut Random| {
        let coordinates = [random.below(36_000) as f64 / 100.0 - 180.0, random.below(18_000) as f64 / 100.0 - 90.0];
        json!({
            "type": "Feature", "geometry": {"type": "Point", "coordinates": coordinates},
            "properties": {"name": random.name(), "kind": random.pick(&["peak", "lake", "town"]), "height": random.below(4000)},
        })
    };
    json!({"type": "FeatureCollection", "features": list(random, 1, 10, feature)})
}

/// Coordinates come from a projection that is not quite exact.
fn places_noise(random: &mut Random, answer: &mut Value) {
    each(&mut answer["features"], |feature| {
        each(&mut feature["geometry"]["coordinates"], |at| {
            if random.chance(0.1) {
                *at = (at.as_f64().expect("a number") + 1e-9).into();
            }
        });
    });
}

fn events(random: &mut Random) -> Value {
    let event = |random: &mut Random| {
        json!({
            "id": random.uuid(), "at": random.instant(), "level": random.pick(&["info", "warning", "error"]),
            "code": random.below(600), "message": random.name(), "user": random.below(1 << 20),
        })
    };
    list(random, 2, 12, event).into()
}

/// Events of one instant come in any order; the node that answered.
fn events_noise(random: &mut Random, answer: &mut Value) {
    if random.chance(0.1) {
        shuffle(random, answer);
    }
    let node = random.pick(&["n1", "n2"]);
    each(answer, |event| set(event, "node", node.into()));
}

fn pages(random: &mut Random) -> Value {
    let entry = |random: &mut Random| {
        let id = random.below(1 << 24);
        json!({
            "type": "articles", "id": id.to_string(),
            "attributes": {"title": random.name(), "views": random.below(100_000), "created": random.instant()},
        })
    };
    let page = random.below(50);
    json!({
        "data": list(random, 2, 10, entry), "meta": {"total": random.below(100_000), "page": page},
        "links": {"self": format!("/articles?page={page}")},
    })
}

/// A cursor per call; a counter that lags now and then; advice that few calls get.
fn pages_noise(random: &mut Random, answer: &mut Value) {
    let cursor = random.uuid();
    set(&mut answer["links"], "next", cursor.into());
    let lag = u64::from(random.chance(0.03));
    set(&mut answer["meta"], "indexed", (900 + lag).into());
    if random.chance(0.01) {
        set(&mut answer["meta"], "warning", "slow shard".into());
    }
}

fn stock(random: &mut Random) -> Value {
    let mut by_id = Map::new();
    let mut by_slug = Map::new();
    for _ in 0..2 + random.below(6) {
        let (count, place) = (random.below(90), random.pick(&["north", "south", "harbour"]));
        by_id.insert(random.below(1 << 24).to_string(), json!({"count": count, "place": place, "name": random.name()}));
        by_slug.insert(random.word(), json!({"ok": random.chance(0.5), "rank": random.below(100)}));
    }
    json!({"stock": by_id, "bySlug": by_slug, "warehouse": random.word()})
}

/// Ranks are recomputed all the time; a reservation in between.
fn stock_noise(random: &mut Random, answer: &mut Value) {
    for entry in answer["bySlug"].as_object_mut().expect("an object").values_mut() {
        set(entry, "rank", random.below(100).into());
    }
    for entry in answer["stock"].as_object_mut().expect("an object").values_mut() {
        set(entry, "reserved", u64::from(random.chance(0.05)).into());
    }
}

fn orders(random: &mut Random) -> Value {
    let line = |random: &mut Random| json!({"product": random.name(), "quantity": 1 + random.below(9)});
    let order = |random: &mut Random| {
        let mut order = json!({
            "id": random.below(1 << 30), "status": random.pick(&["new", "paid", "shipped", "back"]), "paid": random.chance(0.6),
            "sum": random.price(), "created": random.instant(), "lines": list(random, 1, 4, line),
        });
        if random.chance(0.3) {
            set(&mut order, "note", random.name().into());
        }
        order
    };
    json!({"orders": list(random, 1, 5, order)})
}

/// The estimate depends on the second; a promotion is shown to one call in five.
fn orders_noise(random: &mut Random, answer: &mut Value) {
    each(&mut answer["orders"], |order| {
        let minutes = 30 + u64::from(random.chance(0.4));
        set(order, "readyInMinutes", minutes.into());
    });
    if random.chance(0.2) {
        set(answer, "promotion", json!({"code": "SPRING", "percent": 5 + random.below(3)}));
    }
}

fn recommendations(random: &mut Random) -> Value {
    let item = |random: &mut Random| json!({"id": random.below(1 << 30), "title": random.name(), "reason": random.pick(&["bought", "viewed", "popular"])});
    json!({"user": random.uuid(), "model": format!("m{}", random.below(3)), "items": list(random, 3, 10, item)})
}

/// Ties are broken at random, scores jitter, an experiment adds a field for one call in a hundred.
fn recommendations_noise(random: &mut Random, answer: &mut Value) {
    if random.chance(0.6) {
        shuffle(random, &mut answer["items"]);
    }
    each(&mut answer["items"], |item| {
        let score = 0.5 + random.below(1000) as f64 / 1e6;
        set(item, "score", score.into());
    });
    if random.chance(0.01) {
        set(answer, "experiment", "b".into());
    }
}

fn settings(random: &mut Random) -> Value {
    json!({
        "flags": {"dark": random.chance(0.5), "beta": random.chance(0.1), "legacy": false},
        "limits": {"daily": random.below(100) * 100, "burst": random.below(1000), "unit": "requests"},
        "profile": {"locale": random.pick(&["de-DE", "en-GB", "fr-FR"]), "plan": random.pick(&["free", "team", "enterprise"]),
            "nickname": null},
        "schema": 3,
    })
}

/// The use so far grows between two calls; a token is drawn for each.
fn settings_noise(random: &mut Random, answer: &mut Value) {
    let used = random.below(3);
    set(&mut answer["limits"], "used", used.into());
    let token = random.uuid();
    set(&mut answer["profile"], "token", token.into());
    if random.chance(0.005) {
        set(&mut answer["profile"], "stale", true.into());
    }
}

fn search(random: &mut Random) -> Value {
    let hit = |random: &mut Random| {
        json!({
            "id": random.uuid(),
            "source": {"brand": random.word(), "price": random.price(), "available": random.chance(0.8)},
        })
    };
    let facets = json!({"color": {"red": random.below(90), "blue": random.below(90)}, "size": {"s": random.below(90)}});
    json!({"query": random.name(), "total": random.below(10_000), "hits": list(random, 1, 10, hit), "facets": facets})
}

/// How long it took; one shard in a hundred fails; scores depend on the replica.
fn search_noise(random: &mut Random, answer: &mut Value) {
    set(answer, "took", random.below(40).into());
    let failed = u64::from(random.chance(0.01));
    set(answer, "shards", json!({"ok": 5 - failed, "failed": failed}));
    let replica = random.below(2) as f64;
    each(&mut answer["hits"], |hit| set(hit, "score", (12.5 + replica / 8.0).into()));
}
