//! All that is there after the last operation.

use anyhow::Result;

use crate::plan::{At, Place};
use crate::side::{ANCHOR, Side};

impl Side {
    /// Every partition as readers of both isolation levels see it, and every group; then the topics are deleted.
    pub(crate) fn remains(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for topic in 0..3 {
            let partitions = self.partitions(topic)?;
            lines.push(format!("topic {topic}: {partitions:?} partitions"));
            for partition in 0..partitions.unwrap_or(0) {
                let place = Place { topic, partition };
                lines.push(format!("{place:?} begins: {}", self.find_offset(place, At::Start, false)?));
                for committed in [false, true] {
                    let end = self.find_offset(place, At::End, committed)?;
                    lines.push(format!("{place:?} ends, committed {committed}: {end}"));
                    let start = self.earliest(place)?;
                    lines.push(format!(
                        "{place:?}, committed {committed}: {}",
                        self.fetch(place, start, committed)?
                    ));
                }
            }
        }
        for group in 0..2 {
            lines.push(format!("group {group}: {}", self.describe_group(group)?));
            lines.extend(self.all_offsets(group)?);
        }
        for topic in 0..=ANCHOR.topic {
            self.delete_topic(topic)?;
        }
        Ok(lines)
    }
}
