//! What of a state decides how the run goes on, and what tells states apart.

use std::collections::BTreeSet;

use quadrille_types::ActivationId;
use quadrille_types::ids::Trigger;

use super::shape::{Alive, Moment, Shape, is_coordinated};
use crate::definition::Needs;
use crate::state::{Activation, Live, Phase, Status};

/// Removes what decides no more, and returns what tells the state apart. Left out of the latter is what decides no more
/// than the order of undo or of inputs, which undo comes first, or the words of a cause.
pub(super) fn reduce(shape: &Shape<'_>, live: &mut Live) -> Vec<u32> {
    let moment = shape.moment(live);
    let alive = shape.alive(&moment, None, None);
    let siblings = awaited_triggers(&moment, live);
    let undoable = last_undoable(shape, live);
    let irrevocable = first_irrevocable(shape, live);
    let mut entries = Vec::new();
    live.activations.retain(|id, activation| {
        let Some(step) = shape.number(&activation.step) else { return false };
        let mut entry = entry(shape, &moment, &alive, step, activation);
        if entry.is_none() && siblings.contains(&activation.trigger) {
            entry = Some(vec![number(step), DONE]);
        }
        if irrevocable == Some(*id) {
            entries.push(vec![number(step), IRREVOCABLE]);
        }
        let tells = entry.is_some();
        entries.extend(entry);
        // A join that lacks what can't come any more is what a run that stops waits for.
        let gathers = activation.phase == Phase::Gathering;
        tells || gathers || undoable == Some(*id) || irrevocable == Some(*id)
    });
    entries.sort();
    let mut key = Vec::new();
    head(shape, &moment, live, &mut key);
    for entry in entries {
        key.push(number(entry.len()));
        key.extend(entry);
    }
    key
}

/// Triggers that an answer to come names: it would set off again what they have set off and what is forgotten.
fn awaited_triggers(moment: &Moment, live: &Live) -> BTreeSet<Trigger> {
    let unsettled = moment.unsettled.iter().filter_map(|(_, id)| live.activations.get(id));
    unsettled.map(|a| a.trigger.clone()).filter(|trigger| matches!(trigger, Trigger::Event(_))).collect()
}

const IRREVOCABLE: u32 = 100;
const DONE: u32 = 101;

fn head(shape: &Shape<'_>, moment: &Moment, live: &Live, key: &mut Vec<u32>) {
    let head = &live.head;
    key.push(head.status as u32);
    key.push(u32::from(head.failing.is_some()) | u32::from(head.timer_set) << 1);
    key.extend(head.starts.iter().filter_map(|start| shape.event(&start.event)).map(number));
    let mut completing: Vec<u32> = match shape.flow.completes.needs {
        _ if moment.sealed => Vec::new(),
        Needs::Any => head.completing.first().map(|_| u32::MAX).into_iter().collect(),
        Needs::All => {
            let here = shape.flow.completes.events.iter().filter(|event| head.has_completing(event));
            here.filter_map(|event| shape.event(event)).map(number).collect()
        }
    };
    completing.sort_unstable();
    key.push(number(completing.len()));
    key.extend(completing);
}

/// What an activation means for how the run goes on; `None`: nothing.
fn entry(
    shape: &Shape<'_>,
    moment: &Moment,
    alive: &Alive,
    step: usize,
    activation: &Activation,
) -> Option<Vec<u32>> {
    let definition = &shape.flow.steps[step];
    let phase = activation.phase;
    let may_come = |event: &usize| alive.events[*event];
    let plain = Some(vec![number(step), phase as u32]);
    match phase {
        Phase::Open | Phase::Undoing | Phase::UndoFailed => plain,
        Phase::Exhausted if moment.sealed => None,
        Phase::Exhausted => plain,
        Phase::Succeeded if definition.pivot => plain,
        Phase::Gathering => {
            let here = moment.gathered.get(&step)?;
            let complete = shape.needs(step).iter().all(|event| here.contains(event) || may_come(event));
            let mut entry = vec![number(step), phase as u32];
            let mut here: Vec<u32> = here.iter().copied().map(number).collect();
            here.sort_unstable();
            entry.extend(here);
            (complete && !moment.sealed).then_some(entry)
        }
        Phase::Succeeded | Phase::GivenUp if undo_tells(shape, definition) => plain,
        Phase::Succeeded | Phase::Rejected | Phase::GivenUp | Phase::Undone => {
            // It must not be begun again by events that may still come.
            let again = if is_coordinated(definition) {
                !moment.sealed && shape.needs(step).iter().any(may_come)
            } else {
                shape.needs(step).iter().any(|event| shape.is_foreign(*event))
            };
            again.then(|| vec![number(step), DONE])
        }
    }
}

/// Its undo may emit what the flow uses.
fn undo_tells(shape: &Shape<'_>, step: &crate::definition::Step) -> bool {
    step.undo.as_ref().is_some_and(|undo| undo.emits.iter().any(|event| shape.flow.knows(event)))
}

/// One undo shows what all would: the run goes on undoing until nothing is left.
fn last_undoable(shape: &Shape<'_>, live: &Live) -> Option<ActivationId> {
    if live.head.status == Status::Undoing {
        return None;
    }
    let undoable = |a: &&Activation| {
        let undo = shape.step(&a.step).and_then(|step| step.undo.as_ref());
        undo.is_some_and(|undo| match a.phase {
            Phase::Succeeded => true,
            Phase::GivenUp => undo.also_when_unknown,
            _ => false,
        })
    };
    live.activations.values().filter(undoable).max_by_key(|a| a.order).map(|a| a.id)
}

fn first_irrevocable(shape: &Shape<'_>, live: &Live) -> Option<ActivationId> {
    let standing = live.activations.values().filter(|a| shape.stands(a));
    standing.min_by_key(|a| shape.number(&a.step)).map(|a| a.id)
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
