//! Topic settings: which exist, what they are by default, what values they take.

use std::collections::BTreeMap;

use crate::log::retention::Limits;
use crate::log::segment::SegmentLimits;

/// Type of a setting, by the number clients know it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Type {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) kind: Type,
    /// The values allowed; empty for any of the type.
    allowed: &'static [&'static str],
    /// The smallest number allowed.
    least: i64,
}

const fn setting(name: &'static str, kind: Type, default: &'static str) -> Setting {
    Setting { name, default, kind, allowed: &[], least: i64::MIN }
}

const fn number(name: &'static str, kind: Type, default: &'static str, least: i64) -> Setting {
    Setting { least, ..setting(name, kind, default) }
}

const fn choice(
    name: &'static str,
    kind: Type,
    default: &'static str,
    allowed: &'static [&'static str],
) -> Setting {
    Setting { allowed, ..setting(name, kind, default) }
}

/// Every topic setting, with Apache Kafka's defaults and bounds.
pub(crate) const TOPIC: &[Setting] = &[
    choice("cleanup.policy", Type::List, "delete", &["delete", "compact"]),
    choice(
        "compression.type",
        Type::String,
        "producer",
        &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"],
    ),
    number("delete.retention.ms", Type::Long, "86400000", 0),
    number("file.delete.delay.ms", Type::Long, "60000", 0),
    number("flush.messages", Type::Long, "9223372036854775807", 1),
    number("flush.ms", Type::Long, "9223372036854775807", 0),
    setting("follower.replication.throttled.replicas", Type::List, ""),
    number("index.interval.bytes", Type::Int, "4096", 0),
    setting("leader.replication.throttled.replicas", Type::List, ""),
    number("max.compaction.lag.ms", Type::Long, "9223372036854775807", 1),
    number("max.message.bytes", Type::Int, "1048588", 0),
    number("message.timestamp.after.max.ms", Type::Long, "3600000", 0),
    number("message.timestamp.before.max.ms", Type::Long, "9223372036854775807", 0),
    choice("message.timestamp.type", Type::String, "CreateTime", &["CreateTime", "LogAppendTime"]),
    setting("min.cleanable.dirty.ratio", Type::Double, "0.5"),
    number("min.compaction.lag.ms", Type::Long, "0", 0),
    number("min.insync.replicas", Type::Int, "1", 1),
    setting("preallocate", Type::Boolean, "false"),
    setting("retention.bytes", Type::Long, "-1"),
    number("retention.ms", Type::Long, "604800000", -1),
    number("segment.bytes", Type::Int, "1073741824", 1 << 20),
    number("segment.index.bytes", Type::Int, "10485760", 4),
    number("segment.jitter.ms", Type::Long, "0", 0),
    number("segment.ms", Type::Long, "604800000", 1),
    setting("unclean.leader.election.enable", Type::Boolean, "false"),
];

impl Setting {
    fn accepts(&self, value: &str) -> bool {
        let typed = match self.kind {
            Type::Boolean => matches!(value, "true" | "false"),
            Type::Int => value.parse::<i32>().is_ok_and(|value| i64::from(value) >= self.least),
            Type::Long => value.parse::<i64>().is_ok_and(|value| value >= self.least),
            Type::Double => value.parse::<f64>().is_ok_and(|value| (0.0..=1.0).contains(&value)),
            Type::String | Type::List => true,
        };
        let allowed = |v: &str| self.allowed.is_empty() || self.allowed.contains(&v);
        typed
            && if self.kind == Type::List {
                value.split(',').all(|v| allowed(v.trim()))
            } else {
                allowed(value)
            }
    }

    /// Whether values are joined by commas, so that parts can be added and removed.
    pub(crate) fn is_list(&self) -> bool {
        self.kind == Type::List
    }
}

/// The setting of that name.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    TOPIC.iter().find(|s| s.name == name)
}

/// Says what is wrong with a setting, in a sentence for the client.
pub(crate) fn check(name: &str, value: &str) -> Result<(), String> {
    let setting = find(name).ok_or_else(|| format!("Unknown topic config name: {name}"))?;
    if setting.accepts(value) {
        return Ok(());
    }
    Err(format!("Invalid value {value} for configuration {name}"))
}

/// What a topic's settings mean for its records.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rules {
    pub(crate) max_message_bytes: usize,
    pub(crate) append_time: bool,
    pub(crate) after_max_ms: i64,
    pub(crate) before_max_ms: i64,
    segment: SegmentLimits,
    pub(crate) compacted: bool,
    /// What is kept, if old records are deleted at all.
    pub(crate) retention: Option<Limits>,
    /// Share of bytes that are not compacted from which on compaction is worth while.
    pub(crate) min_dirty_ratio: f64,
    pub(crate) min_lag_ms: i64,
    pub(crate) max_lag_ms: i64,
    pub(crate) delete_retention_ms: i64,
}

impl Rules {
    pub(crate) fn of(configs: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| {
            configs
                .get(name)
                .map(String::as_str)
                .or_else(|| find(name).map(|s| s.default))
                .unwrap_or_default()
        };
        let number = |name: &str| text(name).parse::<i64>().unwrap_or(i64::MAX);
        let policies = || text("cleanup.policy").split(',').map(str::trim);
        let limits = Limits { ms: number("retention.ms"), bytes: number("retention.bytes") };
        Rules {
            max_message_bytes: usize::try_from(number("max.message.bytes")).unwrap_or(0),
            append_time: text("message.timestamp.type") == "LogAppendTime",
            after_max_ms: number("message.timestamp.after.max.ms"),
            before_max_ms: number("message.timestamp.before.max.ms"),
            segment: SegmentLimits {
                bytes: u64::try_from(number("segment.bytes")).unwrap_or(u64::MAX),
                ms: number("segment.ms"),
            },
            compacted: policies().any(|p| p == "compact"),
            retention: policies().any(|p| p == "delete").then_some(limits),
            min_dirty_ratio: text("min.cleanable.dirty.ratio").parse().unwrap_or(0.5),
            min_lag_ms: number("min.compaction.lag.ms"),
            max_lag_ms: number("max.compaction.lag.ms"),
            delete_retention_ms: number("delete.retention.ms"),
        }
    }
}

impl Rules {
    /// When a segment ends, within what the broker allows.
    pub(crate) fn segment_limits(&self, most_bytes: u64) -> SegmentLimits {
        SegmentLimits { bytes: self.segment.bytes.min(most_bytes), ..self.segment }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_valid_value() {
        for setting in TOPIC.iter().filter(|s| !s.default.is_empty()) {
            assert_eq!(check(setting.name, setting.default), Ok(()), "{}", setting.name);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (name, value) in [("nonsense", "1"), ("retention.ms", "soon"), ("cleanup.policy", "compact,burn")]
        {
            assert!(check(name, value).is_err(), "{name}");
        }
        assert_eq!(check("cleanup.policy", "compact,delete"), Ok(()));
    }

    #[test]
    fn rules_follow_the_settings() {
        let configs = BTreeMap::from([("message.timestamp.type".to_string(), "LogAppendTime".to_string())]);
        assert!(Rules::of(&configs).append_time && !Rules::of(&BTreeMap::new()).append_time);
        assert_eq!(Rules::of(&BTreeMap::new()).max_message_bytes, 1_048_588);
    }
}
