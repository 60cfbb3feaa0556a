//! Settings of the mesh's topics: how `quadrille apply` makes them, and what is wrong with those that are there.
//!
//! | topics | cleanup | kept |
//! | --- | --- | --- |
//! | facts, control | delete | 30 days: they are read at once, or when who reads them is back |
//! | journal, outcomes, unmatched, dead letters, definition | delete | for ever, until the operator says for how long |
//! | state | compact | the last of each key |
//! | ledger | compact, delete | the newest 256 MiB of a partition, which is more than is ever looked at |
//!
//! Copies of a partition and `min.insync.replicas` are the operator's. `message.timestamp.type` may be either: what the
//! mesh itself writes carries its times in its values, and nothing is written with a time other than that of writing it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::topics::Kind;

const DAY_MS: i64 = 86_400_000;

/// Without a limit, in `retention.ms` and `retention.bytes`.
const UNLIMITED: &str = "-1";

/// The mesh's own records carry others whole (a dead letter its record, a command the inputs of a join), so their topics
/// take more than event topics do.
const RECORD_BYTES: &str = "8388608";

/// Ledgers: some million activations of a partition, of which a lane looks at the last 100,000.
const LEDGER_BYTES: &str = "268435456";

/// The settings with which a topic of this kind is made. Of event topics the file says them.
pub fn settings(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Facts | Kind::Control => &[
            ("cleanup.policy", "delete"),
            ("max.message.bytes", RECORD_BYTES),
            ("retention.bytes", UNLIMITED),
            ("retention.ms", "2592000000"),
        ],
        Kind::Record | Kind::Dead | Kind::Definition => &[
            ("cleanup.policy", "delete"),
            ("max.message.bytes", RECORD_BYTES),
            ("retention.bytes", UNLIMITED),
            ("retention.ms", UNLIMITED),
        ],
        // Deleted keys of a changelog stay visible for seven days: a restore may take that long.
        Kind::State => &[
            ("cleanup.policy", "compact"),
            ("delete.retention.ms", "604800000"),
            ("max.message.bytes", RECORD_BYTES),
        ],
        Kind::Ledger => &[
            ("cleanup.policy", "compact,delete"),
            ("delete.retention.ms", "604800000"),
            ("max.message.bytes", RECORD_BYTES),
            ("retention.bytes", LEDGER_BYTES),
            ("retention.ms", UNLIMITED),
            ("segment.bytes", "67108864"),
        ],
        Kind::Events => &[],
    }
}

/// A setting of a topic that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its value.
    pub value: String,
    /// Somebody has set it on this topic; otherwise it is the cluster's default.
    pub chosen: bool,
}

/// Something that is wrong with a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// With it the promise does not hold: nothing may run. Otherwise it is for the operator to know.
    pub is_unsafe: bool,
    /// The topic.
    pub topic: String,
    /// The setting, as Kafka names it.
    pub setting: String,
    /// Its value.
    pub found: String,
    /// What it should be.
    pub wanted: String,
    /// What comes of it.
    pub why: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, setting, found, wanted, why, .. } = self;
        // The tool takes a list in brackets.
        let value = if wanted.contains(',') { format!("[{wanted}]") } else { wanted.clone() };
        write!(
            f,
            "topic {topic}: {setting} is {found}, wanted {wanted}: {why}; mend it with `kafka-configs.sh \
             --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name {topic} --add-config \
             {setting}={value}`"
        )
    }
}

/// What is wrong with `topic`, which holds `kind` and has the settings `found`. `file` has those that the topology file
/// gives to an event topic.
pub fn judge(
    kind: Kind,
    topic: &str,
    found: &BTreeMap<String, Found>,
    file: &BTreeMap<String, String>,
) -> Vec<Finding> {
    let mut judge = Judge { kind, topic, found, findings: Vec::new() };
    match kind {
        Kind::Facts | Kind::Control => judge.on_their_way(),
        Kind::Record | Kind::Dead => judge.kept(),
        Kind::Definition => judge.definition(),
        Kind::State => judge.state(),
        Kind::Ledger => judge.ledger(),
        Kind::Events => judge.events(file),
    }
    if kind != Kind::Events {
        judge.sizes();
    }
    judge.findings
}

/// What loses records.
const UNSAFE: bool = true;

/// What the operator should know.
const TOLD: bool = false;

