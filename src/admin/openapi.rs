//! `GET /api/v1/openapi.json`: everything that can be asked of the admin port (`OpenAPI` 3.1).

use axum::Json;
use serde_json::{Map, Value, json};

/// One thing that can be asked: method, path, what it is for, its query, and what it answers.
struct Operation(&'static str, &'static str, &'static str, &'static [&'static str], &'static str);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

const OPERATIONS: &[Operation] = &[
    Operation("get", "/", "The live page.", &[], "text/html"),
    Operation("get", "/healthz", "The process lives.", &[], TEXT),
    Operation("get", "/livez", "The process lives.", &[], TEXT),
    Operation("get", "/readyz", "Connections are accepted; 503 while starting or draining.", &[], TEXT),
    Operation("get", "/metrics", "All metrics in the Prometheus text format.", &[], TEXT),
    Operation("get", "/api/v1/openapi.json", "This description.", &[], JSON),
    Operation("get", "/api/v1/dependencies", "The status of everything.", &[], JSON),
    Operation("get", "/api/v1/dependencies/{name}", "The status of one dependency.", &[], JSON),
    Operation(
        "get",
        "/api/v1/dependencies/{name}/why",
        "The last changes of the verdict, newest first.",
        &["limit"],
        JSON,
    ),
    Operation(
        "get",
        "/api/v1/dependencies/{name}/history",
        "Events, newest first: since an instant, of a kind, before an id.",
        &["since", "kind", "before", "limit"],
        JSON,
    ),
    Operation("get", "/api/v1/dependencies/{name}/report", "The migration so far, with its DORA figures.", &[], JSON),
    Operation(
        "get",
        "/api/v1/dependencies/{name}/diff",
        "Where V1's and V2's answers differ, by field, held against how far V1 differs from itself; with suggested mappings.",
        &["route"],
        JSON,
    ),
    Operation(
        "get",
        "/api/v1/dependencies/{name}/samples",
        "What V2's fallbacks look like, newest first: shapes, names and hashes; of one route, of one cause.",
        &["route", "cause"],
        JSON,
    ),
    Operation(
        "get",
        "/api/v1/dependencies/{name}/lift",
        "Why V2 fell back in the last hour, by route, and what mending each reason would give.",
        &[],
        JSON,
    ),
    Operation(
        "get",
        "/api/v1/events",
        "What happens, as server-sent events; Last-Event-ID resumes from the ledger.",
        &["last_event_id"],
        "text/event-stream",
    ),
    Operation(
        "post",
        "/api/v1/dependencies/{name}/approve",
        "Lets the step happen that waits for a person.",
        &[],
        JSON,
    ),
    Operation("post", "/api/v1/dependencies/{name}/pause", "Stops promotions.", &[], JSON),
    Operation("post", "/api/v1/dependencies/{name}/resume", "Ends a pause, or lifts a rollback.", &[], JSON),
    Operation("post", "/api/v1/dependencies/{name}/rollback", "Sends everyone back to V1.", &[], JSON),
    Operation("post", "/api/v1/dependencies/{name}/drill", "Begins a drill; the status says how it goes.", &[], JSON),
    Operation("post", "/api/v1/dependencies/{name}/finish", "Whether V1 can go; a yes is recorded.", &[], JSON),
    Operation(
        "post",
        "/api/v1/dependencies/{name}/probe",
        "Asks V2 alone, step by step, and says what to mend; takes up to a minute, and is recorded.",
        &[],
        JSON,
    ),
    Operation("post", "/api/v1/plan", "What would change; the body is a rollout file.", &[], JSON),
    Operation("post", "/api/v1/reload", "Reads both files again.", &[], JSON),
];

/// The description.
pub(super) async fn openapi() -> Json<Value> {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.1).or_insert_with(|| json!({}));
        path[operation.0] = describe(operation);
    }
    Json(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "crossfade",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Errors are problem documents (RFC 9457). Changes need the bearer token where one is configured.",
        },
        "paths": paths,
        "components": { "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } } },
    }))
}

fn describe(Operation(method, path, summary, query, kind): &Operation) -> Value {
    let in_path = path
        .contains("{name}")
        .then(|| json!({ "name": "name", "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = query.iter().map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }));
    let mut operation = json!({
        "summary": summary,
        "parameters": in_path.into_iter().chain(in_query).collect::<Vec<_>>(),
        "responses": {
            "200": { "description": "Done.", "content": { *kind: {} } },
            "default": { "description": "Not done, with the reason.", "content": { "application/problem+json": {} } },
        },
    });
    if *method == "post" && *path != "/api/v1/plan" {
        operation["security"] = json!([{ "token": [] }]);
    }
    operation
}
