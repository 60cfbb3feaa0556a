//! A flow by numbers, and what of it may still come alive from some state on.

use std::collections::{BTreeMap, BTreeSet};

use quadrille_types::ids::Trigger;
use quadrille_types::{ActivationId, Lineage, RunId};

use crate::definition::{Exhausted, Flow, Step, When};
use crate::state::{Activation, Kind, Live, Phase, Status};

/// A flow whose steps and events have numbers.
pub(super) struct Shape<'f> {
    pub(super) flow: &'f Flow,
    pub(super) lineage: Lineage,
    irrevocable: BTreeSet<&'f str>,
    steps: BTreeMap<&'f str, usize>,
    events: BTreeMap<&'f str, usize>,
    /// Per step, what it may emit going forward.
    outputs: Vec<Vec<usize>>,
    /// Per step, the events that it waits for.
    needs: Vec<Vec<usize>>,
    /// Per event, the choreographed steps that listen to it.
    listeners: Vec<Vec<usize>>,
    /// Per event, the coordinated steps that wait for it.
    joins: Vec<Vec<usize>>,
    /// Per event, how many steps emit it; more than one counts as two.
    emitters: Vec<u8>,
    /// Events that only others publish.
    foreign: Vec<usize>,
    /// Per event: it starts runs.
    starts: Vec<bool>,
    /// Events that an undo may emit and that the flow uses.
    undo_events: Vec<usize>,
    /// Per step: an answer of it fails the run.
    fails: Vec<bool>,
    /// Per step: it, or what follows from it, may fail the run.
    may_fail: Vec<bool>,
    /// Per step: it is a pivot, or one can follow from it that no command holds back.
    may_pivot: Vec<bool>,
    pivots: usize,
    choreographed_pivot: bool,
}

/// Where a state stands, by numbers.
pub(super) struct Moment {
    /// Activations whose answer decides something: their step and ID.
    pub(super) unsettled: Vec<(usize, ActivationId)>,
    /// Activations whose tries are exhausted, which decides nothing any more.
    given_up: Vec<ActivationId>,
    /// Per step: it is coordinated and its command is given.
    pub(super) commanded: Vec<bool>,
    /// Per gathering step, the events that are there.
    pub(super) gathered: BTreeMap<usize, Vec<usize>>,
    /// The run will be compensated whatever comes, and gives no more commands.
    pub(super) sealed: bool,
}

/// What may still come alive.
pub(super) struct Alive {
    pub(super) steps: Vec<bool>,
    pub(super) events: Vec<bool>,
    /// Some coordinated step may be commanded.
    pub(super) commands: bool,
}

impl<'f> Shape<'f> {
    pub(super) fn of(flow: &'f Flow, irrevocable: &BTreeSet<&str>) -> Self {
        let steps: BTreeMap<&str, usize> =
            flow.steps.iter().enumerate().map(|(at, step)| (step.name.as_str(), at)).collect();
        let events = numbered(flow);
        let numbers = |names: &[String]| -> Vec<usize> { names.iter().map(|e| events[e.as_str()]).collect() };
        let outputs: Vec<Vec<usize>> =
            flow.steps.iter().map(|s| s.forward().map(|e| events[e.as_str()]).collect()).collect();
        let needs: Vec<Vec<usize>> = flow.steps.iter().map(|s| numbers(needed(s))).collect();
        let (mut listeners, mut joins) = (vec![Vec::new(); events.len()], vec![Vec::new(); events.len()]);
        for (at, step) in flow.steps.iter().enumerate() {
            let waiting = if is_coordinated(step) { &mut joins } else { &mut listeners };
            needs[at].iter().for_each(|event| waiting[*event].push(at));
        }
        let mut emitters = vec![0_u8; events.len()];
        outputs.iter().flatten().for_each(|event| emitters[*event] = (emitters[*event] + 1).min(2));
        let fails: Vec<bool> = flow.steps.iter().map(|step| fails(flow, step)).collect();
        let undo_events = flow.steps.iter().flat_map(|s| &s.undo).flat_map(|undo| &undo.emits);
        let undo_events = undo_events.filter(|e| flow.knows(e)).map(|e| events[e.as_str()]).collect();
        let mut shape = Self {
            lineage: lineage(flow),
            irrevocable: flow
                .steps
                .iter()
                .map(|s| s.name.as_str())
                .filter(|s| irrevocable.contains(s))
                .collect(),
            may_fail: fails.clone(),
            may_pivot: flow.steps.iter().map(|step| step.pivot).collect(),
            fails,
            foreign: foreign(flow, &events, &outputs),
            starts: events.keys().map(|event| flow.is_start(event)).collect(),
            undo_events,
            pivots: flow.steps.iter().filter(|step| step.pivot).count(),
            choreographed_pivot: flow.steps.iter().any(|step| step.pivot && !is_coordinated(step)),
            flow,
            steps,
            events,
            outputs,
            needs,
            listeners,
            joins,
            emitters,
        };
        let causes = shape.causes();
        shape.spread(&causes, |shape| &mut shape.may_fail, |_| true);
        shape.spread(&causes, |shape| &mut shape.may_pivot, |step| !is_coordinated(step));
        shape
    }

