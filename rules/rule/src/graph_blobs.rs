//! Graphs as blobs: one for the structure, one for each large tensor.

use crate::{Blobs, Failure, Inputs};
use bytes::Bytes;
use ptq_ir::{CodecError, Diagnostic, EncodedGraph, Graph, QGraph};

/// Blob name of a float graph's structure.
pub const GRAPH: &str = "graph";
/// Blob name of an integer program's structure.
pub const QGRAPH: &str = "qgraph";
/// Prefix of tensor blobs; the rest is the BLAKE3 of the bytes.
pub const TENSOR_PREFIX: &str = "tensor/";

/// Adds a float graph to an action's outputs.
///
/// # Errors
/// When the graph does not encode.
pub fn put_graph(blobs: &mut Blobs, graph: &Graph) -> Result<(), Failure> {
    put(blobs, GRAPH, ptq_ir::encode(graph).map_err(|e| failure(&e))?);
    Ok(())
}

/// Adds an integer program to an action's outputs.
///
/// # Errors
/// When the program does not encode.
pub fn put_qgraph(blobs: &mut Blobs, graph: &QGraph) -> Result<(), Failure> {
    put(blobs, QGRAPH, ptq_ir::encode_q(graph).map_err(|e| failure(&e))?);
    Ok(())
}

/// Reads the float graph among an action's inputs.
///
/// # Errors
/// When it is missing or does not decode.
pub fn read_graph(inputs: &dyn Inputs) -> Result<Graph, Failure> {
    ptq_ir::decode(&structure(inputs, GRAPH)?, |t| tensor(inputs, t)).map_err(|e| failure(&e))
}

/// What names the float graph among an action's inputs, where their digests are known: two actions whose graphs have one name
/// have the same graph. `None` where a tensor's name is not the hash of its bytes.
pub(crate) fn graph_key(inputs: &dyn Inputs) -> Option<String> {
    let names = inputs.names();
    let mut hashes = names.iter().filter_map(|name| Some((name, name.strip_prefix(TENSOR_PREFIX)?)));
    let told = hashes.all(|(name, hash)| inputs.digest(name).is_some_and(|digest| digest == hash));
    inputs.digest(GRAPH).filter(|_| told)
}

/// Reads the integer program among an action's inputs.
///
/// # Errors
/// When it is missing or does not decode.
pub fn read_qgraph(inputs: &dyn Inputs) -> Result<QGraph, Failure> {
    ptq_ir::decode_q(&structure(inputs, QGRAPH)?, |t| tensor(inputs, t)).map_err(|e| failure(&e))
}

fn put(blobs: &mut Blobs, name: &str, encoded: EncodedGraph) {
    blobs.insert(name.to_owned(), encoded.graph);
    for (hash, bytes) in encoded.tensors {
        blobs.insert(format!("{TENSOR_PREFIX}{hash}"), bytes);
    }
}

fn structure(inputs: &dyn Inputs, name: &str) -> Result<Bytes, Failure> {
    inputs
        .read(name)
        .ok_or_else(|| Failure::from(Diagnostic::error("RULE01", format!("input blob {name:?} is missing"))))
}

fn tensor(inputs: &dyn Inputs, hash: &str) -> Option<Bytes> {
    inputs.read(&format!("{TENSOR_PREFIX}{hash}"))
}

fn failure(error: &CodecError) -> Failure {
    Failure::from(Diagnostic::error("RULE03", error.to_string()))
}
