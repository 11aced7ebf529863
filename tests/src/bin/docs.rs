//! Renews what is generated from code and committed: `docs/manifest.md`, `docs/ptq.schema.json`, `docs/import.md`, `docs/inputs.md`,
//! `docs/ops/<march>.md`, and `rules/SOURCES`, the hash of the rules'
//! sources. Tidy tests keep both fresh. Before renewing the hash: a rule that gives other results for equal inputs needs a
//! new version (or `ptq_rule::SEMANTICS`), which the golden digests show.

fn main() -> std::io::Result<()> {
    let root = ptq_tests::workspace_root();
    std::fs::write(root.join("docs/manifest.md"), ptq_engine::manifest::reference())?;
    std::fs::write(root.join("docs/ptq.schema.json"), ptq_engine::manifest::schema())?;
    std::fs::write(root.join("docs/import.md"), ptq_engine::import::reference())?;
    std::fs::write(root.join("docs/inputs.md"), ptq_report::inputs_markdown())?;
    std::fs::create_dir_all(root.join("docs/ops"))?;
    for march in ptq_march::names() {
        std::fs::write(root.join(format!("docs/ops/{march}.md")), ptq_tests::operator_page(march))?;
    }
    std::fs::write(root.join("rules/SOURCES"), format!("{}\n", ptq_engine::RULES_SOURCES))
}
