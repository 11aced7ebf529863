//! Downloading a package by name and version, and unpacking it.

use crate::command::{Ended, run};
use crate::declaration::{Kind, Package};
use crate::digest::verify;
use crate::error::{FetchError, Result, at};
use std::path::{Path, PathBuf};

const NO_APT: &str =
    "the pictures come from Debian packages; on another system name a folder that has them by PTQ_ASSETS";

/// Downloads a package into a folder of its own below `work` and returns the folder with its files.
pub(crate) fn unpack(name: &str, package: &Package, python: &Path, work: &Path) -> Result<PathBuf> {
    let (download, files) = (work.join("download").join(name), work.join("files").join(name));
    for folder in [&download, &files] {
        std::fs::create_dir_all(folder).map_err(at(folder))?;
    }
    let label = format!("{name} {}", package.version);
    let ended = match package.kind {
        Kind::Pip => pip(name, package, python, &download, "--only-binary=:all:")?,
        Kind::Sdist => pip(name, package, python, &download, "--no-binary=:all:")?,
        Kind::Apt => apt(name, package, &download)?,
    };
    if !ended.success {
        return Err(FetchError::Download { package: label, said: ended.said });
    }
    let mut found = std::fs::read_dir(&download).map_err(at(&download))?.flatten().map(|entry| entry.path());
    let Some(archive) = found.find(|path| path.extension().is_some_and(|e| e == "whl" || e == "deb" || e == "gz"))
    else {
        return Err(FetchError::Download { package: label, said: "no .whl, .tar.gz or .deb came".into() });
    };
    if let Some(pinned) = &package.sha256 {
        verify(&archive, &label, pinned)?;
    }
    let (archive, target) = (archive.as_os_str(), files.as_os_str());
    let ended = match package.kind {
        Kind::Pip => {
            let args = ["-m".as_ref(), "zipfile".as_ref(), "-e".as_ref(), archive, target];
            run(python, &args, &download, "", ("unpack a wheel", "see PTQ_ORACLE_PYTHON"))?
        }
        Kind::Sdist => {
            let args = ["-m".as_ref(), "tarfile".as_ref(), "-e".as_ref(), archive, target];
            run(python, &args, &download, "", ("unpack a source package", "see PTQ_ORACLE_PYTHON"))?
        }
        Kind::Apt => run("dpkg", &["-x".as_ref(), archive, target], &download, "", ("unpack a package", NO_APT))?,
    };
    if ended.success {
        Ok(files)
    } else {
        Err(FetchError::Step { step: format!("unpacking {label}"), said: ended.said })
    }
}

fn pip(name: &str, package: &Package, python: &Path, folder: &Path, form: &str) -> Result<Ended> {
    let wanted = format!("{name}=={}", package.version);
    let mut args = vec!["-m", "pip", "download", "--quiet", "--no-deps", form];
    if let Some(wheel) = &package.wheel {
        args.extend(["--python-version", &wheel.python, "--implementation", "cp", "--platform", &wheel.platform]);
    }
    args.push(&wanted);
    run(python, &args, folder, "", ("download a Python package", "see PTQ_ORACLE_PYTHON"))
}

/// `apt-get download`; where the system's package lists are missing or old, once more with lists of its own, which needs
/// no rights and changes nothing in the system.
fn apt(name: &str, package: &Package, folder: &Path) -> Result<Ended> {
    let wanted = format!("{name}={}", package.version);
    let purpose = ("download a Debian package", NO_APT);
    let first = run("apt-get", &["--quiet", "download", &wanted], folder, "", purpose)?;
    if first.success {
        return Ok(first);
    }
    let lists = folder.join("lists");
    std::fs::create_dir_all(lists.join("partial")).map_err(at(&lists))?;
    let own = [
        format!("Dir::State::Lists={}", lists.display()),
        format!("Dir::Cache={}", folder.display()),
        "APT::Sandbox::User=".to_owned(),
        "Acquire::Retries=2".to_owned(),
    ];
    let options: Vec<&str> = own.iter().flat_map(|o| ["-o", o.as_str()]).chain(["--quiet"]).collect();
    let updated = run("apt-get", &[&options[..], &["update"]].concat(), folder, "", purpose)?;
    if !updated.success {
        return Ok(updated);
    }
    run("apt-get", &[&options[..], &["download", wanted.as_str()]].concat(), folder, "", purpose)
}
