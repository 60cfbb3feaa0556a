//! "Did you mean": the known name that is closest to a misspelt one.

/// The closest of `known`, if it is close enough to be what was meant.
pub(crate) fn closest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // The distance costs the product of the lengths; a name that long is no slip of the pen.
    let is_short = |name: &str| name.len() <= 100;
    if !is_short(written) {
        return None;
    }
    let wanted = written.to_lowercase();
    known
        .into_iter()
        .filter(|name| is_short(name))
        .map(|name| (strsim::damerau_levenshtein(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1.max(name.chars().count().min(wanted.chars().count()) / 3))
        .min()
        .map(|(_, name)| name)
}

/// The end of a help text: the closest name, or all of them.
pub(crate) fn help(written: &str, known: &[&str], otherwise: &str) -> String {
    match closest(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => otherwise.to_owned(),
        None => format!("{otherwise}; there is {}", listed(known)),
    }
}

/// Names for a sentence: `a`, `b` and `c`; at most twelve of them.
pub(crate) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let mut quoted: Vec<String> = names.iter().take(12).map(|n| format!("`{}`", n.as_ref())).collect();
    if names.len() > 12 {
        quoted.push(format!("{} more", names.len() - 12));
    }
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
