//! The library's errors as ours: what happened, and whether trying again may help.

use std::error::Error as _;

use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::RawError;

use crate::error::RegistryError;

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum About<'a> {
    Registry,
    Id(u32),
    Subject(&'a str),
}

pub(super) fn classify(error: &SRCError, url: &str, about: About<'_>) -> RegistryError {
    if let Some(raw) = source::<RawError>(error) {
        let status = status(error);
        return answered(status, raw.error_code, raw.message.clone(), url, about);
    }
    let url = url.to_owned();
    let reason = chain(error);
    let Some(http) = source::<reqwest::Error>(error) else {
        return RegistryError::Unusable { url, reason };
    };
    if http.is_timeout() {
        return RegistryError::Timeout { url };
    }
    if http.is_decode() {
        return RegistryError::Unusable { url, reason };
    }
    let lower = reason.to_lowercase();
    if lower.contains("certificate") || lower.contains("unknownissuer") {
        return RegistryError::Untrusted { url, reason };
    }
    RegistryError::Unreachable { url, reason }
}

fn answered(status: u16, code: u32, message: String, url: &str, about: About<'_>) -> RegistryError {
    let url = url.to_owned();
    match (status, code, about) {
        (401 | 403, ..) => RegistryError::Unauthorized { url, status },
        (408 | 429 | 500.., ..) => RegistryError::Unavailable { url, status, code, message },
        (404, 40401..=40403, About::Id(id)) => RegistryError::UnknownId { url, id },
        // Newer registries of Confluent say 40901.
        (409, 409 | 40901, About::Subject(subject)) => {
            RegistryError::Incompatible { subject: subject.to_owned(), message }
        }
        (_, 40401..=40404, About::Subject(subject)) => {
            RegistryError::NotRegistered { subject: subject.to_owned(), code, message }
        }
        _ => RegistryError::Refused { status, code, message },
    }
}

/// The library tells the status in its text only.
fn status(error: &SRCError) -> u16 {
    let after = error.error.split("status ").nth(1).unwrap_or_default();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

fn source<T: std::error::Error + 'static>(error: &SRCError) -> Option<&T> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

fn chain(error: &SRCError) -> String {
    let mut causes = vec![error.error.clone()];
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_codes_say_whether_to_try_again() {
        let subject = About::Subject("s");
        for (status, code, about, retryable, expect) in [
            (500, 50001, subject, true, "status 500"),
            (503, 0, About::Registry, true, "status 503"),
            (429, 42901, subject, true, "status 429"),
            (401, 40101, subject, false, "credentials"),
            (404, 40403, About::Id(7), false, "no schema with id 7"),
            (404, 40401, subject, false, "subject s: text"),
            (409, 409, subject, false, "subject s: text"),
            (409, 40901, subject, false, "subject s: text"),
            (409, 40405, subject, false, "refused with status 409"),
            (422, 42201, subject, false, "error code 42201"),
        ] {
            let error = answered(status, code, "text".to_owned(), "http://r", about);
            assert_eq!(error.is_retryable(), retryable, "{error}");
            assert!(error.to_string().contains(expect), "{error}");
        }
    }
}
