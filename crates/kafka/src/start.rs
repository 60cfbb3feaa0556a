//! What every service checks before it starts: first [`admit`], before anybody else is asked for anything, then
//! [`topics`].

use std::collections::BTreeMap;
use std::time::Duration;

use quadrille_types::Definition;
use quadrille_types::topics::{Kind, Names};

use crate::{Error, Settings, connect, definition, topics as there};

/// How long the cluster may take to answer, and to show what was just made.
const WAIT: Duration = Duration::from_secs(10);

/// How long a definition may take to be seen that was just applied.
const APPLIED: Duration = Duration::from_secs(3);

/// Whether the cluster can be used, and `mine` is the definition that is active there. Blocks.
pub fn admit(settings: &Settings, names: &Names, mine: &Definition) -> Result<(), Error> {
    connect::check(settings, WAIT)?;
    definition::check(settings, names, mine, APPLIED)
}

/// Whether the topics in `needed` are there with so many partitions, and none of the mesh's own loses what the promise
/// relies on. What is no reason to refuse is logged. Blocks.
pub fn topics(settings: &Settings, names: &Names, needed: &BTreeMap<String, u32>) -> Result<(), Error> {
    there::check(settings, needed.iter().map(|(name, count)| (name.as_str(), *count)), WAIT)?;
    // Topics of events are as the file says, or their owner: that is for `apply` to tell.
    let own = needed.keys().filter(|topic| names.kind(topic) != Kind::Events);
    let own: BTreeMap<_, _> = own.map(|topic| (topic.clone(), BTreeMap::new())).collect();
    for told in there::judge(settings, names, &own)? {
        tracing::warn!(target: "quadrille::kafka", "{told}");
    }
    Ok(())
}