    /// Per event, the steps that emit it.
    fn causes(&self) -> Vec<Vec<usize>> {
        let mut causes = vec![Vec::new(); self.events.len()];
        for (step, outputs) in self.outputs.iter().enumerate() {
            outputs.iter().for_each(|event| causes[*event].push(step));
        }
        causes
    }

    /// What holds for a step holds for those that it follows from, if `through` it.
    fn spread(
        &mut self,
        causes: &[Vec<usize>],
        what: impl Fn(&mut Self) -> &mut Vec<bool>,
        through: impl Fn(&Step) -> bool,
    ) {
        let mut open: Vec<usize> = (0..self.flow.steps.len()).filter(|step| what(self)[*step]).collect();
        while let Some(step) = open.pop() {
            if !through(&self.flow.steps[step]) {
                continue;
            }
            let before: Vec<usize> =
                self.needs[step].iter().flat_map(|event| &causes[*event]).copied().collect();
            for cause in before {
                if !std::mem::replace(&mut what(self)[cause], true) {
                    open.push(cause);
                }
            }
        }
    }

    pub(super) fn number(&self, step: &str) -> Option<usize> {
        self.steps.get(step).copied()
    }

    pub(super) fn step(&self, step: &str) -> Option<&'f Step> {
        self.number(step).map(|number| &self.flow.steps[number])
    }

    pub(super) fn event(&self, event: &str) -> Option<usize> {
        self.events.get(event).copied()
    }

    pub(super) fn is_irrevocable(&self, step: &str) -> bool {
        self.irrevocable.contains(step)
    }

    /// Its effect is there for good.
    pub(super) fn stands(&self, activation: &Activation) -> bool {
        activation.phase == Phase::Succeeded
            && !activation.seen.has(Kind::Exhausted)
            && self.is_irrevocable(&activation.step)
    }

    /// Names of the events that only others publish.
    pub(super) fn foreign(&self) -> impl Iterator<Item = &'f str> {
        self.events.iter().filter(|(_, number)| self.foreign.contains(number)).map(|(name, _)| *name)
    }

    pub(super) fn is_foreign(&self, event: usize) -> bool {
        self.foreign.contains(&event)
    }

    pub(super) fn outputs(&self, step: usize) -> &[usize] {
        &self.outputs[step]
    }

    pub(super) fn needs(&self, step: usize) -> &[usize] {
        &self.needs[step]
    }

    pub(super) fn joins(&self, event: usize) -> &[usize] {
        &self.joins[event]
    }

    pub(super) fn fails(&self, step: usize) -> bool {
        self.fails[step]
    }

    pub(super) fn may_pivot(&self, step: usize) -> bool {
        self.may_pivot[step]
    }

    pub(super) fn may_fail(&self, step: usize) -> bool {
        self.may_fail[step]
    }

    /// The step whose activation makes a second pivot beside another.
    pub(super) fn second_pivot(&self, live: &Live) -> Option<String> {
        let stands = |a: &&Activation| {
            matches!(a.phase, Phase::Open | Phase::Exhausted | Phase::Succeeded)
                && self.step(&a.step).is_some_and(|step| step.pivot)
        };
        let mut names: Vec<&str> =
            live.activations.values().filter(stands).map(|a| a.step.as_str()).collect();
        names.sort_by_key(|name| self.number(name));
        names.get(1).map(|name| (*name).to_owned())
    }

    pub(super) fn moment(&self, live: &Live) -> Moment {
        let mut moment = Moment {
            unsettled: Vec::new(),
            given_up: Vec::new(),
            commanded: vec![false; self.flow.steps.len()],
            gathered: BTreeMap::new(),
            sealed: self.is_sealed(live),
        };
        for activation in live.activations.values() {
            let Some(step) = self.number(&activation.step) else { continue };
            if activation.phase == Phase::Gathering {
                let events = activation.inputs.iter().filter_map(|input| self.event(&input.event));
                moment.gathered.insert(step, events.collect());
            } else if activation.trigger == Trigger::Join {
                moment.commanded[step] = true;
            }
            match activation.phase {
                Phase::Exhausted if moment.sealed => moment.given_up.push(activation.id),
                Phase::Open | Phase::Exhausted => moment.unsettled.push((step, activation.id)),
                _ => {}
            }
        }
        moment
    }

    /// Once a run fails and no pivot can turn it, its end is certain.
    fn is_sealed(&self, live: &Live) -> bool {
        live.head.status == Status::Undoing
            || live.head.failing.is_some() && !self.choreographed_pivot && {
                let pivot = |a: &Activation| self.step(&a.step).is_some_and(|step| step.pivot);
                let stands =
                    |a: &Activation| matches!(a.phase, Phase::Open | Phase::Exhausted | Phase::Succeeded);
                !live.activations.values().any(|a| stands(a) && pivot(a))
            }
    }

    /// What may come alive from `moment` on without the answers of activation `without`, and without step `never`.
    pub(super) fn alive(
        &self,
        moment: &Moment,
        without: Option<(usize, ActivationId)>,
        never: Option<usize>,
    ) -> Alive {
        let mut alive = Alive {
            steps: vec![false; self.flow.steps.len()],
            events: vec![false; self.events.len()],
            commands: false,
        };
        let mut missing: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        for (step, events) in &moment.gathered {
            missing[*step] = self.needs[*step].len() - events.len().min(self.needs[*step].len());
        }
        let open = moment.unsettled.iter().filter(|one| Some(**one) != without && Some(one.0) != never);
        let mut steps: Vec<usize> = open.map(|(step, _)| *step).collect();
        let mut events: Vec<usize> = [self.foreign.as_slice(), &self.undo_events].concat();
        let complete = moment.gathered.keys().filter(|step| missing[**step] == 0).copied();
        let command = |step: usize| {
            !moment.sealed
                && !moment.commanded[step]
                && Some(step) != never
                && !self.is_held(step, moment, without, never)
        };
        for step in complete.filter(|step| command(*step)) {
            alive.commands = true;
            steps.push(step);
        }
        loop {
            while let Some(step) = steps.pop() {
                if !std::mem::replace(&mut alive.steps[step], true) {
                    events.extend(&self.outputs[step]);
                }
            }
            let Some(event) = events.pop() else { return alive };
            if std::mem::replace(&mut alive.events[event], true) {
                continue;
            }
            steps.extend(self.listeners[event].iter().filter(|step| Some(**step) != never));
            for join in &self.joins[event] {
                let is_here = moment.gathered.get(join).is_some_and(|events| events.contains(&event));
                missing[*join] -= usize::from(!is_here);
                if !is_here && missing[*join] == 0 && command(*join) {
                    alive.commands = true;
                    steps.push(*join);
                }
            }
        }
    }

    /// The only pivot is not commanded while an activation that may fail is unsettled.
    fn is_held(
        &self,
        step: usize,
        moment: &Moment,
        without: Option<(usize, ActivationId)>,
        never: Option<usize>,
    ) -> bool {
        let may_fail = |other: usize| other != step && self.may_fail[other];
        self.pivots == 1
            && self.flow.steps[step].pivot
            && (without.is_some_and(|(other, _)| may_fail(other))
                || never.is_some_and(|other| {
                    may_fail(other) && moment.unsettled.iter().any(|(open, _)| *open == other)
                }))
    }

    /// Whether a step can run no more than once in a run.
    pub(super) fn runs_once(&self, step: usize) -> bool {
        is_coordinated(&self.flow.steps[step])
            || self.needs[step].iter().all(|event| {
                let outside = self.is_foreign(*event) || self.starts[*event];
                self.emitters[*event] + u8::from(outside) <= 1 && !self.undo_events.contains(event)
            })
    }
}

