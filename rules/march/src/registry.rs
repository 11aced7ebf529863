//! The marches that come with the program.

/// Name and text of every built-in march, sorted by name.
const BUILT_IN: &[(&str, &str)] =
    &[("bayes", include_str!("../data/bayes.toml")), ("cpu", include_str!("../data/cpu.toml"))];

/// Names of the built-in marches, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// Text of a built-in march file.
pub fn source(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}
