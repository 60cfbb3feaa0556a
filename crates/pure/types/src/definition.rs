//! Which definition of a mesh is active, and what follows from it: who may run, and what may become active next.
//!
//! `<mesh>.definition` is a log of changes. Each says which definition it follows, and counts only if that one was active
//! before it: of two changes that follow the same definition the first counts, the other changes nothing. So nobody
//! overwrites a change that he did not know of, whatever the order in which it was decided.

use std::collections::BTreeMap;
use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::envelope::Definition;

/// One record of the definition topic. Its key is the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Change {
    /// What becomes active.
    #[n(0)]
    pub definition: Definition,
    /// What was active before; none: nothing was.
    #[n(1)]
    pub follows: Option<Definition>,
}

/// The definition that is active after `changes`, all records of the topic in order.
pub fn active(changes: impl IntoIterator<Item = Change>) -> Option<Definition> {
    changes.into_iter().fold(None, |active, change| match active {
        // The first that is there counts, even if somebody has deleted what it follows.
        Some(now) if change.follows.as_ref() != Some(&now) => Some(now),
        _ => Some(change.definition),
    })
}

/// Why a process does not start. Not retryable without a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No definition is active.
    #[error("mesh {mesh} was never applied to this cluster: run `quadrille apply FILE`")]
    NeverApplied {
        /// The mesh.
        mesh: String,
    },
    /// Another definition is active.
    #[error("mesh {mesh} runs {}, this file is {}: {}", Named(active), Named(mine), remedy(active, mine))]
    Another {
        /// The mesh.
        mesh: String,
        /// What is active.
        active: Definition,
        /// What the file has.
        mine: Definition,
    },
}

/// Whether a process with definition `mine` may run while `active` is.
///
/// # Errors
/// [`Refusal`].
pub fn admit(mesh: &str, active: Option<&Definition>, mine: &Definition) -> Result<(), Refusal> {
    match active {
        None => Err(Refusal::NeverApplied { mesh: mesh.to_owned() }),
        Some(active) if active == mine => Ok(()),
        Some(active) => {
            Err(Refusal::Another { mesh: mesh.to_owned(), active: active.clone(), mine: mine.clone() })
        }
    }
}

fn remedy(active: &Definition, mine: &Definition) -> &'static str {
    if active.version == mine.version {
        "start it with the file that was applied, or raise `version` in this one and run `quadrille apply FILE`"
    } else if active.version < mine.version {
        "start it with the file that was applied, or run `quadrille apply FILE` to make this one active"
    } else {
        "start it with the file that was applied"
    }
}

/// What applying a definition would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is active.
    None,
    /// It is the first.
    First,
    /// It takes the place of a lower version.
    Next,
}

/// Why a definition does not become active. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Two files, one version.
    #[error("{} is active, and this file differs from it (hash {}): raise `version` in the file", Named(active), mine.hash)]
    SameVersion {
        /// What is active.
        active: Definition,
        /// What the file has.
        mine: Definition,
    },
    /// Back to an older one.
    #[error("{} is active, this file has version {}: give it a version above {}", Named(active), mine.version, active.version)]
    Lower {
        /// What is active.
        active: Definition,
        /// What the file has.
        mine: Definition,
    },
    /// The mesh is at work.
    #[error("running sagas cannot change their definition yet: {0}")]
    AtWork(AtWork),
}

/// What runs by a definition that is about to be replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtWork {
    /// Sagas of other definitions than the new one without an outcome.
    pub sagas: usize,
    /// Records of the mesh that a group of it has not read: at most so many.
    pub unread: u64,
    /// Members of the mesh's groups, by group. A process that was killed counts until its session has timed out.
    pub members: BTreeMap<String, usize>,
}

/// What applying `mine` would change, as far as the two definitions say.
///
/// # Errors
/// [`Unfit::SameVersion`], [`Unfit::Lower`].
pub fn step(active: Option<&Definition>, mine: &Definition) -> Result<Step, Unfit> {
    let Some(active) = active else { return Ok(Step::First) };
    let (known, mine) = (active.clone(), mine.clone());
    match mine.version.cmp(&active.version) {
        _ if mine == known => Ok(Step::None),
        std::cmp::Ordering::Less => Err(Unfit::Lower { active: known, mine }),
        std::cmp::Ordering::Equal => Err(Unfit::SameVersion { active: known, mine }),
        std::cmp::Ordering::Greater => Ok(Step::Next),
    }
}

/// Whether that step may be taken now. The first definition of a mesh is not held up by services and unread records:
/// those of a mesh that was there before definitions were written down are its own. `abandon` gives up the sagas and
/// records of the old definition; that services run, nothing allows.
///
/// # Errors
/// [`Unfit::AtWork`], with what is in the way.
pub fn may(step: Step, at_work: &AtWork, abandon: bool) -> Result<(), Unfit> {
    let mut blocking = match step {
        Step::None => return Ok(()),
        Step::First => AtWork { sagas: at_work.sagas, ..AtWork::default() },
        Step::Next => at_work.clone(),
    };
    if abandon {
        (blocking.sagas, blocking.unread) = (0, 0);
    }
    blocking.members.retain(|_, count| *count > 0);
    match blocking == AtWork::default() {
        true => Ok(()),
        false => Err(Unfit::AtWork(blocking)),
    }
}

/// A definition in a sentence.
struct Named<'a>(&'a Definition);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {} (hash {})", self.0.version, self.0.hash)
    }
}

