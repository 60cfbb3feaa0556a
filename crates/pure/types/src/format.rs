//! How the mesh's own records become bytes: one version byte, then CBOR (RFC 8949).
//!
//! Fields are numbered and optional ones may be added, so version 1 grows without a new version; a reader refuses a
//! version that it does not know instead of guessing. The first byte is never 0, which is how Avro in Confluent's
//! wire format starts. `golden/` holds one record of each shape as it was first written: they must decode for ever.

use minicbor::{Decode, Encode};

/// Media type of the mesh's own records, in the `content-type` header.
pub const CONTENT_TYPE: &str = "application/vnd.quadrille+cbor";

const VERSION: u8 = 1;

/// Why bytes are not one of our records. None of these is retryable: the bytes will not change.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// There is no version byte.
    #[error("the record is empty")]
    Empty,
    /// A newer writer, or not our record at all.
    #[error(
        "format version {0} is not known here (this build reads version {VERSION}): update this service, or look at who writes to this topic"
    )]
    Version(u8),
    /// The version fits, the content does not.
    #[error("the record is damaged: {0}")]
    Damaged(String),
}

/// The bytes of `record`.
pub fn encode<T: Encode<()>>(record: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    minicbor::encode(record, &mut bytes).expect("writing to memory does not fail");
    bytes
}

/// The record in `bytes`, all of them.
pub fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Error> {
    match bytes {
        [] => Err(Error::Empty),
        [VERSION, rest @ ..] => {
            let mut decoder = minicbor::Decoder::new(rest);
            let record = decoder.decode().map_err(|e| Error::Damaged(e.to_string()))?;
            match rest.len() - decoder.position() {
                0 => Ok(record),
                extra => Err(Error::Damaged(format!("{extra} bytes follow the record"))),
            }
        }
        [version, ..] => Err(Error::Version(*version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(decode::<u32>(&[]), Err(Error::Empty));
        assert_eq!(decode::<u32>(&[0, 0, 0, 0, 7]), Err(Error::Version(0)));
        assert!(matches!(decode::<u32>(&[1]), Err(Error::Damaged(_))));
        assert_eq!(decode::<u32>(&[1, 7]), Ok(7));
        assert_eq!(decode::<u32>(&[1, 7, 7]), Err(Error::Damaged("1 bytes follow the record".into())));
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = decode::<crate::fact::Fact>(&bytes);
            let _ = decode::<crate::command::Command>(&bytes);
            let _ = decode::<crate::journal::Entry>(&bytes);
            let _ = decode::<crate::definition::Change>(&bytes);
        }
    }
}
