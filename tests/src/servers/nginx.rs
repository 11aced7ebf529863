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

/// Starts it with TLS on one port, `https://` for a folder and `grpcs://` for the server at this port behind it. It shows a
/// certificate that `ca.pem` in its folder signed, and asks for one: `client.pem` with `client.key`.
///
/// # Errors
/// Says what is not installed, or what the server said.
pub fn secure(behind: u16) -> Result<Server, String> {
    let program = system_program("nginx", "nginx")?;
    let openssl = system_program("openssl", "openssl")?;
    let prepare = move |dir: &Path, port: u16| {
        for name in ["cache", "tmp"] {
            std::fs::create_dir_all(dir.join(name))?;
        }
        certificates(&openssl, dir)?;
        std::fs::write(dir.join("nginx.conf"), secure_configuration(dir, port, behind))
    };
    Server::start("nginx", prepare, move |dir, _| {
        let mut command = Command::new(&program);
        command.arg("-e").arg(dir.join("errors")).arg("-c").arg(dir.join("nginx.conf"));
        command
    })
}

/// An authority, and certificates of it for a server on this machine and for a client.
fn certificates(openssl: &Path, dir: &Path) -> std::io::Result<()> {
    std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n")?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2";
    let lines = [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=team"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
        format!("x509 -req -in server.csr {signed} -extfile san -out server.pem"),
        format!("req {key} -keyout client.key -out client.csr -subj /CN=ci"),
        format!("x509 -req -in client.csr {signed} -extfile san -out client.pem"),
    ];
    for line in lines {
        let output = Command::new(openssl).args(line.split(' ')).current_dir(dir).output()?;
        if !output.status.success() {
            return Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
    }
    Ok(())
}

fn secure_configuration(dir: &Path, port: u16, behind: u16) -> String {
    let plain = configuration(dir, port);
    let dir = dir.display();
    let tls = format!(
        "listen 127.0.0.1:{port} ssl http2;\nssl_certificate {dir}/server.pem;\nssl_certificate_key {dir}/server.key;\n\
         ssl_client_certificate {dir}/ca.pem;\nssl_verify_client on;\n\
         location /build.bazel. {{ grpc_pass grpc://127.0.0.1:{behind}; }}\n\
         location /google.bytestream. {{ grpc_pass grpc://127.0.0.1:{behind}; }}\n"
    );
    plain.replace(&format!("listen 127.0.0.1:{port};\n"), &tls)
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
