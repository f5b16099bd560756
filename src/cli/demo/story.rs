//! The story, act by act. What is told and what is checked comes from the proxy and from its consumers, never from here.

mod accounts;
mod climb;
mod collapse;
mod shadow;

use std::time::Duration;

use super::folder::Wish;
use super::scene::{Pace, Scene, Stop};

/// V2 as it is delivered, and as it is after its collapse.
pub(super) const SPOILT: f64 = 0.6;
/// V2 as it is after each repair.
const REPAIRED: f64 = 0.99;

/// What an act found out, a line each.
type Found = Result<Vec<String>, Stop>;

/// One part of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// V2 is called and scored, and serves nobody.
    Shadow,
    /// V2 is repaired, and proven without a single customer.
    Repair,
    /// The gate climbs to 100 %.
    Cutover,
    /// V2 fails, and the gate takes it back.
    Collapse,
    /// V2 is repaired, latched until `resume`, and climbs again.
    Return,
    /// Nothing was lost, and both sides counted the same.
    Accounts,
}

impl Act {
    /// In order.
    pub(super) const ALL: [Self; 6] =
        [Self::Shadow, Self::Repair, Self::Cutover, Self::Collapse, Self::Return, Self::Accounts];

    /// Its heading.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Shadow => "1. In the shadow",
            Self::Repair => "2. V2 is repaired",
            Self::Cutover => "3. Cutover",
            Self::Collapse => "4. V2 collapses",
            Self::Return => "5. V2 recovers",
            Self::Accounts => "6. The accounts",
        }
    }

    /// How long everything in it may take; several times what it takes on a busy machine.
    const fn patience(self, pace: Pace) -> Duration {
        let seconds = match self {
            Self::Shadow | Self::Collapse | Self::Accounts => 15,
            Self::Repair => 25,
            Self::Cutover => 35,
            Self::Return => 45,
        };
        // Each of the five steps has its least time then.
        let bakes = if matches!(pace, Pace::People) { 60 } else { 0 };
        Duration::from_secs(seconds + bakes)
    }

    /// Plays it.
    pub(super) async fn play(self, scene: &mut Scene<'_>) -> Found {
        scene.open(self.title(), self.patience(scene.pace))?;
        match self {
            Self::Shadow => shadow::observe(scene).await,
            Self::Repair => shadow::repair(scene).await,
            Self::Cutover => climb::cutover(scene).await,
            Self::Collapse => collapse::collapse(scene).await,
            Self::Return => climb::come_back(scene).await,
            Self::Accounts => accounts::close(scene).await,
        }
    }
}

/// What the rollout file says in the beginning.
pub(super) const fn first_wish() -> Wish {
    Wish { stage: "shadow", reason: "see how V2 does, before any customer does", bake: "0s" }
}