impl Moment {
    /// Whether an answer of the activation decides something.
    pub(super) fn is_awaited(&self, id: ActivationId) -> bool {
        !self.given_up.contains(&id)
    }
}

pub(super) fn is_coordinated(step: &Step) -> bool {
    matches!(step.when, When::All(_))
}

fn needed(step: &Step) -> &[String] {
    match &step.when {
        When::Seen(event) => std::slice::from_ref(event),
        When::All(events) => events,
    }
}

fn numbered(flow: &Flow) -> BTreeMap<&str, usize> {
    let of_steps =
        flow.steps.iter().flat_map(|step| needed(step).iter().map(String::as_str).chain(step.emitted()));
    let ends = flow.starts.iter().chain(&flow.completes.events).chain(&flow.fails.events).map(String::as_str);
    let names: BTreeSet<&str> = of_steps.chain(ends).collect();
    names.into_iter().enumerate().map(|(at, name)| (name, at)).collect()
}

/// Events that the flow uses and that neither it nor an undo of it emits.
fn foreign(flow: &Flow, events: &BTreeMap<&str, usize>, outputs: &[Vec<usize>]) -> Vec<usize> {
    let mut emitted: BTreeSet<usize> = outputs.iter().flatten().copied().collect();
    let undos = flow.steps.iter().flat_map(|s| &s.undo).flat_map(|undo| &undo.emits);
    emitted.extend(undos.map(|event| events[event.as_str()]));
    let own = |name: &&str, number: &usize| flow.is_start(name) || emitted.contains(number);
    events.iter().filter(|(name, number)| !own(name, number)).map(|(_, number)| *number).collect()
}

fn fails(flow: &Flow, step: &Step) -> bool {
    let failing = |event: &String| flow.fails.events.contains(event);
    step.exhausted == Exhausted::Undo || step.forward().any(failing)
}

fn lineage(flow: &Flow) -> Lineage {
    Lineage {
        flow: flow.name.clone(),
        run: RunId::of("explore", &flow.name, "1"),
        correlation_id: "1".into(),
        definition: flow.definition.clone(),
    }
}
