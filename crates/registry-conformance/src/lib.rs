//! What a Confluent-compatible schema registry must do, as checks over HTTP that run against any registry.
//!
//! [`CHECKS`] lists them all. Each check uses subjects of its own, so a registry may be shared and checks may run at the
//! same time; the few that change a setting of all subjects are marked [`Check::exclusive`]. Confluent's documented
//! behaviour is the judge; where Apicurio 3.3 answers otherwise, [`Check::apicurio`] says how, and the runner
//! expects the check to fail there, so that a difference which goes away is noticed.

mod checks;
mod context;

pub use checks::CHECKS;
pub use context::{Answer, Context, unanswered};

/// One thing that a registry must do.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// A sentence, in snake case.
    pub name: &'static str,
    /// Fails with what was answered instead.
    pub run: fn(&Context) -> anyhow::Result<()>,
    /// How Apicurio is known to differ, if it does.
    pub apicurio: Option<&'static str>,
    /// It changes what holds for all subjects: run it while no other check runs.
    pub exclusive: bool,
}
