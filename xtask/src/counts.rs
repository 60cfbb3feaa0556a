//! How many tests passed, failed and were skipped, and against what.

use std::fmt::{self, Display, Formatter};

use anyhow::{Context, Result};
use serde_json::Value;

/// Counts of a whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// Promises that were run, passed or failed, against each target.
    pub(crate) embedded: u64,
    pub(crate) kafka: u64,
    pub(crate) registry: u64,
}

impl Counts {
    /// Adds what one line says, if it is the result of a test binary:
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`.
    pub(crate) fn add_line(&mut self, line: &str) {
        let Some((_, numbers)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in numbers.split("; ") {
            let Some((number, what)) = part.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// Adds the report of the end-to-end run: `{"kafka": {"passed": 1, "failed": 0, "skipped": 0}, …}`.
    pub(crate) fn add_report(&mut self, report: &str) -> Result<()> {
        let report: Value =
            serde_json::from_str(report).context("the report of the end-to-end run is no JSON")?;
        let run = |target: &str| {
            let count = |what: &str| report[target][what].as_u64().unwrap_or(0);
            count("passed") + count("failed")
        };
        self.embedded += run("embedded");
        self.kafka += run("kafka");
        self.registry += run("registry");
        Ok(())
    }
}

/// The last two lines of a run: one that many readers know, and one that says what the tests ran against.
impl Display for Counts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Counts { passed, failed, skipped, embedded, kafka, registry } = self;
        writeln!(f, "{passed} passed, {failed} failed, {skipped} skipped")?;
        write!(f, "suites embedded={embedded} kafka={kafka} registry={registry} ")?;
        write!(f, "passed={passed} failed={failed} skipped={skipped}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_summed_and_other_lines_are_not() {
        let mut counts = Counts::default();
        for line in [
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s",
            "test kafka::fails ... FAILED",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            "100 passed; 100 failed",
        ] {
            counts.add_line(line);
        }
        assert_eq!(counts, Counts { passed: 13, failed: 2, skipped: 1, ..Counts::default() });
    }

    #[test]
    fn a_report_counts_what_ran_and_not_what_was_skipped() {
        let mut counts = Counts::default();
        let report = r#"{"kafka": {"passed": 2, "failed": 1, "skipped": 0},
                         "registry": {"passed": 0, "failed": 0, "skipped": 4}}"#;
        counts.add_report(report).unwrap();
        assert_eq!(counts, Counts { kafka: 3, ..Counts::default() });
    }

    #[test]
    fn the_last_line_names_the_suites() {
        let counts = Counts { passed: 20, failed: 0, skipped: 1, embedded: 4, kafka: 5, registry: 6 };
        let expected = "20 passed, 0 failed, 1 skipped\nsuites embedded=4 kafka=5 registry=6 passed=20 failed=0 skipped=1";
        assert_eq!(counts.to_string(), expected);
    }
}
