//! BuildGrid as a CAS and an ActionCache on disk: instance `main`, any client may write.

use super::{Server, installed};
use std::process::Command;

/// Name of its instance.
pub const INSTANCE: &str = "main";

/// Starts it, `grpc://` with instance [`INSTANCE`].
///
/// # Errors
/// Says what is not installed, or what the server said.
pub fn cache() -> Result<Server, String> {
    let program = installed("BuildGrid", "bin/bgd")?;
    let prepare = |dir: &std::path::Path, port: u16| std::fs::write(dir.join("cas.yml"), configuration(dir, port));
    Server::start("BuildGrid", prepare, move |dir, _| {
        let mut command = Command::new(&program);
        command.args(["server", "start"]).arg(dir.join("cas.yml"));
        command
    })
}

fn configuration(dir: &std::path::Path, port: u16) -> String {
    let dir = dir.display();
    format!(
        r#"server:
  - !channel
    address: "127.0.0.1:{port}"
    insecure-mode: true
description: cache of the tests
authorization: {{ method: none }}
storages:
  - !disk-storage &main
    path: {dir}/cas
caches:
  - !lru-action-cache &ac
    storage: *main
    max-cached-refs: 100000
    allow-updates: true
instances:
  - name: {INSTANCE}
    services:
      - !action-cache {{ cache: *ac }}
      - !cas {{ storage: *main }}
      - !bytestream {{ storage: *main }}
thread-pool-size: 40
"#
    )
}
