//! Values of `ce-` headers: what is not printable ASCII, spaces, `"` and `%` are percent-encoded as UTF-8.
//!
//! Source: CloudEvents HTTP protocol binding 1.0.2, section 3.1.3.2.

/// `text` as the value of a header.
pub fn encode(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (0x21..=0x7e).contains(&byte) && !b"\"%".contains(&byte) {
            value.push(char::from(byte));
        } else {
            value.push_str(&format!("%{byte:02X}"));
        }
    }
    value
}

/// The text in a header's value; what is not percent-encoded as it should be stays as it is.
pub fn decode(value: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.trim_ascii();
    if let [b'"', inner @ .., b'"'] = rest {
        rest = inner;
    }
    while let [first, tail @ ..] = rest {
        let byte = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_comes_back() {
        for (text, value) in [
            ("OrderPlaced", "OrderPlaced"),
            ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("a\"b%c\r\n", "a%22b%25c%0D%0A"),
        ] {
            assert_eq!(encode(text), value);
            assert_eq!(decode(value.as_bytes()), text);
        }
        assert_eq!(decode(b"\"quoted\""), "quoted");
        assert_eq!(decode(b"100%"), "100%");
    }
}
