//! A verdict in one English sentence with its numbers.

use std::fmt;

use super::causes::TopCause;
use super::evidence::Evidence;
use super::interval::Interval;
use super::judge::Judge;
use super::reason::{Kind, Reason, Scope};
use super::verdict::Verdict;

impl Judge {
    /// Why the verdict is what it is, for people. Computes intervals, so it costs some 100 microseconds.
    pub fn sentence(&self) -> String {
        self.explain(self.verdict())
    }

    /// The same for a verdict as [`super::Ladder::shown`] presents it.
    pub fn explain(&self, verdict: &Verdict) -> String {
        let sentence = format!("{}{}", self.reason_in_words(verdict), blame(verdict));
        match verdict.scope {
            Scope::Route(at) if self.route_name(1).is_some() => {
                format!("route `{}`: {sentence}", self.route_name(at).unwrap_or_default())
            }
            Scope::Other => format!("the routes with little traffic: {sentence}"),
            Scope::Route(_) | Scope::All => sentence,
        }
    }

    fn reason_in_words(&self, verdict: &Verdict) -> String {
        let it = &verdict.evidence;
        let params = &self.settings().params;
        let (v2, v1) = (Rate(it.hit_rate()), Rate(it.v1_hit_rate()));
        let slo = Share(params.slo);
        match verdict.reason {
            Reason::WorseThanV1 => {
                let lost = Share(it.v2_worse as f64 / it.pairs().max(1) as f64);
                format!("V2 loses {lost} of the requests that V1 answers (margin {})", Share(params.margin))
            }
            Reason::SharedOutage => format!("V1 fell as well ({v1}; V2 {v2}): nobody is to blame yet"),
            Reason::V1NoBetter => format!("V2 is at {v2}, V1 at {v1}: rolling back would hurt"),
            Reason::BelowSlo => {
                let floor = Share(self.settings().floor);
                format!("V2 fell below {floor} (SLO {slo}); {v2} of {} requests were rich", Count(it.samples as f64))
            }
            Reason::Blip => format!("V2 is failing; if it lasts {} s, V2 is rolled back", params.blip_s),
            Reason::MirrorHurtsV1 => format!("V1 fell to {v1} since mirroring began, below its level before"),
            Reason::NoData if it.samples == 0 => "no outcome of V2 so far".into(),
            Reason::NoData => format!("no outcome of V2 for more than {} s", params.stale_after_s),
            Reason::Coverage => coverage(it, params.coverage),
            Reason::MinSamples => format!("{} of the {} requests a promotion needs", it.samples, params.min_samples),
            Reason::NoPairs => "no request was answered by both backends: nothing to compare V2 with".into(),
            Reason::Bake => self.bake_in_words(it),
            Reason::FreezeWindow => "the evidence suffices; no promotion inside a freeze window".into(),
            Reason::Paused => "paused by a person".into(),
            Reason::Approval => "the evidence suffices; the next step waits for approval".into(),
            Reason::RecentDrop => format!("the hit rate may be falling ({v2} over this step)"),
            Reason::V1BelowSlo => {
                let Interval { lo, hi } = self.v1_interval();
                let range = format!("{} to {}", Share(lo), Share(hi));
                format!("V1 itself is at {v1} ({range}): use `judge = \"v1\"` or lower the SLO ({slo})")
            }
            Reason::Confident => {
                let Interval { lo, hi } = self.interval();
                format!("V2 is at {v2} ({} to {}), SLO {slo}: proven", Share(lo), Share(hi))
            }
            Reason::Undecided => undecided(it, slo),
        }
    }

    fn bake_in_words(&self, it: &Evidence) -> String {
        if it.bake_left_s > 0.0 {
            format!("the least time on this step is over in {} s", Count(it.bake_left_s.ceil()))
        } else {
            let needed = self.settings().min_blocks;
            format!("{} of the {needed} blocks are measured that tell how much misses cluster", it.blocks)
        }
    }
}

/// What to look at first, where V2 is in question.
fn blame(verdict: &Verdict) -> String {
    let is_in_question = matches!(verdict.kind, Kind::Rollback | Kind::Freeze)
        || matches!(verdict.reason, Reason::RecentDrop | Reason::Undecided);
    let top = verdict.evidence.top_cause.filter(|_| is_in_question);
    top.map_or_else(String::new, |TopCause { cause, share }| format!("; {} of V2's fallbacks: `{cause}`", Share(share)))
}

fn coverage(it: &Evidence, needed: f64) -> String {
    let eligible = it.samples + it.shed;
    if it.samples as f64 >= needed * eligible as f64 {
        return "replicas are missing: their requests are not in the evidence".into();
    }
    let share = Share(it.samples as f64 / eligible as f64);
    format!("only {share} of the eligible requests were scored ({} needed)", Share(needed))
}

fn undecided(it: &Evidence, slo: Share) -> String {
    let rate = Rate(it.hit_rate());
    match (it.requests_needed, it.seconds_needed) {
        (Some(requests), Some(seconds)) => {
            let (requests, seconds) = (Count(requests), Count(seconds.ceil()));
            format!("about {requests} more requests ({seconds} s) if it stays at {rate}")
        }
        _ => format!("at {rate}, no number of requests would prove it (SLO {slo})"),
    }
}

/// `96.4 %`: enough digits that 99.99 % is not 100 %.
#[derive(Clone, Copy)]
struct Share(f64);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        let digits = match percent.min(100.0 - percent) {
            rest if rest <= 0.0 => 0,
            rest if rest < 0.01 => 4,
            rest if rest < 0.1 => 3,
            rest if rest < 1.0 => 2,
            _ => 1,
        };
        let text = format!("{percent:.digits$}");
        let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        write!(f, "{short} %")
    }
}

/// A hit rate that may not exist.
struct Rate(Option<f64>);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(rate) => Share(rate).fmt(f),
            None => f.write_str("an unknown rate"),
        }
    }
}

/// `2 300`: two significant digits above a hundred, groups of three.
struct Count(f64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_f64.powf((self.0.max(1.0).log10().floor() - 1.0).max(0.0));
        let rounded = format!("{:.0}", (self.0 / unit).ceil() * unit);
        for (at, digit) in rounded.chars().enumerate() {
            if at > 0 && (rounded.len() - at).is_multiple_of(3) {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_keep_the_digits_that_matter() {
        let texts = [0.964, 0.95, 1.0, 0.9999, 0.99995, 0.5, 0.031].map(|rate| Share(rate).to_string());
        assert_eq!(texts, ["96.4 %", "95 %", "100 %", "99.99 %", "99.995 %", "50 %", "3.1 %"]);
    }

    #[test]
    fn counts_are_rounded_up_and_grouped() {
        let texts = [46.0, 2261.3, 1e6, 7.0, 0.0].map(|count| Count(count).to_string());
        assert_eq!(texts, ["46", "2 300", "1 000 000", "7", "0"]);
    }
}
