//! Which percents were in force while consumers were answered, and so which backend had to answer whom.

use std::sync::Arc;

use super::scene::{Stop, require};
use super::traffic::{Lap, Seen};
use crate::percent::Percent;

/// All laps since the demo began, in order.
pub(super) struct Stretches(Vec<Stretch>);

/// One lap. A request goes by what is in force when it begins, and the news of a change comes a little later; so a lap also
/// stretches to the percent that ends it.
struct Stretch {
    lap: Arc<Lap>,
    /// When it began.
    percent: Percent,
    least: Percent,
    most: Percent,
}

impl Stretches {
    /// The first lap, when nobody is on V2.
    pub(super) fn new(lap: Arc<Lap>) -> Self {
        Self(vec![Stretch::new(lap, Percent::ZERO)])
    }

    /// A lap with the same percent in force as before.
    pub(super) fn go_on(&mut self, lap: Arc<Lap>) {
        let percent = self.0.last().map_or(Percent::ZERO, |last| last.percent);
        self.0.push(Stretch::new(lap, percent));
    }

    /// News came that another percent is in force; the lap is of requests from now on.
    pub(super) fn move_to(&mut self, percent: Percent, lap: Arc<Lap>) {
        if let Some(last) = self.0.last_mut() {
            (last.least, last.most) = (last.least.min(percent), last.most.max(percent));
        }
        self.0.push(Stretch::new(lap, percent));
    }

    /// Every answer so far was whole, byte for byte one of the backend that was named, and of the backend that the consumer's
    /// bucket belongs to. Returns how many answers that were.
    pub(super) fn require_right_answers(&self) -> Result<u64, Stop> {
        self.0.iter().try_for_each(Stretch::require_right_answers)?;
        Ok(self.seen().answers)
    }

    /// What consumers saw in all laps, but for their buckets, which mean something within a lap only.
    pub(super) fn seen(&self) -> Seen {
        let mut all = Seen::default();
        for seen in self.0.iter().map(|stretch| stretch.lap.seen()) {
            all.begun += seen.begun;
            all.answers += seen.answers;
            all.by_v1 += seen.by_v1;
            all.rescued += seen.rescued;
            all.fallbacks += seen.fallbacks;
            all.wrong += seen.wrong;
        }
        all
    }
}

impl Stretch {
    fn new(lap: Arc<Lap>, percent: Percent) -> Self {
        Self { lap, percent, least: percent, most: percent }
    }

    fn require_right_answers(&self) -> Result<(), Stop> {
        self.require_whole()?;
        self.require_by_bucket()
    }

    fn require_whole(&self) -> Result<(), Stop> {
        let Seen { wrong, begun, .. } = self.lap.seen();
        let expected =
            "every answer is complete, and byte for byte that of the backend which `crossfade-served-by` names";
        require(wrong == 0, expected, format!("{wrong} of {begun} were not"))
    }

    /// A rescue is by V1 though the bucket is V2's, so it says nothing here.
    fn require_by_bucket(&self) -> Result<(), Stop> {
        let (seen, least, most) = (self.lap.seen(), self.least, self.most);
        let on_v2 = seen.highest_on_v2.filter(|bucket| !most.covers(*bucket));
        let expected =
            format!("V2 serves nobody in or above bucket {} while {most} % are in force", most.thousandths());
        require(on_v2.is_none(), expected, format!("V2 served bucket {}", on_v2.unwrap_or_default()))?;
        let on_v1 = seen.lowest_on_v1.filter(|bucket| least.covers(*bucket));
        let expected = format!("V1 serves nobody below bucket {} while {least} % are in force", least.thousandths());
        require(
            on_v1.is_none(),
            expected,
            format!("V1 served bucket {}, and not as a rescue", on_v1.unwrap_or_default()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(percent: f64) -> Percent {
        Percent::from_f64(percent).expect("valid")
    }

    fn stretch(least: f64, most: f64, seen: Seen) -> Stretch {
        let lap = Arc::new(Lap::of(seen));
        Stretch { least: percent(least), most: percent(most), ..Stretch::new(lap, percent(least)) }
    }

    #[test]
    fn v2_serves_the_buckets_below_the_percent_and_v1_the_others() {
        let holds = |on_v2, on_v1| {
            let seen = Seen { highest_on_v2: on_v2, lowest_on_v1: on_v1, ..Seen::default() };
            stretch(5.0, 25.0, seen).require_right_answers().is_ok()
        };
        assert!(holds(None, None));
        assert!(holds(Some(24_999), Some(5_000)), "the step up came within this lap");
        assert!(!holds(Some(25_000), None));
        assert!(!holds(None, Some(4_999)));
    }

    #[test]
    fn in_the_shadow_a_single_answer_of_v2_is_too_many() {
        let seen = Seen { highest_on_v2: Some(0), ..Seen::default() };
        assert!(stretch(0.0, 0.0, seen).require_right_answers().is_err());
    }

    #[test]
    fn a_wrong_answer_counts_in_whatever_lap() {
        let mut stretches = Stretches::new(Arc::new(Lap::of(Seen { begun: 1, wrong: 1, ..Seen::default() })));
        stretches.move_to(percent(1.0), Arc::default());
        stretches.go_on(Arc::default());
        assert!(stretches.require_right_answers().is_err());
        assert_eq!(
            stretches.0.iter().map(|it| (it.least, it.most)).collect::<Vec<_>>(),
            [(percent(0.0), percent(1.0)), (percent(1.0), percent(1.0)), (percent(1.0), percent(1.0)),]
        );
    }
}
