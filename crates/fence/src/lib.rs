//! The participant's fence: what makes a repeated, late or paused call harmless.
//!
//! The mesh orders its calls, but it cannot order the effects of a process that was paused in the middle of one: only the
//! participant can. So each call names its activation (one intended run of a step) and its action (`do` or `undo`), and
//! the participant keeps one small table of the calls that it has answered. One SQLite transaction holds the answer, the
//! participant's own rows and a line in a log of effects, so they are there together or not at all.
//!
//! | call | before it | answer | handler runs |
//! | --- | --- | --- | --- |
//! | `do` | nothing | its reply, now stored | yes |
//! | `do` | the same `do` | the stored reply | no |
//! | `do` | its `undo` | refused | no |
//! | `undo` | a `do` that had its effect | its reply, now stored | yes |
//! | `undo` | nothing, or a `do` that was rejected | nothing to undo, now stored: there never will be an effect | no |
//! | `undo` | the same `undo` | the stored reply | no |
//!
//! Many processes may use one file. Only one of them is in a handler at a time, so a handler writes its rows and returns:
//! it makes no remote call.
//!
//! - [`fence`]: [`Fence`], the one thing to use;
//! - [`call`]: what is asked and what is answered;
//! - [`store`]: the file, its tables and its settings.

pub mod call;
pub mod fence;
pub mod store;

pub use call::{Action, Answer, Call, Reply};
pub use fence::{Error, Fence};
pub use store::{Durability, Options};
