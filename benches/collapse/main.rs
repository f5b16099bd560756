//! What a collapse of V2 costs consumers, end to end over sockets: V2 falls from 97 % to 60 % at 500 requests a second and
//! 5 % exposed, with and without `blip` and `rescue`; beside it what the rules of Flagger and Argo Rollouts would have let
//! through of the same traffic.
//!
//! Then, with V2 at 50 %: from a verdict or a verb to the last request that V2 gets as the primary. `-- switch` runs this alone.
//!
//! Prints Markdown tables, and fails when a consumer got an answer that does not follow from its request, or a bad one
//! although `rescue` had a good one. Takes about a minute, and never more than five.

mod consumers;
mod origin;
mod peers;
mod stream;
mod switch;
mod trial;

use std::process::ExitCode;

use peers::{HORIZON_S, RULES, Ruling, Tape};
use stream::Miss;
use switch::{By, Switch};
use trial::{Setting, Trial};

const SEEDS: [u64; 3] = [1, 2, 3];
/// Of the switches.
const SWITCHES: [u64; 5] = [1, 2, 3, 4, 5];
/// Every `blip` with every `rescue`.
const GATES: [(u32, bool); 4] = [(0, false), (0, true), (3, false), (3, true)];

fn main() -> ExitCode {
    if std::env::args().any(|it| it == "switch") {
        return if print_switches() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let trials: Vec<Trial> = SEEDS.into_iter().flat_map(side_by_side).collect();
    let is_complete = trials.len() == SEEDS.len() * Miss::ALL.len() * GATES.len();
    print_gate(&trials);
    print_peers(&trials);
    let climbs = trials.iter().map(|trial| trial.climb.as_secs_f64());
    println!("\nClimb to 5 %: {:.1} to {:.1} s.", climbs.clone().fold(f64::NAN, f64::min), climbs.fold(0.0, f64::max));
    let unexpected: usize = trials.iter().map(|trial| trial.unexpected).sum();
    let unrescued: usize = trials.iter().filter(|trial| trial.setting.rescue).map(Trial::avoidable).sum();
    println!("Unexpected answers: {unexpected}. Bad answers that rescue had a good one for: {unrescued}.");
    let are_switched = print_switches();
    if are_switched && is_complete && unexpected + unrescued == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One at a time: what is measured are milliseconds. Says whether all came to their end.
fn print_switches() -> bool {
    println!(
        "\n| V2 loses half of the traffic by | last request at V2 as the primary, ms after the event | after the verb was given |"
    );
    println!("| --- | --- | --- |");
    let mut are_complete = true;
    for by in [By::Verb, By::Verdict] {
        let ended = SWITCHES.map(|seed| switch::run(by, seed).inspect_err(|error| eprintln!("{by:?}: {error}")));
        are_complete &= ended.iter().all(Result::is_ok);
        let ended: Vec<_> = ended.into_iter().flatten().collect();
        let list = |of: fn(&Switch) -> Option<f64>| {
            ended.iter().filter_map(of).map(|ms| format!("{ms:.1}")).collect::<Vec<_>>().join(", ")
        };
        println!("| {by:?} | {} | {} |", list(|it| Some(it.after_event)), list(|it| it.after_order));
        println!(
            "<!-- requests of V2 in the last half second: {:?} -->",
            ended.iter().map(|it| it.before).collect::<Vec<_>>()
        );
    }
    are_complete
}

/// All trials of one seed at a time, each on a thread and with a proxy of its own.
fn side_by_side(seed: u64) -> Vec<Trial> {
    let settings = Miss::ALL
        .into_iter()
        .flat_map(|miss| GATES.into_iter().map(move |(blip_s, rescue)| Setting { seed, miss, blip_s, rescue }));
    let running: Vec<_> = settings.map(|setting| (setting, std::thread::spawn(move || trial::run(setting)))).collect();
    let ended = running.into_iter().filter_map(|(setting, trial)| match trial.join() {
        Ok(Ok(trial)) => Some(trial),
        Ok(Err(error)) => {
            eprintln!("{setting:?}: {error}");
            None
        }
        Err(_) => None,
    });
    ended.collect()
}

fn print_gate(trials: &[Trial]) {
    println!(
        "| bad answers look like | blip | rescue | to V2 after the collapse | bad | of these, V1 was rich | freeze, s | rollback, s | last request to V2 after the rollback, ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for miss in Miss::ALL {
        for (blip_s, rescue) in GATES {
            let is_meant = |trial: &&Trial| {
                let it = trial.setting;
                it.miss == miss && it.blip_s == blip_s && it.rescue == rescue
            };
            let meant: Vec<_> = trials.iter().filter(is_meant).collect();
            let freeze =
                |trial: &Trial| trial.freeze.map_or("none".into(), |time| format!("{:.2}", time.as_secs_f64()));
            let last = |trial: &Trial| trial.last_to_v2_ms().map_or("none".into(), |ms| format!("{ms:.0}"));
            println!(
                "| {} | {blip_s} s | {} | {} | {} | {} | {} | {} | {} |",
                miss.as_str(),
                if rescue { "on" } else { "off" },
                each(&meant, |trial| trial.exposed.len().to_string()),
                each(&meant, |trial| trial.bad().to_string()),
                each(&meant, |trial| trial.avoidable().to_string()),
                each(&meant, freeze),
                each(&meant, |trial| format!("{:.2}", trial.rollback.as_secs_f64())),
                each(&meant, last),
            );
        }
    }
}

/// What each seed gave.
fn each(trials: &[&Trial], show: impl Fn(&Trial) -> String) -> String {
    trials.iter().map(|trial| show(trial)).collect::<Vec<_>>().join(", ")
}

fn print_peers(trials: &[Trial]) {
    println!("\n| rule, on the same traffic | bad answers look like | rollback, s | bad answers let through |");
    println!("| --- | --- | --- | --- |");
    let is_plain = |trial: &&Trial| trial.setting.blip_s == 3 && !trial.setting.rescue;
    let tapes: Vec<_> = trials.iter().filter(is_plain).map(|trial| (trial.setting.miss, Tape::of(trial))).collect();
    for rule in RULES {
        for miss in Miss::ALL {
            let of_miss = tapes.iter().filter(|(other, _)| *other == miss);
            let rulings: Vec<Ruling> = of_miss.map(|(_, tape)| tape.judge(rule)).collect();
            let show = |ruling: &Ruling| match ruling.rollback_s {
                Some(seconds) => format!("{seconds:.0}"),
                None => "never".into(),
            };
            let until = if rulings.iter().all(|ruling| ruling.rollback_s.is_some()) { "" } else { " in an hour" };
            let bad: Vec<_> = rulings.iter().map(|ruling| ruling.bad.to_string()).collect();
            let rollbacks: Vec<_> = rulings.iter().map(show).collect();
            println!("| {} | {} | {} | {}{until} |", rule.name, miss.as_str(), rollbacks.join(", "), bad.join(", "));
        }
    }
    println!("\n\"never\": not within {:.0} minutes.", HORIZON_S / 60.0);
}
