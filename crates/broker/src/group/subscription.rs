//! Which topics the members of a group read. It stands in the metadata with which they join, for whoever understands it.

use super::Group;

impl Group {
    /// Whether the members are consumers, whose metadata says which topics they read.
    pub(crate) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some("consumer")
    }

    /// Whether a member reads the topic; of metadata that cannot be read, nobody knows better.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        let metadata =
            self.members.values().filter_map(|m| m.protocols.first().map(|(_, metadata)| metadata));
        self.is_of_consumers() && metadata.into_iter().any(|m| names(m, topic.as_bytes()).unwrap_or(true))
    }
}

/// Version, then an array of names; user data and what later versions added follow.
fn names(metadata: &[u8], topic: &[u8]) -> Option<bool> {
    let (head, mut rest) = metadata.split_first_chunk::<6>()?;
    let count = i32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (name, after) = after.split_at_checked(usize::try_from(i16::from_be_bytes(*length)).ok()?)?;
        if name == topic {
            return Some(true);
        }
        rest = after;
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_found_in_the_metadata() {
        let metadata = b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff\0\0\0\0";
        for (topic, expected) in
            [("a", Some(true)), ("bc", Some(true)), ("b", Some(false)), ("", Some(false))]
        {
            assert_eq!(names(metadata, topic.as_bytes()), expected, "{topic:?}");
        }
        for cut in 0..6 {
            assert_eq!(names(&metadata[..cut], b"a"), None, "{cut} bytes");
        }
        assert_eq!(names(&metadata[..9], b"bc"), None, "cut in the list");
        assert_eq!(names(b"\0\0\x7f\xff\xff\xff", b"a"), None, "a list that is not there");
    }
}
