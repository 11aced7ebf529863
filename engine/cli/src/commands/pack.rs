//! `ptq pack`, and how other commands find a model in a packed file.

use super::read;
use crate::args::{Global, Pack};
use crate::failure::Failure;
use ptq_sim::artifact::{self, Packed};
use std::path::Path;

pub(crate) fn run(global: &Global, args: &Pack) -> Result<u8, Failure> {
    let mut models = args.models.iter().map(|given| one(given)).collect::<Result<Vec<_>, _>>()?;
    tell_apart(&mut models, &args.models);
    let bytes = artifact::pack(&models).map_err(|e| {
        Failure::Failed(format!(
            "error: {e}\n  help: names are the models' own, or else their folders'; NAME=FILE gives another one"
        ))
    })?;
    std::fs::write(&args.output, &bytes)
        .map_err(|e| Failure::Failed(format!("error: {}: {e}", args.output.display())))?;
    if !global.quiet {
        for m in &models {
            println!("{} {} bytes", m.name, m.bin.len());
        }
        println!("{} models, {} bytes -> {}", models.len(), bytes.len(), args.output.display());
    }
    Ok(0)
}

/// Models of one name, as every variant of a model has it, take the names of their folders.
fn tell_apart(models: &mut [Packed], given: &[String]) {
    let names: Vec<String> = models.iter().map(|m| m.name.clone()).collect();
    let is_twice = |name: &String| names.iter().filter(|n| *n == name).count() > 1;
    for (model, given) in models.iter_mut().zip(given).filter(|(m, _)| is_twice(&m.name)) {
        let path = Path::new(given);
        let folder = path.parent().and_then(Path::file_name).filter(|_| path.exists());
        if let Some(folder) = folder {
            model.name = folder.to_string_lossy().into_owned();
        }
    }
}

/// `FILE`, under the model's own name, or `NAME=FILE`.
fn one(given: &str) -> Result<Packed, Failure> {
    let named = given.split_once('=').filter(|_| !Path::new(given).exists());
    let path = Path::new(named.map_or(given, |(_, file)| file));
    let bin = read(path)?;
    let failed = |e: &dyn std::fmt::Display| Failure::Failed(format!("error: {}: {e}", path.display()));
    if artifact::is_packed(&bin) {
        return Err(failed(&"it is a packed file, which cannot be packed again"));
    }
    let name = match named {
        Some((name, _)) => name.to_owned(),
        None => artifact::decode(&bin).map_err(|e| failed(&e))?.name,
    };
    Ok(Packed { name, bin: bin.into() })
}

/// The `.bin` that a file holds: itself, or of a packed file the model of this name.
pub(crate) fn select(path: &Path, name: Option<&str>) -> Result<Vec<u8>, Failure> {
    let bytes = read(path)?;
    let shown = path.display();
    if !artifact::is_packed(&bytes) {
        return match name {
            None => Ok(bytes),
            Some(_) => Err(Failure::Usage(format!("error: {shown} is not a packed file\n  help: leave --model away"))),
        };
    }
    let models = artifact::unpack(&bytes).map_err(|e| Failure::Failed(format!("error: {shown}: {e}")))?;
    let names: Vec<&str> = models.iter().map(|m| m.name.as_str()).collect();
    let found = match name {
        None if models.len() == 1 => models.first(),
        None => None,
        Some(name) => models.iter().find(|m| m.name == name),
    };
    let what = name.map_or_else(|| format!("holds {} models", models.len()), |n| format!("has no model {n:?}"));
    found.map(|m| m.bin.to_vec()).ok_or_else(|| {
        Failure::Usage(format!("error: {shown} {what}\n  help: --model NAME, one of: {}", names.join(", ")))
    })
}
