//! Times, ages and bytes as text.

use std::fmt::Write as _;

use jiff::Timestamp;

/// A time in ms since 1970 as RFC 3339 in UTC, with milliseconds; the number itself where it is no time.
pub fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}

/// A span in its two largest units: `850ms`, `12s`, `3m 20s`, `2h 5m`, `4d 3h`. A negative one counts as none.
pub fn age(ms: i64) -> String {
    const SECOND: i64 = 1_000;
    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let two = |large: i64, unit: &str, small: i64, smaller: &str| match ms % large / small {
        0 => format!("{}{unit}", ms / large),
        rest => format!("{}{unit} {rest}{smaller}", ms / large),
    };
    match ms {
        ..=0 => "0s".to_owned(),
        1..SECOND => format!("{ms}ms"),
        SECOND..MINUTE => format!("{}s", ms / SECOND),
        MINUTE..HOUR => two(MINUTE, "m", SECOND, "s"),
        HOUR..DAY => two(HOUR, "h", MINUTE, "m"),
        DAY.. => two(DAY, "d", HOUR, "h"),
    }
}

/// How far `then_ms` lies from `now_ms`: `in 3m`, or `3m ago`.
pub fn distance(then_ms: i64, now_ms: i64) -> String {
    match then_ms.saturating_sub(now_ms) {
        ahead @ 1.. => format!("in {}", age(ahead)),
        behind => format!("{} ago", age(behind.saturating_neg())),
    }
}

/// A number with its thousands apart: `12 345`.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes as text, if they are UTF-8 that a terminal can show as it is.
pub fn text(bytes: &[u8]) -> Option<&str> {
    let shows = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    std::str::from_utf8(bytes).ok().filter(|text| text.chars().all(shows))
}

/// At most `most` characters of `text`, in one line.
pub fn shortened(text: &str, most: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(most) {
        Some(_) => line.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_its_two_largest_units() {
        let cases = [
            (-5, "0s"),
            (0, "0s"),
            (850, "850ms"),
            (12_999, "12s"),
            (60_000, "1m"),
            (200_000, "3m 20s"),
            (7_500_000, "2h 5m"),
            (356_400_000, "4d 3h"),
            (i64::MAX, "106751991167d 7h"),
        ];
        for (ms, text) in cases {
            assert_eq!(age(ms), text);
        }
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(time(1_795_000_000_120), "2026-11-18T11:06:40.120Z");
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(i64::MAX), i64::MAX.to_string());
        assert_eq!(distance(5_000, 1_000), "in 4s");
        assert_eq!(distance(1_000, 5_000), "4s ago");
    }

    #[test]
    fn numbers_can_be_read_at_a_glance() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1 000"), (-1_234_567, "-1 234 567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn only_what_a_terminal_can_show_is_text() {
        assert_eq!(text("Größe\n".as_bytes()), Some("Größe\n"));
        assert_eq!(text(b"\x1b[2J"), None, "an escape sequence would take over the terminal");
        assert_eq!(text(b"\xff"), None);
        assert_eq!((hex(b"\x00\xff").as_str(), shortened("a\nbcd", 4).as_str()), ("00ff", "a b…"));
    }
}
