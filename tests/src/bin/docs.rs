//! Writes the pages that are generated from code: `docs/manifest.md`. A tidy test keeps them fresh.

fn main() -> std::io::Result<()> {
    let path = ptq_tests::workspace_root().join("docs/manifest.md");
    std::fs::write(path, ptq_engine::manifest::keys::reference())
}
