//! The marches that come with the program.

use std::borrow::Cow;
use toml::{Table, Value};

/// Name and text of every built-in march, sorted by name.
const BUILT_IN: &[(&str, &str)] = &[
    ("bayes", include_str!("../data/bayes.toml")),
    ("bayes-e", include_str!("../data/bayes-e.toml")),
    ("bernoulli2", include_str!("../data/bernoulli2.toml")),
    ("cpu", include_str!("../data/cpu.toml")),
    ("nash-e", include_str!("../data/nash-e.toml")),
];

/// Targets of other tools' models, for comparing predictions only; sorted by name.
const MODELS: &[(&str, &str)] = &[
    ("scalesim-32x32", include_str!("../data/models/scalesim-32x32.toml")),
    ("vela-u65-512", include_str!("../data/models/vela-u65-512.toml")),
    ("vela-u85-2048", include_str!("../data/models/vela-u85-2048.toml")),
    ("zigzag-tpu-like", include_str!("../data/models/zigzag-tpu-like.toml")),
];

/// Names of the targets that only stand for another tool's model, sorted. [`source`] knows them too.
pub fn model_names() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|(name, _)| *name)
}

/// Names of the built-in marches, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// Text of a built-in march file, complete: what a file takes over from its `[base]` march is written out.
pub fn source(name: &str) -> Option<Cow<'static, str>> {
    let (_, text) = BUILT_IN.iter().chain(MODELS).find(|(n, _)| *n == name)?;
    if !text.contains("\n[base]") {
        return Some(Cow::Borrowed(text));
    }
    let Ok(mut table) = text.parse::<Table>() else { return Some(Cow::Borrowed(text)) };
    match table.remove("base") {
        Some(Value::Table(base)) => {
            let source = source(base.get("march")?.as_str()?)?;
            let merged = merge(source.parse().ok()?, &base, table);
            toml::to_string(&merged).ok().map(Cow::Owned)
        }
        _ => Some(Cow::Borrowed(text)),
    }
}

/// A base march with the changes of another: tables and operators that the other names replace the base's, `without`
/// removes operators, `provenance` is what the inherited operators get.
fn merge(mut table: Table, base: &Table, own: Table) -> Table {
    let without: Vec<&str> =
        base.get("without").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(ops) = table.get_mut("op").and_then(Value::as_table_mut) {
        without.iter().for_each(|op| drop(ops.remove(*op)));
        if let Some(provenance) = base.get("provenance") {
            for entry in ops.iter_mut().filter_map(|(_, e)| e.as_table_mut()) {
                entry.insert("provenance".to_owned(), provenance.clone());
            }
        }
    }
    if let (Some(shared), Some(provenance)) =
        (table.get_mut("shared").and_then(Value::as_array_mut), base.get("provenance"))
    {
        for block in shared.iter_mut().filter_map(Value::as_table_mut) {
            block.insert("provenance".to_owned(), provenance.clone());
        }
    }
    for (key, value) in own {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(ops)), Value::Table(new)) if key == "op" => ops.extend(new),
            (_, value) => drop(table.insert(key, value)),
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::March;

    fn march(name: &str) -> March {
        March::from_toml(&source(name).expect("listed")).expect("valid")
    }

    #[test]
    fn a_march_takes_over_what_it_does_not_change() {
        let (bayes, bernoulli2) = (march("bayes"), march("bernoulli2"));
        assert_eq!(bernoulli2.op["DepthToSpace"].limits["block"], bayes.op["DepthToSpace"].limits["block"]);
        assert_eq!(bernoulli2.op["Conv"].limits["kernel"], (1, 7).into());
        assert!(!bernoulli2.op.contains_key("Reshape"), "on the CPU there");
        assert_eq!(march("nash-e").op["Conv"].provenance, crate::Provenance::Assumed);
        assert_eq!(march("nash-e").shared[0].provenance, crate::Provenance::Assumed);
    }

    #[test]
    fn shared_limits_are_limits_of_every_operator_that_they_name() {
        let (bayes, bernoulli2) = (march("bayes"), march("bernoulli2"));
        assert_eq!(bayes.op["Sigmoid"].limits["inner_extents"], (1, 65536).into());
        assert!(!bayes.op["Sigmoid"].limits.contains_key("image_batch"), "named by another block");
        assert_eq!(bayes.op["Slice"].limits["image_batch"], (1, 4096).into());
        assert!(bayes.op["Gemm"].limits.is_empty(), "replaced");
        assert_eq!(bernoulli2.op["Sigmoid"].limits["aligned_elements"], (1, 8192).into());
    }

    #[test]
    fn forms_of_an_operator_stand_behind_it() {
        let bayes = march("bayes");
        let ranks: Vec<_> = bayes.forms("Conv").iter().map(|(_, e)| e.limits["rank"].min).collect();
        assert_eq!(ranks, [4, 5]);
        assert_eq!((bayes.forms("ConvTranspose").len(), bayes.forms("Nothing").len()), (1, 0));
    }
}
