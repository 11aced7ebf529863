//! Declarations of custom operators as a manifest that we write shows them: commented out, because what computes an operator is
//! nowhere said. Called by `init` and `import`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use toml::Value;

/// One commented table for each operator of another domain. `files` are programs that were registered for another tool.
pub(crate) fn declarations(ops: &BTreeSet<String>, files: &[String]) -> String {
    if ops.is_empty() {
        return String::new();
    }
    let text = |s: &str| Value::String(s.to_owned()).to_string();
    let mut out = String::from(
        "\n# The model has operators of other domains. A command of yours computes each of them: docs/custom-rules.md says how.\n",
    );
    for op in ops {
        let (domain, name) = op.rsplit_once('.').unwrap_or(("", op));
        let table: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' }).collect();
        let file = files.first().map_or("custom.py", String::as_str);
        let list = if files.is_empty() { vec![text(file)] } else { files.iter().map(|f| text(f)).collect() };
        let _ = write!(
            out,
            "# [custom_op.{table}]\n# op = {}\n# domain = {}\n# inputs = [{{}}]                # for each input {{ type, shape }}, such as \
             {{ shape = [\"N\", \"C\", \"H\", \"W\"] }}\n# outputs = [{{ like = 0 }}]     # a guess: as the first input\n# command = \
             [\"python3\", {}]    # reads node.json and input0.npy, writes output0.npy\n# files = [{}]\n",
            text(name),
            text(domain),
            text(file),
            list.join(", ")
        );
    }
    out
}
