//! Decimals as text: exact, with as many digits after the point as the schema says.

use num_bigint::BigInt;

/// More digits than this are refused; the text may come from anybody.
const MAX_DIGITS: usize = 1000;

/// `unscaled / 10^scale` with exactly `scale` digits after the point.
pub(crate) fn to_text(unscaled: &BigInt, scale: usize) -> String {
    let digits = unscaled.magnitude().to_string();
    let sign = if unscaled.sign() == num_bigint::Sign::Minus { "-" } else { "" };
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// The unscaled number of `text`, without rounding.
pub(crate) fn from_text(text: &str, precision: usize, scale: usize) -> Result<BigInt, String> {
    let refuse = || format!("expected a decimal such as \"-12.30\", found {text:?}");
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    let dangling = unsigned.ends_with('.');
    if whole.is_empty() || !all_digits || dangling || unsigned.len() > MAX_DIGITS {
        return Err(refuse());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale {
        return Err(format!("{text} has more than {scale} digits after the point"));
    }
    let digits = format!("{whole}{fraction:0<scale$}");
    if digits.trim_start_matches('0').len() > precision {
        return Err(format!("{text} has more than {precision} digits"));
    }
    let unscaled: BigInt = digits.parse().map_err(|_| refuse())?;
    Ok(if negative { -unscaled } else { unscaled })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, scale, unscaled, back) in [
            ("12.34", 2, 1234, "12.34"),
            ("-0.05", 2, -5, "-0.05"),
            ("7", 2, 700, "7.00"),
            ("0.10", 1, 1, "0.1"),
            ("-3", 0, -3, "-3"),
            ("0", 3, 0, "0.000"),
        ] {
            assert_eq!(from_text(text, 9, scale), Ok(BigInt::from(unscaled)), "{text}");
            assert_eq!(to_text(&BigInt::from(unscaled), scale), back);
        }
    }

    #[test]
    fn what_would_be_rounded_or_is_no_decimal_is_refused() {
        for (text, expect) in [
            ("1.234", "more than 2 digits after"),
            ("1234567890", "more than 9 digits"),
            ("", "expected a decimal"),
            ("-", "expected a decimal"),
            (".5", "expected a decimal"),
            ("5.", "expected a decimal"),
            ("1e3", "expected a decimal"),
            ("1_0", "expected a decimal"),
            ("--1", "expected a decimal"),
        ] {
            let error = from_text(text, 9, 2).unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        }
    }
}