struct Judge<'a> {
    kind: Kind,
    topic: &'a str,
    found: &'a BTreeMap<String, Found>,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn find(&mut self, is_unsafe: bool, setting: &str, why: &'static str) {
        let wanted = settings(self.kind).iter().find(|(name, _)| *name == setting);
        let wanted = wanted.map_or("delete", |(_, value)| value);
        self.find_wanting(is_unsafe, setting, wanted, why);
    }

    fn find_wanting(&mut self, is_unsafe: bool, setting: &str, wanted: &str, why: &'static str) {
        let Some(found) = self.found.get(setting) else { return };
        self.findings.push(Finding {
            is_unsafe,
            topic: self.topic.to_owned(),
            setting: setting.to_owned(),
            found: if found.value.is_empty() { "empty".to_owned() } else { found.value.clone() },
            wanted: wanted.to_owned(),
            why,
        });
    }

    fn policies(&self) -> BTreeSet<&str> {
        let policies = self.found.get("cleanup.policy").map(|found| found.value.split(','));
        policies.into_iter().flatten().map(str::trim).filter(|policy| !policy.is_empty()).collect()
    }

    /// The number, if there is a limit and anything is ever deleted.
    fn limit(&self, setting: &str) -> Option<i64> {
        let limit = self.found.get(setting)?.value.parse().ok().filter(|limit| *limit >= 0);
        limit.filter(|_| self.policies().contains("delete"))
    }

    fn is_chosen(&self, setting: &str) -> bool {
        self.found.get(setting).is_some_and(|found| found.chosen)
    }

    fn on_their_way(&mut self) {
        self.not_compacted("records of one key replace each other before they are read");
        let why = "a record must not be deleted before it is read, by a service that was away too";
        match self.limit("retention.ms") {
            Some(ms) if ms < DAY_MS => self.find(UNSAFE, "retention.ms", why),
            Some(ms) if ms < 7 * DAY_MS => self.find(TOLD, "retention.ms", why),
            _ => {}
        }
        if self.limit("retention.bytes").is_some() {
            self.find(TOLD, "retention.bytes", "a burst may delete records before they are read");
        }
    }

    /// A limit that somebody has chosen is none of our business; one that nobody has is a surprise.
    fn kept(&mut self) {
        self.not_compacted("of the records of one key only the last stays");
        for setting in ["retention.ms", "retention.bytes"] {
            if self.limit(setting).is_some() && !self.is_chosen(setting) {
                self.find(
                    TOLD,
                    setting,
                    "that is the cluster's default, and what lies here is deleted by it; choose a value for the topic",
                );
            }
        }
    }

    fn definition(&mut self) {
        self.not_compacted("services could not tell which definition is active");
        for setting in ["retention.ms", "retention.bytes"] {
            if self.limit(setting).is_some() {
                self.find(UNSAFE, setting, "without its records no service starts");
            }
        }
    }

    fn state(&mut self) {
        let policies = self.policies();
        let (deletes, compacts) = (policies.contains("delete"), policies.contains("compact"));
        if deletes {
            self.find(UNSAFE, "cleanup.policy", "the state of sagas that live for long is deleted");
        } else if !compacts {
            self.find(TOLD, "cleanup.policy", "it grows for ever, and so does the time of a restore");
        }
    }

    fn ledger(&mut self) {
        if !self.policies().contains("compact") {
            self.find(TOLD, "cleanup.policy", "it is a changelog");
        }
        let why = "copies that come later are not recognised, and have their effect again";
        if self.limit("retention.ms").is_some() {
            self.find(TOLD, "retention.ms", why);
        }
        if self.limit("retention.bytes").is_some_and(|bytes| bytes < 67_108_864) {
            self.find(TOLD, "retention.bytes", why);
        }
    }

    fn events(&mut self, file: &BTreeMap<String, String>) {
        let said = |setting: &str| file.contains_key(setting);
        if self.policies().contains("compact") && !said("cleanup.policy") {
            let why = "events of one key replace each other before they are read";
            self.find_wanting(TOLD, "cleanup.policy", "delete", why);
        }
        if self.limit("retention.ms").is_some_and(|ms| ms < DAY_MS) && !said("retention.ms") {
            let why = "an event must not be deleted before it is read, by a service that was away too";
            self.find_wanting(TOLD, "retention.ms", "604800000", why);
        }
        for (name, wanted) in file {
            let differs = self.found.get(name).is_some_and(|found| list(&found.value) != list(wanted));
            if differs {
                self.find_wanting(TOLD, name, wanted, "the topology file says so");
            }
        }
    }

    fn sizes(&mut self) {
        let wanted = RECORD_BYTES.parse().unwrap_or(i64::MAX);
        let found = self.found.get("max.message.bytes").and_then(|found| found.value.parse::<i64>().ok());
        if found.is_some_and(|bytes| bytes < wanted) {
            self.find(
                TOLD,
                "max.message.bytes",
                "a record that carries a large one does not fit, and stops its lane",
            );
        }
    }

    fn not_compacted(&mut self, why: &'static str) {
        if self.policies().contains("compact") {
            self.find(UNSAFE, "cleanup.policy", why);
        }
    }
}

