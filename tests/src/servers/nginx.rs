//! nginx as a folder behind HTTP: `PUT`, `GET`, `HEAD`, `DELETE` at `/`, the same folder to be read only at `/ro/`.

use super::{Server, system_program};
use std::path::Path;
use std::process::Command;

/// Starts it, `http://`.
///
/// # Errors
/// Says what is not installed, or what the server said.
pub fn webdav() -> Result<Server, String> {
    let program = system_program("nginx", "nginx")?;
    let prepare = |dir: &Path, port: u16| {
        for name in ["cache", "tmp"] {
            std::fs::create_dir_all(dir.join(name))?;
        }
        std::fs::write(dir.join("nginx.conf"), configuration(dir, port))
    };
    Server::start("nginx", prepare, move |dir, _| {
        let mut command = Command::new(&program);
        command.arg("-e").arg(dir.join("errors")).arg("-c").arg(dir.join("nginx.conf"));
        command
    })
}

fn configuration(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    // The folder is ours: where we are root, a worker that is not could not write to it.
    let user = if rustix::process::getuid().is_root() { "user root;\n" } else { "" };
    let scratch: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {dir}/tmp/{name};\n"))
        .concat();
    format!(
        "{user}daemon off;\nworker_processes 1;\npid {dir}/pid;\nerror_log {dir}/errors;\nevents {{}}\nhttp {{\n\
         access_log {dir}/requests;\nclient_max_body_size 0;\n{scratch}server {{\nlisten 127.0.0.1:{port};\n\
         root {dir}/cache;\nlocation /ro/ {{ alias {dir}/cache/; limit_except GET HEAD {{ deny all; }} }}\n\
         location / {{ dav_methods PUT DELETE; create_full_put_path on; dav_access user:rw group:r all:r; }}\n}}\n}}\n"
    )
}
