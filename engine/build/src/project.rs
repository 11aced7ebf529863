//! A project: one manifest, its store and its output folder. The engine's front door.

use crate::artifacts::{self, Stages};
use crate::build::{BuildOptions, BuildReport, Finished, VariantReport};
use crate::error::EngineError;
use crate::events::{Event, EventSink};
use crate::executor::LOST;
use crate::finish::stages_of;
use crate::history::{self, LogEntry};
use crate::manifest::{Manifest, Overlay, VariantConfig};
use crate::recipe::Recipe;
use crate::registry::{self, Registry};
use crate::session::Session;
use crate::sources::{sample_key, scan};
use crate::tier::Tier;
use crate::watch::Watch;
use ptq_cache::{Collected, Digest, Store};
use ptq_ir::{Diagnostic, Graph, QGraph, QuantTable};
use ptq_rule::Failure;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(feature = "remote")]
use std::sync::OnceLock;
use std::time::SystemTime;

/// An opened project.
pub struct Project {
    pub(crate) root: PathBuf,
    /// When the manifest was read.
    pub(crate) began: SystemTime,
    manifest_path: PathBuf,
    pub(crate) text: String,
    pub(crate) overlay: Overlay,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) store: Arc<Store>,
    pub(crate) registry: Registry,
    /// The team's cache, opened when something is missing.
    #[cfg(feature = "remote")]
    tier: OnceLock<Option<Tier>>,
}

/// A variant's stage results, decoded.
pub struct Loaded {
    /// What parse made.
    pub original: Graph,
    /// What fuse made.
    pub optimized: Graph,
    /// What calibrate made.
    pub quant: QuantTable,
    /// What partition made.
    pub integer: QGraph,
    /// What compile made.
    pub bin: bytes::Bytes,
    /// The variant's settings.
    pub config: VariantConfig,
}

impl Project {
    /// Opens the project of this manifest.
    ///
    /// # Errors
    /// When the manifest cannot be read or is wrong, or the store does not open.
    pub fn open(manifest: &Path, overrides: &[(String, String)]) -> Result<Project, EngineError> {
        Project::open_with(manifest, &Overlay::of(overrides), registry::rules())
    }

