//! The last act: no request was lost, and what the proxy counted is what its consumers saw.

use super::Found;
use crate::cli::client::Client;
use crate::cli::demo::counts::Counts;
use crate::cli::demo::narrator::Tone;
use crate::cli::demo::scene::{DEPENDENCY, Pace, Scene, Stop, require, unmet};
use crate::cli::demo::traffic::Seen;
use crate::console::{DependencyStatus, Status};
use crate::percent::Percent;

/// Silence, and then the accounts must close.
pub(super) async fn close(scene: &mut Scene<'_>) -> Found {
    scene.world.traffic.hush();
    let closed = scene.until("accounts that close", closed).await;
    let (seen, counts) = (scene.seen(), scene.counts());
    // Whatever the deadline found open is said in numbers.
    if let Err(Stop::Unmet { .. }) = closed {
        return Err(open(&seen, &counts));
    }
    closed?;
    scene.require_right_answers()?;
    // People may have sent requests of their own.
    if scene.pace == Pace::Once {
        require_same(&seen, &counts)?;
    }
    require_shown_by_http(scene).await?;
    let (received, answers, rescued) = (counts.received, seen.answers, seen.rescued);
    let text =
        format!("{received} requests received, {answers} answered, {rescued} rescued; imbalance of the accounts: 0");
    scene.tell(Tone::Good, &text)?;
    Ok(vec![text, "what the proxy counted is what its consumers saw".to_owned()])
}

fn closed(scene: &Scene<'_>, _: &DependencyStatus) -> Option<()> {
    let (seen, counts) = (scene.seen(), scene.counts());
    let holds = seen.pending() == 0 && counts.received >= seen.begun && counts.imbalance == 0;
    holds.then_some(())
}

fn open(seen: &Seen, counts: &Counts) -> Stop {
    let (begun, answers, wrong) = (seen.begun, seen.answers, seen.wrong);
    let expected = format!("at rest, {begun} requests are received and answered, and the imbalance is 0");
    let (received, imbalance) = (counts.received, counts.imbalance);
    unmet(expected, format!("{received} received, {answers} answered, {wrong} wrongly, imbalance {imbalance}"))
}

fn require_same(seen: &Seen, counts: &Counts) -> Result<(), Stop> {
    let theirs = [seen.begun, seen.answers, seen.rescued];
    let ours = [counts.received, counts.served.iter().sum(), counts.rescued];
    let expected = format!("the proxy counts what consumers saw: {theirs:?} requests, answers, rescued");
    require(ours == theirs, expected, format!("{ours:?}"))?;
    // An answer that a busy machine delays beyond `max_latency` is rich for the consumer and slow for the proxy.
    let (served, rich) = (counts.served[0], seen.answers - seen.fallbacks);
    let expected = format!("consumers got {rich} rich answers by the proxy's account, to one percent");
    require(served.abs_diff(rich) * 100 <= rich, expected, served)
}

/// The admin port answers, and shows what is in force.
async fn require_shown_by_http(scene: &Scene<'_>) -> Result<(), Stop> {
    let admin = format!("http://{}", scene.world.app.admin);
    let asked = async { Client::new(&admin, None)?.get::<Status>("/api/v1/dependencies").await };
    let status = asked.await.map_err(|error| unmet("the admin port answers", error))?;
    let percent = status.dependency(DEPENDENCY).map(|shown| shown.percent.effective);
    let holds = percent == Some(Percent::HUNDRED);
    require(holds, "the admin port shows 100 % in force", format!("{percent:?}"))
}