impl fmt::Display for AtWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.sagas > 0 {
            parts.push(format!(
                "{} of another definition {} live (`quadrille sagas list`): let them end",
                counted(self.sagas as u64, "saga"),
                if self.sagas == 1 { "is" } else { "are" }
            ));
        }
        if self.unread > 0 {
            parts.push(format!(
                "up to {} not read yet: let the services read on",
                counted(self.unread, "record")
            ));
        }
        if !self.members.is_empty() {
            let total = self.members.values().sum::<usize>() as u64;
            let groups: Vec<_> =
                self.members.iter().map(|(group, count)| format!("{group} {count}")).collect();
            parts.push(format!(
                "services run, with {} of its groups ({}): stop them",
                counted(total, "member"),
                groups.join(", ")
            ));
        }
        f.write_str(&parts.join("; "))
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(version: u32, hash: &str) -> Definition {
        Definition { version, hash: hash.into() }
    }

    fn change(version: u32, hash: &str, follows: Option<(u32, &str)>) -> Change {
        let follows = follows.map(|(version, hash)| definition(version, hash));
        Change { definition: definition(version, hash), follows }
    }

    #[test]
    fn of_two_changes_that_follow_the_same_the_first_counts() {
        let table = [
            (vec![], None),
            (vec![change(1, "a", None)], Some((1, "a"))),
            (vec![change(1, "a", None), change(1, "b", None)], Some((1, "a"))),
            (vec![change(1, "a", None), change(2, "b", Some((1, "a")))], Some((2, "b"))),
            (
                vec![
                    change(1, "a", None),
                    change(2, "b", Some((1, "a"))),
                    change(3, "c", Some((1, "a"))),
                    change(4, "d", Some((2, "b"))),
                ],
                Some((4, "d")),
            ),
            (vec![change(3, "c", Some((2, "b")))], Some((3, "c"))),
        ];
        for (changes, expected) in table {
            let expected = expected.map(|(version, hash)| definition(version, hash));
            assert_eq!(active(changes.clone()), expected, "{changes:?}");
        }
    }

    #[test]
    fn who_does_not_run_the_active_definition_is_refused_with_what_to_do() {
        let mine = definition(7, "c0ffee");
        let said =
            |active: Option<Definition>| admit("shop", active.as_ref(), &mine).unwrap_err().to_string();
        assert_eq!(admit("shop", Some(&mine), &mine), Ok(()));
        assert_eq!(said(None), "mesh shop was never applied to this cluster: run `quadrille apply FILE`");
        let remedies = [
            (7, "or raise `version` in this one and run `quadrille apply FILE`"),
            (6, "or run `quadrille apply FILE` to make this one active"),
            (8, "start it with the file that was applied"),
        ];
        for (version, remedy) in remedies {
            let said = said(Some(definition(version, "facade")));
            let start = format!(
                "mesh shop runs version {version} (hash facade), this file is version 7 (hash c0ffee): start it with"
            );
            assert!(said.starts_with(&start) && said.ends_with(remedy), "{said}");
        }
    }

    #[test]
    fn a_definition_follows_only_a_lower_version() {
        let mine = definition(7, "c0ffee");
        let table = [
            (None, Ok(Step::First)),
            (Some((7, "c0ffee")), Ok(Step::None)),
            (Some((6, "c0ffee")), Ok(Step::Next)),
            (Some((6, "facade")), Ok(Step::Next)),
            (
                Some((7, "facade")),
                Err(
                    "version 7 (hash facade) is active, and this file differs from it (hash c0ffee): raise `version` \
                     in the file",
                ),
            ),
            (
                Some((8, "facade")),
                Err("version 8 (hash facade) is active, this file has version 7: give it a version above 8"),
            ),
        ];
        for (active, expected) in table {
            let active = active.map(|(version, hash)| definition(version, hash));
            let found = step(active.as_ref(), &mine).map_err(|unfit| unfit.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{active:?}");
        }
    }

    #[test]
    fn what_is_at_work_is_in_the_way_of_the_next_definition() {
        let at_work = |sagas, unread, members: &[(&str, usize)]| AtWork {
            sagas,
            unread,
            members: members.iter().map(|(group, count)| ((*group).to_owned(), *count)).collect(),
        };
        let (idle, stopped) = (at_work(0, 0, &[]), at_work(0, 0, &[("shop.steps", 0)]));
        let (live, unread) = (at_work(1, 0, &[]), at_work(0, 3, &[]));
        let running = at_work(0, 0, &[("shop.coordinator", 1), ("shop.steps", 2)]);
        let all = at_work(2, 1, &[("shop.steps", 1)]);
        let sagas = "1 saga of another definition is live (`quadrille sagas list`): let them end";
        let records = "up to 3 records not read yet: let the services read on";
        let members =
            "services run, with 3 members of its groups (shop.coordinator 1, shop.steps 2): stop them";
        let everything = "2 sagas of another definition are live (`quadrille sagas list`): let them end; up to 1 record \
                          not read yet: let the services read on; services run, with 1 member of its groups (shop.steps \
                          1): stop them";
        let table: [(Step, &AtWork, bool, Option<&str>); 13] = [
            (Step::None, &all, false, None),
            (Step::First, &idle, false, None),
            (Step::First, &running, false, None),
            (Step::First, &unread, false, None),
            (Step::First, &live, false, Some(sagas)),
            (Step::First, &live, true, None),
            (Step::Next, &idle, false, None),
            (Step::Next, &stopped, false, None),
            (Step::Next, &live, false, Some(sagas)),
            (Step::Next, &unread, false, Some(records)),
            (Step::Next, &live, true, None),
            (Step::Next, &running, true, Some(members)),
            (Step::Next, &all, false, Some(everything)),
        ];
        for (step, at_work, abandon, expected) in table {
            let found = may(step, at_work, abandon).err().map(|unfit| unfit.to_string());
            let expected =
                expected.map(|what| format!("running sagas cannot change their definition yet: {what}"));
            assert_eq!(found, expected, "{step:?} {at_work:?} {abandon}");
        }
    }
}
