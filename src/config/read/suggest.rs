//! "Did you mean": the nearest of a few names.

/// The name that `written` was probably meant to be: at most a third of its letters away, as `rustc` judges it, and not all.
/// `-` and `_`, upper and lower case count as the same.
pub(super) fn nearest<'n>(written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let written = plain(written);
    let letters = written.chars().count();
    let allowed = (letters.max(3) / 3).min(letters.saturating_sub(1));
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written, &plain(name)), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// "did you mean `x`?", or else a list of what is possible.
pub(super) fn help(written: &str, names: &[&str]) -> String {
    match nearest(written, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("possible: {}", list(names)),
    }
}

/// `a`, `b`, `c`
pub(super) fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
