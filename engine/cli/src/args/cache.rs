//! Arguments of `ptq cache`.

#[cfg(feature = "remote")]
use super::Select;
use clap::{Args as ClapArgs, Subcommand};

#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  ptq cache stats\n  ptq cache gc --max-size '10 GiB'\n  ptq cache pull 'lite0-*'\n  ptq -D cache.remote.mode=read-write cache push\n\ndocs/team-cache.md says how a team shares results."
)]
pub(crate) struct Cache {
    #[command(subcommand)]
    pub(crate) action: CacheAction,
}

#[derive(Subcommand)]
pub(crate) enum CacheAction {
    /// Count entries and bytes, and see whether the remote cache answers
    Stats {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read everything; remove what is corrupt, forget results that are not complete
    Verify {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget old results that no variant of the manifest needs
    Gc {
        /// Bytes that may stay, such as "2 GiB"; 0 keeps only what variants need
        #[arg(long, value_name = "SIZE", default_value = "0", value_parser = size)]
        max_size: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget everything
    Clear,
    /// Store what is here of the selected variants in the remote cache of the manifest
    #[cfg(feature = "remote")]
    Push {
        #[command(flatten)]
        select: Select,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring what the remote cache of the manifest has of the selected variants
    #[cfg(feature = "remote")]
    Pull {
        #[command(flatten)]
        select: Select,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A number of bytes, also with KiB, MiB or GiB.
fn size(text: &str) -> Result<u64, String> {
    if text == "0" { Some(0) } else { ptq_engine::manifest::bytes(text) }
        .ok_or_else(|| format!("{text:?} is not a number of bytes, such as 2 GiB"))
}
