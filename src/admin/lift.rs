//! `lift`: why V2 falls back, and what mending each reason would give.

use axum::Json;
use axum::extract::{Path, State};

use super::past::unknown;
use super::problem::Problem;
use super::routes::Shared;
use crate::console::RouteLift;
use crate::score::Lift;

/// Each route with scored answers of V2 in the last hour, that with most fallbacks first.
pub(super) async fn lift(State(admin): Shared, Path(name): Path<String>) -> Result<Json<Vec<RouteLift>>, Problem> {
    if admin.console.status().dependency(&name).is_none() {
        return Err(unknown(&name));
    }
    let (mut totals, now) = (admin.totals.lock(), admin.second());
    let windows = totals.dependencies.get_mut(&name).map(|it| &mut it.failures).into_iter().flatten();
    let summed = windows.map(|(route, window)| (route.clone(), window.sum(now)));
    let summed: Vec<_> = summed.collect();
    drop(totals);
    let lifts = summed.into_iter().map(|(route, (counted, catalogue))| {
        let lift = Lift::of(&counted, &catalogue);
        RouteLift { route, lift }
    });
    let mut lifts: Vec<_> = lifts.filter(|route| route.lift.answers > 0).collect();
    lifts.sort_by_key(|route| std::cmp::Reverse(route.lift.fallbacks));
    Ok(Json(lifts))
}
