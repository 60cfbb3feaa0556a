//! What the pure compiler asks of its caller, and the limits it holds to.

/// Looks up the schema files that a topology names. Closures `Fn(&str) -> Result<String, String>` do.
pub trait Schemas {
    /// The text of the schema at `path`, which is relative to the topology file.
    ///
    /// # Errors
    /// Why it can't be read, in words for the user; reported as a mistake of the file, with all others.
    fn schema(&self, path: &str) -> Result<String, String>;
}

impl<F: Fn(&str) -> Result<String, String>> Schemas for F {
    fn schema(&self, path: &str) -> Result<String, String> {
        self(path)
    }
}

/// Bounds of the language. A number outside is a mistake, so that a slip of the pen can't ask for a year-long
/// timeout or a million partitions.
pub struct Limits;

impl Limits {
    /// Bytes of a topology file: 1 MiB.
    pub const FILE_BYTES_MAX: usize = 1024 * 1024;
    /// Lists and mappings inside each other.
    pub const DEPTH_MAX: usize = 32;
    /// Partitions of a topic unless the file says otherwise.
    pub const PARTITIONS_DEFAULT: u32 = 4;
    /// Partitions of a topic at most.
    pub const PARTITIONS_MAX: u64 = 1000;
    /// Tries in place, the first one included.
    pub const TRIES_MAX: u64 = 20;
    /// Records of one step handled at the same time unless the file says otherwise.
    pub const CONCURRENCY_DEFAULT: u32 = 16;
    /// Records of one step handled at the same time at most.
    pub const CONCURRENCY_MAX: u64 = 1000;
    /// Time for one try of a handler unless the file says otherwise.
    pub const TIMEOUT_MS_DEFAULT: u64 = 30_000;
    /// Time for one try of a handler at most: 15 minutes.
    pub const TIMEOUT_MS_MAX: u64 = 15 * 60 * 1000;
    /// Wait between two tries in place at most: 5 minutes. Longer waits are not made in place.
    pub const WAIT_MS_MAX: u64 = 5 * 60 * 1000;
    /// Deadline of a saga at least: a shorter one would race the steps' first tries.
    pub const DEADLINE_MS_MIN: u64 = 1000;
    /// Deadline of a saga at most: 10 years.
    pub const DEADLINE_MS_MAX: u64 = 10 * 365 * 24 * 3600 * 1000;
    /// Events of a file.
    pub const EVENTS_MAX: usize = 1000;
    /// Steps of a file.
    pub const STEPS_MAX: usize = 300;
    /// Sagas of a file.
    pub const SAGAS_MAX: usize = 100;
    /// Names in one list.
    pub const NAMES_MAX: usize = 100;
    /// Work of trying the runs of all sagas of a file before the proof is given up (and the file refused), in units of
    /// [`explore`](quadrille_saga::explore::explore): about a second.
    pub const WORK_MAX: usize = 2_000_000;
}
