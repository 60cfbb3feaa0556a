//! The audit: did every input have its effect exactly once, and is every saga's outcome true?
//!
//! It reads the topics back as any `read_committed` reader would, reads what the participants recorded in their own
//! stores, and compares both with a small file of expectations that a human wrote. It asks no service of the mesh and
//! shares no code with them. One line says what it found; it ends in `VALID` or `INVALID`:
//!
//! ```text
//! accepted=1000 effect_once=990 dlt=10 lost=0 dup_effect=0 leaked=0 after_undo=0 unsettled=0 phantom=0 | sagas=990
//! completed=950 compensated=40 stuck=0 dual_outcome=0 | txns=812 aborted=3 fenced=2 takeovers=2 | VALID
//! ```
//!
//! | counter | counts |
//! | --- | --- |
//! | `accepted` | distinct inputs: each identity once, however often it was sent; each record that cannot be read once |
//! | `effect_once` | identities whose effects are exactly those that their outcome demands |
//! | `dlt` | of the rest, those that lie in a dead-letter topic |
//! | `lost` | the rest: `accepted = effect_once + dlt + lost` |
//! | `dup_effect` | effects that were applied more than once, for one activation or for one identity |
//! | `leaked` | effects that stand although the outcome demands that nothing is left |
//! | `after_undo` | activations whose `do` was recorded after their `undo` |
//! | `unsettled` | sagas without an outcome, or with one that is older than a call that a participant recorded |
//! | `phantom` | records that a concurrent reader saw and the final reading lacks |
//! | `sagas` | identities that were accepted or have an outcome; then one counter for each outcome's name |
//! | `stuck` | sagas without an outcome whose `undo` lies in a dead-letter topic |
//! | `dual_outcome` | sagas with more than one outcome record |
//!
//! Whatever fits no counter (an effect of an order that nobody sent, an event twice or without its effect, a dead letter
//! twice or of nothing, an outcome that cannot be read) is listed as `unexplained` and makes the verdict `INVALID` too. The group before the verdict is handed in and decides nothing.
//!
//! - [`expect`]: the expectations file;
//! - [`evidence`]: what was read, as plain data;
//! - [`read`], [`wire`], [`registry`]: topics to evidence; [`concurrent`]: the reader that watches a run;
//! - [`stores`]: the participants' stores to evidence;
//! - [`judge`]: evidence and expectations to a verdict, pure;
//! - [`report`]: the verdict as text;
//! - [`run`](mod@run): all of it, for a program that runs a mesh in its own process.

pub mod concurrent;
pub mod evidence;
pub mod expect;
pub mod judge;
mod kafka;
pub mod read;
pub mod registry;
pub mod report;
pub mod run;
pub mod stores;
pub mod wire;

pub use concurrent::ConcurrentReader;
pub use expect::Expectations;
pub use judge::{Kind, Rules, Verdict};
pub use report::Counters;
pub use run::{Config, Error, run};
