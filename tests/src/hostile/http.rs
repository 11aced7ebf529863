//! A plain HTTP cache in memory: GET, HEAD and PUT of any path.

use super::{Fault, Faults};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the server holds and how it behaves.
#[derive(Default)]
pub struct HttpState {
    /// Bodies by path.
    pub files: HashMap<String, Vec<u8>>,
    /// `METHOD path`, in order.
    pub log: Vec<String>,
    /// How it misbehaves, by HTTP method and first part of the path, such as `GET /cas`.
    pub faults: Faults,
    /// `Authorization` that it asks for.
    pub authorization: Option<String>,
    /// Whether it answers 403 to PUT.
    pub read_only: bool,
}

/// A running server.
pub struct HttpServer {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    state: Arc<Mutex<HttpState>>,
}

impl HttpServer {
    /// Starts a server on a free port; its threads end with the process.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start() -> HttpServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(HttpState::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(socket, &shared));
            }
        });
        HttpServer { url, state }
    }

    /// What it holds.
    pub fn state(&self) -> MutexGuard<'_, HttpState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the next requests such as `GET /cas` fail.
    pub fn fail(&self, what: &str, fault: Fault, calls: usize) {
        self.state().faults.add(what, fault, calls);
    }

    /// Requests so far that could change the server.
    pub fn writes(&self) -> usize {
        self.state().log.iter().filter(|l| !l.starts_with("GET ") && !l.starts_with("HEAD ")).count()
    }
}

fn serve(socket: TcpStream, state: &Mutex<HttpState>) {
    let _ = socket.set_nodelay(true);
    let Ok(mut out) = socket.try_clone() else { return };
    let mut reader = BufReader::new(socket);
    while one(&mut reader, &mut out, state).is_some() {}
    let _ = out.shutdown(Shutdown::Both);
}

fn one(reader: &mut BufReader<TcpStream>, out: &mut TcpStream, state: &Mutex<HttpState>) -> Option<()> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut shown, mut from) = (0usize, None, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => shown = Some(value.to_owned()),
            "range" => from = value.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let kind = path.split('/').nth(1).unwrap_or("");
    let (fault, status, content) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.log.push(format!("{method} {path}"));
        let fault = state.faults.next(&format!("{method} /{kind}"));
        let allowed = state.authorization.is_none() || state.authorization == shown;
        let (status, content) = match method.as_str() {
            _ if !allowed => (401, Vec::new()),
            "PUT" if state.read_only => (403, Vec::new()),
            "PUT" => {
                state.files.insert(path, body);
                (201, Vec::new())
            }
            "GET" | "HEAD" => state.files.get(&path).map_or((404, Vec::new()), |b| (200, b.clone())),
            _ => (405, Vec::new()),
        };
        (fault, status, content)
    };
    let mut content = content;
    let (mut status, mut promised) = (status, None);
    match fault {
        Some(Fault::Hang) => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        Some(Fault::Reset) => return None,
        Some(Fault::Status(code)) => (status, content) = (code, Vec::new()),
        Some(Fault::WrongBytes) => content.iter_mut().for_each(|b| *b ^= 0x55),
        Some(Fault::Truncated) => {
            promised = Some(content.len());
            content.truncate(content.len() / 2);
        }
        _ => {}
    }
    if let (200, Some(from)) = (status, from) {
        content.drain(..from.min(content.len()));
        status = 206;
    }
    let length = promised.unwrap_or(content.len());
    write!(out, "HTTP/1.1 {status} As the test wants\r\nContent-Length: {length}\r\n\r\n").ok()?;
    if method != "HEAD" {
        out.write_all(&content).ok()?;
    }
    promised.is_none().then_some(())
}
