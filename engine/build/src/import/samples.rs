//! What can be seen of calibration files without decoding them all: endings, sizes, the first array's shape and type.

use super::inputs::Input;
use super::settings::Settings;
use ptq_ir::{DType, numel};
use std::fs::Metadata;
use std::path::{Path, PathBuf};

/// Most files of a folder that are looked at.
const MAX_FILES: usize = 10_000;
/// Deepest folder below.
const MAX_DEPTH: usize = 8;
/// Largest array that is read.
const MAX_ARRAY: u64 = 64 << 20;
/// Endings of files that are no elements one after the other.
const OTHERS: [&str; 6] = ["png", "jpg", "jpeg", "npy", "nv12", "yuv"];

/// A folder of the file.
pub(super) struct Folder<'a> {
    /// As the file writes it.
    pub(super) dir: &'a str,
    pub(super) path: PathBuf,
    pub(super) line: u32,
    /// The input that it is for.
    pub(super) input: Option<&'a Input>,
    /// Type of the elements, where the file states one for all.
    pub(super) stated: Option<DType>,
}

/// Checks what a folder holds; the first problem of a kind is told.
pub(super) fn check(s: &mut Settings, folder: &Folder<'_>) {
    let (dir, line) = (folder.dir, folder.line);
    let mut files = Vec::new();
    walk(&folder.path, 0, &mut files);
    files.sort();
    let Some(example) = files.first() else {
        s.error("IMPORT19", line, format!("cal_data_dir {dir} is empty"), "put about 100 samples there");
        return;
    };
    let read: Vec<&PathBuf> = files.iter().filter(|f| ptq_sample::ENDINGS.contains(&ending(f).as_str())).collect();
    if read.is_empty() {
        let what = format!("cal_data_dir {dir} holds no file that is read, {} for example", shown(example));
        let hint = format!("rename the files: endings that are read are {}", ptq_sample::ENDINGS.join(", "));
        s.warn("IMPORT19", line, what, &hint);
    }
    if let Some((file, why)) = read.iter().find_map(|f| Some((f, unreadable(f)?))) {
        let what = format!("file {} of cal_data_dir {dir} cannot be read: {why}", shown(file));
        s.error("IMPORT19", line, what, "make it readable, or remove it");
        return;
    }
    if let Some((input, shape)) = folder.input.and_then(|i| Some((i, dims(i)?))) {
        raw_sizes(s, folder, input, &shape, &read);
        first_array(s, folder, &shape, &read);
    }
}

/// Files that a build would see: hidden ones are left out, and folders below are walked.
fn walk(path: &Path, depth: usize, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if out.len() >= MAX_FILES {
            return;
        }
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        if !path.is_dir() {
            out.push(path);
        } else if depth < MAX_DEPTH {
            walk(&path, depth + 1, out);
        }
    }
}

fn ending(file: &Path) -> String {
    file.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

fn shown(file: &Path) -> String {
    file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn unreadable(file: &Path) -> Option<String> {
    // Only files are opened: to open a pipe waits for its other end.
    let opened = |m: Metadata| if m.is_file() { std::fs::File::open(file).map(drop) } else { Ok(()) };
    std::fs::metadata(file).and_then(opened).err().map(|e| e.to_string())
}

fn dims(input: &Input) -> Option<Vec<usize>> {
    input.shape.as_ref()?.iter().map(|&d| usize::try_from(d).ok()).collect()
}

/// Files without a header hold exactly the input's elements.
fn raw_sizes(s: &mut Settings, folder: &Folder<'_>, input: &Input, shape: &[usize], files: &[&PathBuf]) {
    let Some(elements) = numel(shape).and_then(|n| u64::try_from(n).ok()) else { return };
    let types = match (folder.stated, input.dtype) {
        (Some(stated), _) => vec![stated],
        // Without a type, one byte an element is a pixel.
        (None, DType::F32) => vec![DType::F32, DType::U8],
        (None, other) => vec![other],
    };
    let legal: Vec<u64> = types.iter().map(|t| elements.saturating_mul(t.bytes() as u64)).collect();
    let size = |f: &Path| std::fs::metadata(f).ok().filter(Metadata::is_file).map(|m| m.len());
    let raw = files.iter().filter(|f| !OTHERS.contains(&ending(f).as_str()));
    let wrong: Vec<(&&PathBuf, u64)> =
        raw.filter_map(|f| Some((f, size(f)?))).filter(|(_, size)| !legal.contains(size)).collect();
    let Some((file, size)) = wrong.first() else { return };
    let wanted: Vec<String> = types.iter().zip(&legal).map(|(t, n)| format!("{n} ({t})")).collect();
    let others =
        if wrong.len() > 1 { format!(", and {} more files do not fit", wrong.len() - 1) } else { String::new() };
    let what = format!(
        "file {} of cal_data_dir {} holds {size} bytes, shape {shape:?} of input {} takes {}{others}",
        shown(file),
        folder.dir,
        input.name,
        wanted.join(" or ")
    );
    let hint = match DType::ALL.iter().find(|t| elements.checked_mul(t.bytes() as u64) == Some(*size)) {
        Some(t) => format!("the size is that of {t}: change cal_data_type, or store the samples anew"),
        None => "store one sample of the input's shape in each file, without a header".to_owned(),
    };
    s.error("IMPORT19", folder.line, what, &hint);
}

/// The first array states its shape and type.
fn first_array(s: &mut Settings, folder: &Folder<'_>, shape: &[usize], files: &[&PathBuf]) {
    let Some(file) = files.iter().find(|f| ending(f) == "npy") else { return };
    let small = std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.len() <= MAX_ARRAY);
    let Some(bytes) = small.then(|| std::fs::read(file).ok()).flatten() else { return };
    let (name, dir, line) = (shown(file), folder.dir, folder.line);
    let array = match ptq_sample::read_npy(&bytes) {
        Ok(array) => array,
        Err(why) => {
            let what = format!("file {name} of cal_data_dir {dir} is no array: {why}");
            s.error("IMPORT19", line, what, "store it with numpy.save");
            return;
        }
    };
    if array.shape() != shape && !(shape.first() == Some(&1) && array.shape() == &shape[1..]) {
        let what =
            format!("file {name} of cal_data_dir {dir} holds shape {:?}, the input wants {shape:?}", array.shape());
        s.error("IMPORT19", line, what, "give each sample the input's shape; axes are not reordered");
    } else if let Some(stated) = folder.stated.filter(|t| *t != array.dtype()) {
        let what = format!("file {name} of cal_data_dir {dir} holds {}, cal_data_type says {stated}", array.dtype());
        s.error("IMPORT19", line, what, "change cal_data_type, or leave it out: .npy files state their type");
    }
}
