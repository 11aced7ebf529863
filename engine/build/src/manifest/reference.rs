//! The reference page of the manifest's keys, made from their table. Written by `--bin docs`.

use super::keys::{KEYS, KeyType, LATER};

/// The reference page of all keys, in Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Keys of `ptq.toml`\n\nGenerated from the table in `engine/build/src/manifest/keys.rs`; a test keeps it fresh.\n\n\
         Tables: `[project]` (`out`; `env`, the environment variables that texts may use as `${NAME}`), `[cache]` (`dir`; `remote`, a table of the keys `cache.remote.*` below), `[remote]` (keys `remote.*` below; see `remote-execution.md`), \
         `[defaults]`, `[model.NAME]`, `[[variant]]` (`name`, `model`, any key), `[matrix.NAME]`, `[profile.NAME]`, `[stage.NAME]` (keys \
         `stage.*` below), `[custom_op.NAME]`, `[[rewrite]]` (see `custom-rules.md` for the three).\n\n\
         A variant's settings are laid over each other in this order, later ones win: `[defaults]`, its `[model.NAME]`, its own \
         (of `[[variant]]` or of its point of a matrix), the `[profile.NAME]` that `--profile` names, `-D key=value`. \
         The last two reach only models that declare an input, where they set something of an input that any declares.\n\n\
         A matrix makes every combination of its lists; a key with one value holds for all. `exclude` removes the combinations \
         that have all values of one of its tables, `include` adds one for each of its tables. `name` is a template: `{key}` \
         stands for the combination's value of that key.\n\n\
         Variants are selected by name or pattern (`'net-*'`), narrowed by `key=value`, `--march` and `-O`. Editors complete and \
         check the file with `docs/ptq.schema.json`: put `#:schema docs/ptq.schema.json` into the first line.\n\n\
         | key | type | default | Horizon's name | read by | meaning |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let stages = super::stage::KEYS.iter().map(|k| ("stage.*.", k));
    let cache = super::remote::KEYS.iter().map(|k| ("cache.remote.", k));
    let remote = super::execution::KEYS.iter().map(|k| ("remote.", k));
    for (group, k) in KEYS.iter().map(|k| ("", k)).chain(stages).chain(cache).chain(remote) {
        let kind = match k.kind {
            KeyType::Text => "text".to_owned(),
            KeyType::Word(words) => words.join(", "),
            KeyType::Flag => "true or false".to_owned(),
            KeyType::Number => "number".to_owned(),
            KeyType::Integer => "positive integer".to_owned(),
            KeyType::Count => "integer, 0 or more".to_owned(),
            KeyType::Numbers => "number or list of numbers".to_owned(),
            KeyType::Integers => "list of integers".to_owned(),
            KeyType::Texts => "list of texts".to_owned(),
            KeyType::TextOrTable => "text, or table by input".to_owned(),
            KeyType::Table => "table of values".to_owned(),
            KeyType::Commands => "list of lists of texts".to_owned(),
            KeyType::Any => "any value".to_owned(),
            KeyType::Size => "bytes, or text such as \"512 MiB\"".to_owned(),
        };
        out += &format!(
            "| `{group}{}` | {kind} | {} | {} | {} | {} |\n",
            k.path, k.default, k.horizon, k.stage, k.meaning
        );
    }
    out += "\nKeys of `[[rewrite]]`:\n\n| key | meaning |\n| --- | --- |\n";
    for (key, meaning) in super::rewrite::KEYS.into_iter().chain([super::rewrite::DIMENSIONS]) {
        out += &format!("| `{key}` | {meaning} |\n");
    }
    out +=
        "\nKeys of `[custom_op.NAME]`, beside those of a stage for its command:\n\n| key | meaning |\n| --- | --- |\n";
    for (key, meaning) in super::custom::KEYS {
        out += &format!("| `{key}` | {meaning} |\n");
    }
    if LATER.is_empty() {
        return out;
    }
    out + "\nNot supported yet by this version, and refused by name: "
        + &LATER.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
        + ".\n"
}
