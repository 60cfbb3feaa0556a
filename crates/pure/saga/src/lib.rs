//! What a saga does next: one pure transition function.
//!
//! [`next`] takes a compiled [`Flow`], the state of one run, one input and the time, changes the state and says what to
//! do. The coordinator runs it, [`explore`] walks it to prove that every run ends, a simulator runs it under faults,
//! and folding a journal with it ([`replay`]) shows a run as it was at any time. Nothing else knows what a saga means.
//!
//! # The rules
//! - A run begins with the first fact that proves its start, and no other. Facts come in any order and any number of times:
//!   a step's answer may be here before the event that triggered the step.
//! - An activation is expected as soon as its trigger is known. What the mesh runs by itself is waited for; what the
//!   coordinator runs (joins, pivots) is commanded, once.
//! - A failing event, an exhausted step that the file says to undo, or the deadline makes a run *fail*: no further
//!   command, and a wait until everything expected or commanded has settled. Only then is it decided. If a pivot has
//!   succeeded meanwhile, the run goes forward after all; otherwise what succeeded is undone, the last first.
//! - An exhausted step waits for a redrive (*held*), fails the run, or has *given up* with an event of the file: then it has
//!   settled, and whether it had its effect stays unknown.
//! - A pivot, or an effect that nothing can undo, is commanded only when nothing beside it can still fail.
//! - A run has at most one outcome, and none while anything is unsettled. A compensation that fails for good makes it
//!   *stuck*: that is a status. What comes after the outcome changes nothing; a late success is undone.
//!
//! | module | holds |
//! | --- | --- |
//! | [`definition`] | the compiled flow |
//! | [`state`] | head and activations of a run, and what is left of it |
//! | [`transition`] | actions, and the function |
//! | `run`, `answers` | the run at work: events, and what steps answer |
//! | `decide` | what follows from where a run stands: commands, undo, outcome |
//! | `after_end` | facts about a run that has its outcome |
//! | [`changelog`] | the state as records of a compacted topic |
//! | [`view`] | what a run waits for |
//! | [`explore`] | every order of facts of a flow |

pub mod after_end;
mod answers;
pub mod changelog;
mod decide;
pub mod definition;
pub mod explore;
mod run;
pub mod state;
pub mod transition;
pub mod view;

pub use definition::Flow;
pub use state::State;
pub use transition::{Action, Transition, next, replay};
