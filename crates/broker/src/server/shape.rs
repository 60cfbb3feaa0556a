//! Walks a request before it is decoded, so that no length in it can make the decoder take memory that the frame does not
//! pay for. The shapes stand in [`super::shapes`].

/// Elements of all arrays of one request together.
const MAX_ELEMENTS: usize = 1_000_000;

/// Whether `body` begins with the shape of the request at `version`. Bytes behind it are no mistake: librdkafka sends such
/// behind a metadata request for all topics, and Apache Kafka takes them.
pub(crate) fn fits(shape: &str, version: i16, flexible: bool, body: &[u8]) -> bool {
    let mut walk = Walk { rest: body, version, flexible, elements: MAX_ELEMENTS };
    walk.fields(shape.as_bytes()).is_some() && walk.tags().is_some()
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
}

impl Walk<'_> {
    fn fields(&mut self, mut shape: &[u8]) -> Option<()> {
        while let Some((&first, after)) = shape.split_first() {
            shape = match first {
                b'[' | b'(' => {
                    let (inner, after) = split_bracket(after);
                    self.array(inner, first == b'[')?;
                    after
                }
                b'{' => {
                    let (inner, after) = split_bracket(after);
                    self.conditional(inner)?;
                    after
                }
                field => {
                    self.field(field)?;
                    after
                }
            };
        }
        Some(())
    }

    fn field(&mut self, field: u8) -> Option<()> {
        match field {
            b'b' => self.skip(1),
            b'h' => self.skip(2),
            b'i' => self.skip(4),
            b'l' => self.skip(8),
            b'u' => self.skip(16),
            b's' => {
                let length = self.length(2)?;
                self.skip(length.unwrap_or(0))
            }
            b'd' => {
                let length = self.length(4)?;
                self.skip(length.unwrap_or(0))
            }
            _ => None,
        }
    }

    fn array(&mut self, inner: &[u8], of_structs: bool) -> Option<()> {
        let count = self.length(4)?.unwrap_or(0);
        self.elements = self.elements.checked_sub(count)?;
        for _ in 0..count {
            self.fields(inner)?;
            if of_structs {
                self.tags()?;
            }
        }
        Some(())
    }

    /// `lo-hi:fields`, there at these versions only.
    fn conditional(&mut self, inner: &[u8]) -> Option<()> {
        let text = std::str::from_utf8(inner).ok()?;
        let (range, fields) = text.split_once(':')?;
        let (low, high) = range.split_once('-')?;
        if (low.parse().ok()?..=high.parse().ok()?).contains(&self.version) {
            self.fields(fields.as_bytes())?;
        }
        Some(())
    }

    /// A length, compact or of `width` bytes; `Some(None)` is null.
    fn length(&mut self, width: usize) -> Option<Option<usize>> {
        if self.flexible {
            return Some(usize::try_from(self.varint()?).ok()?.checked_sub(1));
        }
        let (head, rest) = self.rest.split_at_checked(width)?;
        self.rest = rest;
        let value = match *head {
            [a, b] => i32::from(i16::from_be_bytes([a, b])),
            [a, b, c, d] => i32::from_be_bytes([a, b, c, d]),
            _ => return None,
        };
        if value < -1 { None } else { Some(usize::try_from(value).ok()) }
    }

    fn tags(&mut self) -> Option<()> {
        if !self.flexible {
            return Some(());
        }
        for _ in 0..self.varint()? {
            self.elements = self.elements.checked_sub(1)?;
            self.varint()?;
            let size = usize::try_from(self.varint()?).ok()?;
            self.skip(size)?;
        }
        Some(())
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }
}

/// Splits behind the bracket that closes the one just opened.
fn split_bracket(shape: &[u8]) -> (&[u8], &[u8]) {
    let mut depth = 1;
    for (at, byte) in shape.iter().enumerate() {
        match byte {
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (&shape[..at], &shape[at + 1..]);
        }
    }
    (shape, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_told_from_what_does_not() {
        assert!(fits("sh", 0, false, &[0, 1, b'a', 0, 7]));
        assert!(fits("sh", 0, false, &[255, 255, 0, 7]), "null string");
        assert!(fits("sh", 0, false, &[0, 1, b'a', 0, 7, 0]), "something behind the end");
        assert!(!fits("sh", 0, false, &[0, 1, b'a', 0]), "something missing");
        assert!(fits("s(i)", 0, true, &[2, b'a', 2, 0, 0, 0, 9, 0]), "compact");
        assert!(
            fits("{1-2:h}b", 3, false, &[1])
                && !fits("{1-2:h}b", 2, false, &[1])
                && fits("{1-2:h}b", 2, false, &[0, 0, 1])
        );
    }

    #[test]
    fn lengths_that_the_frame_does_not_pay_for_are_refused() {
        assert!(!fits("[i]", 0, false, &[0x7f, 0xff, 0xff, 0xff]));
        assert!(!fits("[i]", 0, true, &[0xff, 0xff, 0xff, 0xff, 0x0f]));
        assert!(!fits("d", 0, false, &[0x7f, 0xff, 0xff, 0xff, 1]));
        assert!(!fits("s", 0, false, &[0x80, 0]), "negative length");
        let empty_structs = [[0x00, 0x1e, 0x84, 0x80].as_slice(), &[0; 8]].concat();
        assert!(!fits("[]", 0, false, &empty_structs), "two million elements of nothing");
    }

    #[test]
    fn garbage_never_panics() {
        let mut state = 1u64;
        for length in 0..300 {
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as u8
            })
            .take(length)
            .collect();
            for shape in super::super::shapes::ALL {
                for version in shape.min..=shape.max {
                    fits(shape.fields, version, version >= shape.flexible_from, &bytes);
                }
            }
        }
    }
}
