//! What a participant is asked, and what it answers.

use std::fmt;
use std::str::FromStr;

/// What to do with an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Have the effect.
    Do,
    /// Compensate it.
    Undo,
}

impl Action {
    /// `do` or `undo`, as on the wire and in the tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Do => "do",
            Self::Undo => "undo",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no action. Not retryable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no action: do or undo")]
pub struct UnknownAction(pub String);

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "do" => Ok(Self::Do),
            "undo" => Ok(Self::Undo),
            other => Err(UnknownAction(other.to_owned())),
        }
    }
}

/// One call. Retries and redeliveries of it are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The activation: one intended run of one step in one saga. Its `do` and its `undo` have the same.
    pub activation: &'a str,
    /// What to do with it.
    pub action: Action,
    /// The call's idempotency key.
    pub key: &'a str,
    /// The saga's identity, for the log of effects.
    pub correlation_id: &'a str,
}

/// What the handler answers, kept for as long as the file: a repeated call gets the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Whether the call had its effect. A business rejection (a declined card) had none.
    pub applied: bool,
    /// Whatever the caller is told, in the participant's own format.
    pub body: Vec<u8>,
}

impl Reply {
    /// The effect is in the transaction.
    pub fn applied(body: impl Into<Vec<u8>>) -> Self {
        Self { applied: true, body: body.into() }
    }

    /// A business rejection: there is no effect, and a repeated call is rejected the same way. The handler has written
    /// nothing that an `undo` would have to take back.
    pub fn rejected(body: impl Into<Vec<u8>>) -> Self {
        Self { applied: false, body: body.into() }
    }
}

/// How a call came out. Every variant is durable when it is returned, and stays true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The handler ran now.
    Ran(Reply),
    /// The same call was answered before; the handler did not run.
    Repeated(Reply),
    /// A `do` whose `undo` came first, or whose effect is already undone; the handler did not run. Holds the answer to
    /// the `undo`.
    Refused(Reply),
    /// An `undo` of what never had an effect and now never will; the handler did not run.
    NothingToUndo,
}

impl Answer {
    /// The reply, where a handler gave one.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Ran(reply) | Self::Repeated(reply) => Some(reply),
            Self::Refused(_) | Self::NothingToUndo => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_read_as_it_is_written() {
        for action in [Action::Do, Action::Undo] {
            assert_eq!(action.to_string().parse(), Ok(action));
        }
        assert_eq!("Do".parse::<Action>().unwrap_err().to_string(), "\"Do\" is no action: do or undo");
    }
}
