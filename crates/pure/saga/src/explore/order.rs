//! Whose answers come first, where no order of theirs and anything else makes a difference.
//!
//! Two things that may happen commute unless one of them fails the run and the other gives a command: a run that fails
//! gives no more commands. (The end of a run needs every activation settled, so that it has no order with any of their
//! answers.) So the answers of an activation may come first if
//!
//! 1. they neither fail the run nor lead to a command at once; or
//! 2. without them no command is possible; nor, without the answers of another step that may fail the run before them, one
//!    that they complete.
//!
//! The deadline and events from outside are tried in every state besides.

use quadrille_types::ActivationId;

use super::shape::{Alive, Moment, Shape, is_coordinated};
use crate::state::{Live, Phase, Status};

/// The activation whose answers may come first. `None`: every order has to be tried.
pub(super) fn first(shape: &Shape<'_>, live: &Live, moment: &Moment) -> Option<ActivationId> {
    if live.head.status == Status::Undoing {
        return None;
    }
    let given_up = |id: &ActivationId| live.activations[id].phase == Phase::Exhausted;
    // A run that fails does not wait for a redrive, which makes a difference where it leads to a pivot.
    let may_wait = |(step, id): &(usize, ActivationId)| !given_up(id) || !shape.may_pivot(*step);
    let mut candidates: Vec<_> = moment.unsettled.iter().copied().filter(may_wait).collect();
    // What is given up comes first: else its redrive would double the states of all that comes before.
    candidates.sort_by_key(|(step, id)| (!given_up(id), *step, *id));
    let commands = shape.alive(moment, None, None).commands;
    let free = |one: &&(usize, ActivationId)| {
        !commands || is_harmless(shape, moment, one.0) || is_awaited(shape, moment, **one)
    };
    candidates.iter().find(free).map(|(_, id)| *id)
}

/// Its answers neither fail the run nor lead to a command at once.
fn is_harmless(shape: &Shape<'_>, moment: &Moment, step: usize) -> bool {
    let gathered = shape.outputs(step).iter().flat_map(|event| shape.joins(*event));
    let releases = || {
        shape.may_fail(step)
            && shape.flow.steps.iter().enumerate().any(|(at, other)| {
                is_coordinated(other) && !moment.commanded[at] && (other.pivot || other.undo.is_none())
            })
    };
    !shape.flow.steps[step].pivot
        && !shape.fails(step)
        && gathered.into_iter().all(|join| moment.commanded[*join])
        && !releases()
}

/// No command is possible without its answers, nor one without those of another step that may fail the run before.
fn is_awaited(shape: &Shape<'_>, moment: &Moment, one: (usize, ActivationId)) -> bool {
    let without = shape.alive(moment, Some(one), None);
    !without.commands && failing(shape, &without).all(|other| is_needed(shape, moment, other))
}

fn failing<'s>(shape: &'s Shape<'_>, alive: &'s Alive) -> impl Iterator<Item = usize> + 's {
    alive.steps.iter().enumerate().filter(|(step, alive)| **alive && shape.fails(*step)).map(|(step, _)| step)
}

/// No command is possible without the answer of `step`.
fn is_needed(shape: &Shape<'_>, moment: &Moment, step: usize) -> bool {
    shape.runs_once(step) && !shape.alive(moment, None, Some(step)).commands
}
