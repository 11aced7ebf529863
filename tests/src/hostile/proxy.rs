//! A proxy in front of a real server that hangs, resets, garbles or cuts off on demand. It knows bytes, not protocols, but for the one
//! answer that it gives itself: that the server has too much to do.

use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How the proxy treats what flows from the server to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Hands everything on.
    Good,
    /// Takes connections and never says anything.
    Hang,
    /// Closes connections as soon as they are made.
    Refuse,
    /// Closes connections after this many bytes.
    CutAfter(u64),
    /// Changes one byte after this many bytes of each connection.
    GarbleAfter(u64),
    /// Says nothing more after this many bytes of each connection.
    StallAfter(u64),
    /// Hands everything on, this much later.
    Slow(Duration),
    /// Answers every request of a new connection itself: 503 over HTTP/1, `RESOURCE_EXHAUSTED` over gRPC.
    Busy,
}

/// What a gRPC client says first (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Types of HTTP/2 frames, and the flag of an answer to one.
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
/// End of stream and of headers.
const WHOLE: u8 = 5;

/// A running proxy.
pub struct FaultProxy {
    /// `127.0.0.1:PORT`.
    pub address: String,
    link: Arc<Mutex<Link>>,
    /// Connections taken.
    pub connections: Arc<AtomicU64>,
}

impl FaultProxy {
    /// Starts a proxy to `HOST:PORT`; its threads end with the process.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start(to: &str) -> FaultProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (link, connections) = (Arc::new(Mutex::new(Link::Good)), Arc::new(AtomicU64::new(0)));
        let (shared, counted, to) = (link.clone(), connections.clone(), to.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                let (link, to) = (shared.clone(), to.clone());
                std::thread::spawn(move || join(client, &to, &link));
            }
        });
        FaultProxy { address, link, connections }
    }

    /// From now on, also for open connections.
    pub fn set(&self, link: Link) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }
}

fn join(client: TcpStream, to: &str, link: &Arc<Mutex<Link>>) {
    let now = || *link.lock().unwrap_or_else(PoisonError::into_inner);
    match now() {
        Link::Refuse => return,
        Link::Hang => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        Link::Busy => return drop(busy(&client)),
        _ => {}
    }
    let Ok(server) = TcpStream::connect(to) else { return };
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else { return };
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    pump(server, &client, &now);
    let _ = client.shutdown(Shutdown::Both);
}

fn pump(mut server: TcpStream, mut client: &TcpStream, now: &dyn Fn() -> Link) {
    let (mut buffer, mut passed) = (vec![0; 16 << 10], 0u64);
    while let Ok(n) = server.read(&mut buffer) {
        if n == 0 {
            return;
        }
        let piece = &mut buffer[..n];
        let after = |limit: u64| usize::try_from(limit.saturating_sub(passed)).unwrap_or(usize::MAX);
        match now() {
            Link::Good => {}
            Link::Refuse | Link::Busy => return,
            Link::Hang => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            Link::Slow(time) => std::thread::sleep(time),
            Link::CutAfter(limit) if after(limit) < n => {
                let _ = client.write_all(&piece[..after(limit)]);
                return;
            }
            Link::StallAfter(limit) if after(limit) < n => {
                let _ = client.write_all(&piece[..after(limit)]);
                loop {
                    std::thread::sleep(Duration::from_secs(3600));
                }
            }
            Link::GarbleAfter(limit) if after(limit) < n => piece[after(limit)] ^= 0x20,
            _ => {}
        }
        passed += n as u64;
        if client.write_all(piece).is_err() {
            return;
        }
    }
}

/// Says of every request that there is too much to do, until the client leaves.
fn busy(mut client: &TcpStream) -> std::io::Result<()> {
    let mut head = [0; PREFACE.len()];
    client.read_exact(&mut head)?;
    if head != *PREFACE {
        client.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        // Closed with the rest of the request unread, the answer would be lost.
        client.shutdown(Shutdown::Write)?;
        return std::io::copy(&mut client, &mut std::io::sink()).map(drop);
    }
    frame(client, SETTINGS, 0, 0, &[])?;
    loop {
        let mut head = [0; 9];
        client.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut body = Vec::new();
        client.take(length.into()).read_to_end(&mut body)?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match (head[3], head[4] & ACK) {
            (SETTINGS, 0) => frame(client, SETTINGS, ACK, 0, &[])?,
            (PING, 0) => frame(client, PING, ACK, 0, &body)?,
            (HEADERS, _) => frame(client, HEADERS, WHOLE, stream, &exhausted())?,
            _ => {}
        }
    }
}

fn frame(mut client: &TcpStream, kind: u8, flags: u8, stream: u32, body: &[u8]) -> std::io::Result<()> {
    let length = (body.len() as u32).to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    client.write_all(&[&head, body].concat())
}

/// Headers of an answer without a message: status 200, type gRPC, `grpc-status` 8, as HPACK writes them without a table (RFC 7541, 6).
fn exhausted() -> Vec<u8> {
    let text = |text: &[u8]| [&[text.len() as u8], text].concat();
    [&[0x88, 0x0f, 0x10][..], &text(b"application/grpc"), &[0], &text(b"grpc-status"), &text(b"8")].concat()
}
