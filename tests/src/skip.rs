//! Skipping, and forbidding it.
//!
//! A test that wants fetched models or an outside oracle says so with [`need`]. Where it is missing the test prints one
//! line and passes; with `PTQ_REQUIRE_ALL=1`, as CI sets it, it fails instead.

/// `Some(value)` when what a test needs is there. Otherwise prints why the test is skipped, or fails it when
/// `PTQ_REQUIRE_ALL` is `1`.
///
/// # Panics
/// When skips are forbidden: that is its purpose.
pub fn need<T>(what: Result<T, String>) -> Option<T> {
    match what {
        Ok(value) => Some(value),
        Err(missing) => {
            let required = std::env::var_os("PTQ_REQUIRE_ALL").is_some_and(|v| v == "1");
            assert!(!required, "missing, and PTQ_REQUIRE_ALL=1 forbids skipping: {missing}");
            report(&missing);
            None
        }
    }
}

#[allow(clippy::print_stderr)]
fn report(missing: &str) {
    eprintln!("skipped: {missing}");
}