    /// Opens the project with a profile, or with other rules for tests of the engine itself. The overlay's environment
    /// is read here: the variables that the manifest declares, no others.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn open_with(path: &Path, overlay: &Overlay, registry: Registry) -> Result<Project, EngineError> {
        Project::open_sharing(path, overlay, registry, None)
    }

    fn open_sharing(
        path: &Path,
        overlay: &Overlay,
        registry: Registry,
        opened: Option<Arc<Store>>,
    ) -> Result<Project, EngineError> {
        let began = SystemTime::now();
        let text =
            std::fs::read_to_string(path).map_err(|source| EngineError::Read { path: path.to_owned(), source })?;
        let shown = path.file_name().map_or_else(|| "ptq.toml".into(), |n| n.to_string_lossy().into_owned());
        let overlay = completed(overlay, &text, folder(path));
        let manifest = Manifest::parse(&text, &shown, &overlay).map_err(EngineError::Manifest)?;
        let root = folder(path);
        let folder = overlay.store.clone().unwrap_or_else(|| root.join(&manifest.cache_dir));
        let store = match opened.filter(|s| s.root() == folder) {
            Some(store) => store,
            None => Arc::new(Store::open(&folder)?),
        };
        Ok(Project {
            root,
            began,
            manifest_path: path.to_owned(),
            text,
            overlay,
            manifest: Arc::new(manifest),
            store,
            registry,
            #[cfg(feature = "remote")]
            tier: OnceLock::new(),
        })
    }

    /// The project as its manifest is now, with the same store where that is still the one.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub(crate) fn reopen(&self) -> Result<Project, EngineError> {
        Project::open_sharing(&self.manifest_path, &self.overlay, self.registry, Some(self.store.clone()))
    }

    /// The team's cache, where the manifest names one. One that cannot be used is warned of, once.
    #[cfg(feature = "remote")]
    pub(crate) fn tier(&self, events: &dyn EventSink) -> Option<&Tier> {
        let config = self.manifest.remote.as_ref()?;
        let open = || match Tier::open(config, &self.root, self.store.clone()) {
            Ok(tier) => Some(tier),
            Err(error) => {
                let message = format!("remote cache {}: {error}; going on without it", config.url());
                events.event(Event::Warning { variant: "cache".into(), stage: "remote".into(), message });
                None
            }
        };
        self.tier.get_or_init(open).as_ref()
    }

    /// The team's cache, for commands that are of no use without.
    ///
    /// # Errors
    /// When the manifest names none, or one that cannot be used.
    #[cfg(feature = "remote")]
    pub(crate) fn needed_tier(&self) -> Result<&Tier, EngineError> {
        let wrong = |d: Diagnostic| EngineError::Manifest(vec![d.file(self.manifest_name())]);
        let Some(config) = &self.manifest.remote else {
            let d = Diagnostic::error("MANIFEST19", "there is no remote cache");
            return Err(wrong(d.hint("add [cache] remote = { url = \"grpc://HOST:PORT\" }")));
        };
        if self.tier.get().and_then(Option::as_ref).is_none() {
            let tier = Tier::open(config, &self.root, self.store.clone());
            let tier = tier.map_err(|e| wrong(Diagnostic::error("MANIFEST19", format!("cache.remote: {e}"))))?;
            let _ = self.tier.set(Some(tier));
        }
        let none = || wrong(Diagnostic::error("MANIFEST19", "cache.remote cannot be used"));
        self.tier.get().and_then(Option::as_ref).ok_or_else(none)
    }

    /// The team's cache: never, since this program was built without.
    #[cfg(not(feature = "remote"))]
    pub(crate) fn tier(&self, events: &dyn EventSink) -> Option<&Tier> {
        if let Some(config) = &self.manifest.remote {
            let message = format!("remote cache {}: this ptq was built without the feature remote", config.url());
            events.event(Event::Warning { variant: "cache".into(), stage: "remote".into(), message });
        }
        None
    }

    /// The manifest and the files that its text, as it is now, names as parts of it.
    pub(crate) fn manifest_files(&self) -> Vec<PathBuf> {
        let text = std::fs::read_to_string(&self.manifest_path).unwrap_or_default();
        let parts = crate::manifest::rewrite_files(&text).into_iter().map(|file| self.root.join(file));
        std::iter::once(self.manifest_path.clone()).chain(parts).collect()
    }

    /// Folders that only we write.
    pub(crate) fn own_folders(&self) -> Vec<PathBuf> {
        vec![self.out(), self.store.root().to_owned()]
    }

    /// The expanded manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The manifest's file name, as messages show it.
    pub(crate) fn manifest_name(&self) -> String {
        self.manifest_path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
    }

    /// The output folder.
    pub fn out(&self) -> PathBuf {
        self.root.join(&self.manifest.out)
    }

    /// Names of the variants that the selectors choose ([`Manifest::select`]).
    ///
    /// # Errors
    /// A selector that chooses nothing.
    pub fn select(&self, selectors: &[String]) -> Result<Vec<String>, EngineError> {
        self.manifest.select(selectors).map_err(EngineError::Manifest)
    }

    /// The one variant that a selector chooses.
    ///
    /// # Errors
    /// A selector that chooses nothing, or several variants.
    pub fn one(&self, selector: &str) -> Result<String, EngineError> {
        let mut names = self.select(&[selector.to_owned()])?;
        match (names.pop(), names.last()) {
            (Some(only), None) => Ok(only),
            (last, _) => {
                let count = names.len() + usize::from(last.is_some());
                let d = Diagnostic::error("SELECT02", format!("{selector} selects {count} variants"));
                let hint = format!("name one variant, such as {}", last.unwrap_or_default());
                Err(EngineError::Manifest(vec![d.hint(hint)]))
            }
        }
    }

    /// Builds the selected variants.
    ///
    /// # Errors
    /// When nothing can be built at all; failures of single variants are in the report.
    pub fn build(&self, options: &BuildOptions, events: &dyn EventSink) -> Result<BuildReport, EngineError> {
        self.build_with(options, None, events)
    }

    /// Builds under a watch that may cancel the build.
    pub(crate) fn build_watched(
        &self,
        options: &BuildOptions,
        watch: &Arc<Watch>,
        events: &dyn EventSink,
    ) -> Result<BuildReport, EngineError> {
        self.build_with(options, Some(watch), events)
    }

    /// The recipe of a variant's last success.
    pub fn recipe(&self, variant: &str) -> Option<Recipe> {
        let file = self.manifest_name();
        let recipe = Recipe::load(&self.store, &self.manifest, self.manifest.variants.get(variant)?, &file);
        (!recipe.stages.is_empty()).then_some(recipe)
    }

    /// Makes the store small: forgets results, the oldest first, until the rest has at most `max_bytes`. What the last
    /// builds of this manifest's variants were made of stays.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn collect(&self, max_bytes: u64) -> Result<Collected, EngineError> {
        let recipes = self.manifest.variants.keys().filter_map(|v| self.recipe(v));
        let keys = recipes.flat_map(|r| r.stages.into_values().filter_map(|s| Digest::from_hex(&s.key)));
        let pinned = self.manifest.variants.keys().flat_map(|v| history::pinned(&self.store, v)).collect();
        Ok(self.store.collect(&keys.collect(), &pinned, max_bytes)?)
    }

    /// Past builds that changed a variant, the oldest first.
    pub fn log(&self, variant: &str) -> Vec<LogEntry> {
        history::read(&self.store, variant)
    }

    /// The recipe of a past build of a variant: `VARIANT@N` of [`Project::log`], or the last one of `VARIANT`.
    pub fn recipe_at(&self, what: &str) -> Option<Recipe> {
        let Some((variant, number)) = what.rsplit_once('@') else { return self.recipe(what) };
        let number: u64 = number.parse().ok()?;
        let entry = self.log(variant).into_iter().find(|e| e.number == number)?;
        let mut recipe = history::recipe(&self.store, &entry)?;
        let known = self.manifest.variants.get(variant)?;
        recipe.lines = Recipe::load(&self.store, &self.manifest, known, &self.manifest_name()).lines;
        Some(recipe)
    }

    /// File name and bytes of a variant's first calibration sample for an input; `only` says that the model has no
    /// other input.
    pub fn first_sample(&self, variant: &str, input: &str, only: bool) -> Option<(String, bytes::Bytes)> {
        let config = VariantConfig::of(self.manifest.variants.get(variant)?).ok()?;
        let scan = scan(&self.root, &self.manifest, &self.store).ok()?;
        let (_, first) = (*scan.samples.get(&sample_key(&config)?)?)?;
        let entries = self.store.tree(&first)?;
        entries.into_iter().find_map(|e| {
            let file = ptq_sample::sample_file(&e.name, input, only)?.to_owned();
            Some((file, scan.read(&e.digest)?))
        })
    }

    /// Builds what is missing of these variants; a gate that fails leaves them built.
    pub(crate) fn built(
        &self,
        options: &BuildOptions,
        names: &[String],
        events: &dyn EventSink,
    ) -> Result<(), EngineError> {
        let report = self.attempt(options, names, None, None, events)?.report;
        let errors = report.variants.iter().flat_map(VariantReport::errors);
        let problems: Vec<Diagnostic> = errors.filter(|d| !d.code.starts_with("GATE")).cloned().collect();
        if problems.is_empty() { Ok(()) } else { Err(EngineError::Manifest(problems)) }
    }

    /// A variant's stage results, building what is missing.
    ///
    /// # Errors
    /// As [`Project::build`]; the variant's own errors when it cannot be built.
    pub fn load(&self, variant: &str, events: &dyn EventSink) -> Result<Loaded, EngineError> {
        let names = vec![self.one(variant)?];
        let variant = &names[0];
        let options = BuildOptions { selectors: names.clone(), ..BuildOptions::default() };
        self.built(&options, &names, events)?;
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let session = Arc::new(Session::new(self.store.clone(), BTreeSet::new()));
        let driver = self.driver(&session, &scan, &options, &names, events);
        let found = self.manifest.variants.get(variant).cloned().unwrap_or_default();
        let config = VariantConfig::of(&found).map_err(EngineError::Manifest)?;
        let finished: Vec<Finished> =
            driver.stages(variant).into_iter().map(|(name, state)| Finished { name, state, ran: false }).collect();
        let stages = stages_of(&found, &config, &finished);
        decode(&session, &stages, config.clone()).map_err(|f| EngineError::Manifest(f.diagnostics))
    }
}

/// The folder of a manifest.
pub(crate) fn folder(manifest: &Path) -> PathBuf {
    manifest.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// An overlay with what a manifest's text asks of the environment and of files beside it.
pub(crate) fn completed(overlay: &Overlay, text: &str, folder: PathBuf) -> Overlay {
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).map_err(|e| e.to_string());
    overlay.clone().with_environment(text, |name| std::env::var(name).ok()).with_files(text, read)
}

fn decode(session: &Session, stages: &Stages<'_>, config: VariantConfig) -> Result<Loaded, Failure> {
    let tree = |stage: &str| artifacts::tree(session, stages, stage);
    let missing = || Failure::from(Diagnostic::error(LOST, "model.bin is no longer in the store"));
    Ok(Loaded {
        original: ptq_rule::read_graph(&tree("parse")?)?,
        optimized: ptq_rule::read_graph(&tree("fuse")?)?,
        quant: artifacts::quant(&tree("calibrate")?)?,
        integer: ptq_rule::read_qgraph(&tree("partition")?)?,
        bin: tree("compile")?.get("model.bin").cloned().ok_or_else(missing)?,
        config,
    })
}
