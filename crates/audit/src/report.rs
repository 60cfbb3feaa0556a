//! The verdict as text: offenders, then one line.

use std::fmt::Write;

use crate::judge::{Kind, Verdict};

/// Offenders of one kind that are named.
const NAMED: usize = 20;

/// What the services' metrics say about a run. Printed, never judged; `-` where unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions that ended.
    pub txns: Option<u64>,
    /// Of them, aborted.
    pub aborted: Option<u64>,
    /// Offset commits that were refused for a stale generation, member or epoch.
    pub fenced: Option<u64>,
    /// Partitions continued after an owner that did not leave cleanly.
    pub takeovers: Option<u64>,
}

/// The summary line, without a line break.
pub fn line(verdict: &Verdict, counters: Counters) -> String {
    let Verdict { accepted, effect_once, dlt, sagas, stuck, .. } = verdict;
    let mut line = format!("accepted={accepted} effect_once={effect_once} dlt={dlt}");
    let mut add = |name: &str, number: u64| {
        write!(line, " {name}={number}").expect("a String takes everything");
    };
    for kind in [Kind::Lost, Kind::DupEffect, Kind::Leaked, Kind::AfterUndo, Kind::Unsettled, Kind::Phantom] {
        add(kind.as_str(), verdict.count(kind));
    }
    add("| sagas", *sagas);
    for (name, count) in &verdict.outcomes {
        add(name, *count);
    }
    add("stuck", *stuck);
    add("dual_outcome", verdict.count(Kind::DualOutcome));
    let known = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let Counters { txns, aborted, fenced, takeovers } = counters;
    let (txns, aborted, fenced, takeovers) = (known(txns), known(aborted), known(fenced), known(takeovers));
    let word = if verdict.is_valid() { "VALID" } else { "INVALID" };
    format!("{line} | txns={txns} aborted={aborted} fenced={fenced} takeovers={takeovers} | {word}")
}

/// One line for each offender, up to 20 of a kind; empty when the verdict is valid.
pub fn offenders(verdict: &Verdict) -> String {
    let mut text = String::new();
    for (kind, found) in &verdict.offences {
        for offence in found.iter().take(NAMED) {
            text.push_str(&format!("{} {}: {}\n", kind.as_str(), offence.id, offence.why));
        }
        if found.len() > NAMED {
            text.push_str(&format!("{} {} more\n", kind.as_str(), found.len() - NAMED));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Offence;

    fn verdict() -> Verdict {
        Verdict {
            accepted: 3,
            effect_once: 2,
            dlt: 1,
            sagas: 2,
            outcomes: vec![("completed".into(), 1), ("compensated".into(), 1)],
            ..Verdict::default()
        }
    }

    #[test]
    fn the_line_has_the_documented_shape() {
        let counters = Counters { txns: Some(8), aborted: Some(0), fenced: Some(1), takeovers: None };
        assert_eq!(
            line(&verdict(), counters),
            "accepted=3 effect_once=2 dlt=1 lost=0 dup_effect=0 leaked=0 after_undo=0 unsettled=0 phantom=0 | \
             sagas=2 completed=1 compensated=1 stuck=0 dual_outcome=0 | \
             txns=8 aborted=0 fenced=1 takeovers=- | VALID"
        );
    }

    #[test]
    fn offenders_are_named_up_to_twenty_of_a_kind() {
        let mut verdict = verdict();
        let offence = |n: u64| Offence { id: format!("o{n}"), why: "no outcome".into() };
        verdict.offences.insert(Kind::Unsettled, (0..25).map(offence).collect());
        let text = offenders(&verdict);
        assert_eq!(text.lines().count(), 21);
        assert_eq!(text.lines().next(), Some("unsettled o0: no outcome"));
        assert_eq!(text.lines().last(), Some("unsettled 5 more"));
        assert!(line(&verdict, Counters::default()).ends_with(" | INVALID"));
    }
}
