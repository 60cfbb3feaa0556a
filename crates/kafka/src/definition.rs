//! The definition of a mesh that is active: read by whoever starts, changed by whoever applies.

use std::time::{Duration, Instant};

use quadrille_types::definition::{self, Change, Refusal};
use quadrille_types::topics::Names;
use quadrille_types::{Definition, format};

use crate::inspect::Inspector;
use crate::publish::{Outgoing, Publisher};
use crate::restore::Restorer;
use crate::{Error, Partition, Settings};

/// How long a change may take to be written.
const WRITE: Duration = Duration::from_secs(30);

/// What is active in the mesh; none: nothing was ever applied.
pub fn active(settings: &Settings, names: &Names) -> Result<Option<Definition>, Error> {
    let topic = names.definition();
    if Inspector::new(settings)?.partitions(&topic)?.is_none() {
        return Ok(None);
    }
    let mut changes = Vec::new();
    let restorer = Restorer::new(settings, &names.group("definition"))?;
    restorer.read(&Partition::new(&topic, 0), None, |record| {
        let change = format::decode::<Change>(record.value.as_deref().unwrap_or_default());
        changes.push(change.map_err(|error| Error::Topic(format!("{}: {error}", record.position))));
    })?;
    Ok(definition::active(changes.into_iter().collect::<Result<Vec<_>, _>>()?))
}

/// Refuses to go on while another definition than `mine` is active. One that is just being applied is waited for.
pub fn check(settings: &Settings, names: &Names, mine: &Definition, within: Duration) -> Result<(), Error> {
    let began = Instant::now();
    loop {
        match definition::admit(names.mesh(), active(settings, names)?.as_ref(), mine) {
            Err(Refusal::NeverApplied { .. }) if began.elapsed() < within => {
                std::thread::sleep(Duration::from_millis(250));
            }
            verdict => return Ok(verdict?),
        }
    }
}

/// Makes `mine` active in the place of `follows`, which the caller has found active. If somebody else was faster it is
/// refused, and what that one has applied stays.
pub fn activate(
    settings: &Settings,
    names: &Names,
    mine: &Definition,
    follows: Option<&Definition>,
) -> Result<(), Error> {
    let change = Change { definition: mine.clone(), follows: follows.cloned() };
    let publisher = Publisher::new(settings)?;
    publisher.send(&Outgoing {
        topic: names.definition(),
        partition: Some(0),
        key: Some(names.mesh().as_bytes().to_vec()),
        value: Some(format::encode(&change)),
        headers: vec![("content-type".to_owned(), Some(format::CONTENT_TYPE.as_bytes().to_vec()))],
    })?;
    publisher.flush(WRITE)?;
    match active(settings, names)? {
        Some(active) if active == *mine => Ok(()),
        other => Err(Error::Overtaken {
            mesh: names.mesh().to_owned(),
            active: other.map_or_else(|| "nothing".to_owned(), |active| active.to_string()),
        }),
    }
}