fn list(value: &str) -> BTreeSet<&str> {
    value.split(',').map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a cluster has a topic on which nobody has set anything.
    const DEFAULTS: [(&str, &str); 4] = [
        ("cleanup.policy", "delete"),
        ("max.message.bytes", "1048588"),
        ("retention.bytes", "-1"),
        ("retention.ms", "604800000"),
    ];

    const KINDS: [Kind; 7] =
        [Kind::Facts, Kind::Control, Kind::State, Kind::Ledger, Kind::Dead, Kind::Record, Kind::Definition];

    /// Settings that somebody has chosen.
    type Chosen<'a> = &'a [(&'a str, &'a str)];

    fn found(chosen: Chosen<'_>) -> BTreeMap<String, Found> {
        let entry = |chosen| {
            move |(name, value): &(&str, &str)| {
                ((*name).to_owned(), Found { value: (*value).to_owned(), chosen })
            }
        };
        DEFAULTS.iter().map(entry(false)).chain(chosen.iter().map(entry(true))).collect()
    }

    /// Settings that are found to be wrong but for the size of records, those that are unsafe with an exclamation mark.
    fn wrong(kind: Kind, chosen: Chosen<'_>) -> Vec<String> {
        let findings = judge(kind, "t", &found(chosen), &BTreeMap::new());
        let others = findings.iter().filter(|finding| finding.setting != "max.message.bytes");
        others.map(|f| format!("{}{}", f.setting, if f.is_unsafe { "!" } else { "" })).collect()
    }

    #[test]
    fn nothing_is_wrong_with_a_topic_as_it_is_made() {
        for kind in KINDS {
            assert_eq!(judge(kind, "t", &found(settings(kind)), &BTreeMap::new()), [], "{kind:?}");
        }
    }

    #[test]
    fn what_a_topic_of_somebody_elses_loses_is_told_apart_from_what_surprises() {
        let policy = |value| [("cleanup.policy", value)];
        let ms = |value| [("retention.ms", value)];
        let bytes = |value| [("retention.bytes", value)];
        let table: &[(Kind, Chosen<'_>, &[&str])] = &[
            (Kind::Facts, &[], &[]),
            (Kind::Facts, &policy("compact"), &["cleanup.policy!"]),
            (Kind::Control, &policy("compact,delete"), &["cleanup.policy!"]),
            (Kind::Facts, &policy(""), &[]),
            (Kind::Facts, &ms("3600000"), &["retention.ms!"]),
            (Kind::Control, &ms("86400000"), &["retention.ms"]),
            (Kind::Control, &ms("-1"), &[]),
            (Kind::Facts, &bytes("1000000"), &["retention.bytes"]),
            (Kind::Dead, &[], &["retention.ms"]),
            (Kind::Dead, &ms("604800000"), &[]),
            (Kind::Record, &policy("compact"), &["cleanup.policy!"]),
            (Kind::Definition, &[], &["retention.ms!"]),
            (Kind::Definition, &policy("compact"), &["cleanup.policy!"]),
            (Kind::State, &[], &["cleanup.policy!"]),
            (Kind::State, &policy("compact,delete"), &["cleanup.policy!"]),
            (Kind::State, &policy(""), &["cleanup.policy"]),
            (Kind::Ledger, &[], &["cleanup.policy", "retention.ms"]),
            (Kind::Ledger, &policy("compact"), &[]),
            (Kind::Events, &[], &[]),
            (Kind::Events, &policy("compact"), &["cleanup.policy"]),
            (Kind::Events, &ms("1000"), &["retention.ms"]),
        ];
        for (kind, chosen, expected) in table {
            assert_eq!(wrong(*kind, chosen), *expected, "{kind:?} {chosen:?}");
        }
    }

    #[test]
    fn an_event_topic_is_as_the_file_says() {
        let file = |entries: &[(&str, &str)]| -> BTreeMap<String, String> {
            entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let compacted = found(&[("cleanup.policy", "delete, compact"), ("retention.ms", "1000")]);
        let said = file(&[("cleanup.policy", "compact,delete"), ("retention.ms", "1000")]);
        assert_eq!(judge(Kind::Events, "t", &compacted, &said), []);
        let other = judge(Kind::Events, "t", &found(&[]), &file(&[("retention.ms", "-1")]));
        assert_eq!(other.len(), 1);
        assert_eq!((other[0].is_unsafe, other[0].wanted.as_str()), (false, "-1"));
    }

    #[test]
    fn a_finding_says_what_it_is_and_how_it_is_mended() {
        let findings = judge(Kind::Ledger, "shop.ledger.ship", &found(&[]), &BTreeMap::new());
        assert_eq!(
            findings[0].to_string(),
            "topic shop.ledger.ship: cleanup.policy is delete, wanted compact,delete: it is a changelog; mend it with \
             `kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name shop.ledger.ship \
             --add-config cleanup.policy=[compact,delete]`"
        );
    }
}
