//! What lies over a manifest: `--profile`, `-D`, and the values of the environment variables that it declares.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the command line and the environment add to a manifest's text. Part of what names a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    /// `-D key=value`, later ones win; laid over every variant, also over its profile.
    pub define: Vec<(String, String)>,
    /// `--profile`: the `[profile.NAME]` laid over every variant.
    pub profile: Option<String>,
    /// `--store`: folder of the store, instead of the manifest's.
    pub store: Option<PathBuf>,
    /// Values of the variables that `[project] env` and `env` of the stages name; nothing else of the environment is ever seen.
    pub environment: BTreeMap<String, String>,
    /// Texts of the files of rewrites that the manifest names, or why there is none.
    pub files: BTreeMap<String, Result<String, String>>,
}

impl Overlay {
    /// An overlay of `-D` pairs alone.
    pub fn of(define: &[(String, String)]) -> Overlay {
        Overlay { define: define.to_vec(), ..Overlay::default() }
    }

    /// This overlay with the files of rewrites that a manifest's text names, asked of `read`.
    #[must_use]
    pub fn with_files(mut self, text: &str, read: impl Fn(&str) -> Result<String, String>) -> Overlay {
        self.files = super::rewrite_files(text).into_iter().map(|path| (path.clone(), read(&path))).collect();
        self
    }

    /// This overlay with the variables that a manifest's text declares, asked of `value`.
    #[must_use]
    pub fn with_environment(mut self, text: &str, value: impl Fn(&str) -> Option<String>) -> Overlay {
        let table = toml::from_str::<toml::Table>(text).unwrap_or_default();
        let groups = ["stage", "custom_op"].into_iter().filter_map(|group| table.get(group)?.as_table());
        let commands = groups.flatten().map(|(_, command)| command);
        let declared = table.get("project").into_iter().chain(commands).filter_map(|t| t.get("env"));
        self.environment = declared
            .filter_map(toml::Value::as_array)
            .flatten()
            .filter_map(|name| Some((name.as_str()?.to_owned(), value(name.as_str()?)?)))
            .collect();
        self
    }
}
