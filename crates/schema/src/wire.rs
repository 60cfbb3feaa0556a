//! Confluent's wire format: which schema wrote these bytes.
//!
//! A value is `00`, the schema's id as four bytes big-endian, then the Avro datum. Newer clients may put the id in a
//! header instead ([`VALUE_HEADER`]; `00` and the id, or `01` and the schema's 16-byte GUID) and leave the value bare.

/// The header that may carry the id of a value's schema.
pub const VALUE_HEADER: &str = "__value_schema_id";
/// The header that may carry the id of a key's schema.
pub const KEY_HEADER: &str = "__key_schema_id";
/// Bytes in front of the datum.
pub const PREFIX_BYTES: usize = 5;

/// Bytes that are not in this format. None of these goes away by trying again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No prefix fits in there.
    #[error("{bytes} bytes are too short for a schema id: expected 00, four bytes of id, and the datum")]
    TooShort {
        /// The length of the value.
        bytes: usize,
    },
    /// The value does not start with the magic byte.
    #[error("first byte is {byte:#04x}, expected 0x00: not written with a schema registry")]
    NoMagic {
        /// The byte found.
        byte: u8,
    },
    /// The header's value is neither form.
    #[error("schema id header of {bytes} bytes: expected 00 and 4 bytes of id, or 01 and 16 bytes of guid")]
    BadHeader {
        /// The length of the header's value.
        bytes: usize,
    },
    /// The header names the schema by GUID, which only registries from 8.0 on can resolve.
    #[error(
        "schema id header holds a guid, which is not supported: write ids, or the id in front of the value"
    )]
    Guid,
}

/// A value begun with the prefix of schema `id`; the datum follows.
pub fn begin(id: u32) -> Vec<u8> {
    let mut framed = Vec::with_capacity(64);
    framed.push(0);
    framed.extend_from_slice(&id.to_be_bytes());
    framed
}

/// `datum` with the prefix of schema `id`.
pub fn frame(id: u32, datum: &[u8]) -> Vec<u8> {
    let mut framed = begin(id);
    framed.extend_from_slice(datum);
    framed
}

/// The schema's id and the datum.
///
/// # Errors
/// [`WireError::TooShort`], [`WireError::NoMagic`].
pub fn unframe(value: &[u8]) -> Result<(u32, &[u8]), WireError> {
    match value {
        [0, a, b, c, d, datum @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), datum)),
        [byte, ..] if *byte != 0 => Err(WireError::NoMagic { byte: *byte }),
        _ => Err(WireError::TooShort { bytes: value.len() }),
    }
}

/// As [`unframe`], taking the id from the header ([`VALUE_HEADER`] or [`KEY_HEADER`]) when the record has it; the
/// whole value is the datum then.
///
/// # Errors
/// Those of [`unframe`], [`WireError::BadHeader`], [`WireError::Guid`].
pub fn locate<'v>(header: Option<&[u8]>, value: &'v [u8]) -> Result<(u32, &'v [u8]), WireError> {
    match header {
        None => unframe(value),
        Some([0, a, b, c, d]) => Ok((u32::from_be_bytes([*a, *b, *c, *d]), value)),
        Some([1, guid @ ..]) if guid.len() == 16 => Err(WireError::Guid),
        Some(other) => Err(WireError::BadHeader { bytes: other.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framed_datum_comes_back_with_its_id() {
        for id in [0, 1, 0x0102_0304, u32::MAX] {
            let framed = frame(id, b"datum");
            assert_eq!(framed.len(), PREFIX_BYTES + 5);
            assert_eq!(unframe(&framed), Ok((id, b"datum".as_slice())));
        }
        assert_eq!(frame(0x0102_0304, b"x"), [0, 1, 2, 3, 4, b'x']);
        assert_eq!(unframe(&frame(7, b"")), Ok((7, b"".as_slice())), "an empty record has no bytes");
    }

    #[test]
    fn other_bytes_are_refused_with_what_is_wrong() {
        assert_eq!(unframe(b""), Err(WireError::TooShort { bytes: 0 }));
        assert_eq!(unframe(&[0, 0, 0, 1]), Err(WireError::TooShort { bytes: 4 }));
        assert_eq!(unframe(b"{\"a\":1}"), Err(WireError::NoMagic { byte: b'{' }));
    }

    #[test]
    fn a_header_beats_the_prefix() {
        assert_eq!(locate(Some(&[0, 0, 0, 0, 9]), b"\0\0\0\0\x01x"), Ok((9, b"\0\0\0\0\x01x".as_slice())));
        assert_eq!(locate(None, &frame(1, b"x")), Ok((1, b"x".as_slice())));
        let guid = [1; 17];
        assert_eq!(locate(Some(&guid), b"x"), Err(WireError::Guid));
        assert_eq!(locate(Some(b"7"), b"x"), Err(WireError::BadHeader { bytes: 1 }));
    }
}
