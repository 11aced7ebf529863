//! An S3 server (moto) with one empty bucket. It takes any key and secret, and does not check checksums.

use super::{Server, installed};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

/// Name of the bucket.
pub const BUCKET: &str = "ptq-cache";

/// Starts it, `http://`, path-style.
///
/// # Errors
/// Says what is not installed, or what the server said.
pub fn bucket() -> Result<Server, String> {
    let program = installed("moto_server", "bin/moto_server")?;
    let server = Server::start(
        "moto_server",
        |_, _| Ok(()),
        move |_, port| {
            let mut command = Command::new(&program);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        },
    )?;
    let head = make_bucket(server.port()).map_err(|e| e.to_string())?;
    if head.contains(" 200 ") { Ok(server) } else { Err(format!("moto_server makes no bucket: {head}")) }
}

fn make_bucket(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    write!(
        stream,
        "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
