//! The sandbox of external stages: bubblewrap, which shows a command the system's programs, its own folder and nothing else.

use std::ffi::OsString;
use std::path::Path;

/// The sandbox program.
const PROGRAM: &str = "bwrap";
/// Where a command finds its folder.
pub(crate) const INSIDE: &str = "/stage";
/// Folders of the system that a command sees, read only, where they exist.
const SYSTEM: [&str; 10] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/nix/store", "/run/systemd/resolve"];

/// A command that succeeds where the sandbox works.
pub(crate) fn probe() -> Vec<String> {
    [PROGRAM, "--unshare-all", "--ro-bind", "/", "/", "--", "true"].map(str::to_owned).to_vec()
}

/// What a sandbox shows.
pub(crate) struct View<'a> {
    /// The command's folder, writable, at [`INSIDE`].
    pub(crate) folder: &'a Path,
    /// Further folders, read only, where they are.
    pub(crate) mount: &'a [std::path::PathBuf],
    /// The project, which is hidden.
    pub(crate) hidden: &'a Path,
    /// Whether there is a network.
    pub(crate) network: bool,
}

impl View<'_> {
    /// The command in this view. It is alone with its processes and ends with us.
    pub(crate) fn wrap(&self, words: &[String]) -> Vec<OsString> {
        let mut out: Vec<OsString> =
            [PROGRAM, "--unshare-all", "--die-with-parent", "--new-session"].map(OsString::from).to_vec();
        let mut add = |list: &[&dyn AsRef<std::ffi::OsStr>]| out.extend(list.iter().map(|w| w.as_ref().to_owned()));
        if self.network {
            add(&[&"--share-net"]);
        }
        for folder in SYSTEM {
            add(&[&"--ro-bind-try", &folder, &folder]);
        }
        add(&[&"--proc", &"/proc", &"--dev", &"/dev", &"--tmpfs", &"/tmp"]);
        if SYSTEM.iter().any(|s| self.hidden.starts_with(s)) {
            add(&[&"--tmpfs", &self.hidden]);
        }
        for folder in self.mount {
            add(&[&"--ro-bind", folder, folder]);
        }
        add(&[&"--bind", &self.folder, &INSIDE, &"--chdir", &INSIDE, &"--"]);
        out.extend(words.iter().map(OsString::from));
        out
    }
}
