//! The servers of the remote suites start, answer and end here.

use ptq_tests::servers::{Server, buildgrid, casd, nginx, s3, slurm::Slurm};
use ptq_tests::skip::need;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// What an S3 client sends; the server believes any signature, but gives nothing without one.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n";

/// The status line and body of an HTTP answer.
fn http(server: &Server, method: &str, path: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connects");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n{SIGNED}\r\n{body}"
    )
    .expect("asks");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// Whether the port speaks HTTP/2, which gRPC needs: it answers our settings with its own.
fn speaks_http2(server: &Server) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("greets");
    let mut frame = [0u8; 9];
    stream.read_exact(&mut frame).is_ok() && frame[3] == 4
}

#[test]
fn rpc_servers_answer_and_come_back_on_their_port() {
    if let Some(mut server) = need(casd::execution()) {
        assert!(speaks_http2(&server), "{}", server.said());
        server.kill();
        assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
        server.restart().expect("again");
        assert!(speaks_http2(&server));
    }
    if let Some(server) = need(buildgrid::cache()) {
        assert!(speaks_http2(&server), "{}", server.said());
    }
}

#[test]
fn a_folder_behind_http_takes_files_and_its_other_door_does_not() {
    let Some(server) = need(nginx::webdav()) else { return };
    assert!(http(&server, "PUT", "/cas/ab/c", "hello").0.contains(" 201 "), "{}", server.said());
    assert_eq!(http(&server, "GET", "/ro/cas/ab/c", "").1, "hello");
    assert!(http(&server, "PUT", "/ro/cas/ab/d", "hello").0.contains(" 403 "));
    assert!(http(&server, "GET", "/cas/none", "").0.contains(" 404 "));
}

#[test]
fn a_bucket_takes_objects() {
    let Some(server) = need(s3::bucket()) else { return };
    let path = format!("/{}/a/b", s3::BUCKET);
    assert!(http(&server, "PUT", &path, "hello").0.contains(" 200 "), "{}", server.said());
    assert_eq!(http(&server, "GET", &path, "").1, "hello");
}

#[test]
fn a_cluster_of_one_runs_an_array() {
    let Some(slurm) = need(Slurm::start()) else { return };
    let out = slurm.folder().join("task-%a");
    let args = ["--parsable", "--array=0-3", "--output", &out.to_string_lossy(), "--wrap", "echo $SLURM_ARRAY_TASK_ID"];
    let job = slurm.client("sbatch", &args).expect("takes a job");
    slurm.wait_for(job.trim(), Duration::from_secs(120)).expect("ends");
    for task in 0..4 {
        let said = std::fs::read_to_string(slurm.folder().join(format!("task-{task}"))).expect("its output");
        assert_eq!(said.trim(), task.to_string());
    }
}
