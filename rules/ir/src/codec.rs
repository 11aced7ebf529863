//! Canonical bytes of a graph: the structure in one blob, each large tensor in a blob of its own.
//!
//! Equal graphs give equal bytes, which is what makes early cut-off by digest work. Blobs of tensors
//! are named by their content, so that stages and variants share them.

use crate::{DType, Graph, QGraph, Tensor, TensorError, TensorId, ValueId};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// Tensors of at least this many bytes become blobs of their own.
pub const INLINE_TENSOR_BYTES: usize = 4096;

/// Largest tensor that is decoded, in bytes (bound before allocating).
const MAX_TENSOR_BYTES: usize = 1 << 31;

/// A graph as named blobs.
#[derive(Clone, Debug)]
pub struct EncodedGraph {
    /// Structure and small tensors.
    pub graph: Bytes,
    /// Large tensors as little-endian bytes, by the hexadecimal BLAKE3 of those bytes.
    pub tensors: BTreeMap<String, Bytes>,
}

/// Why bytes are not a graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The structure does not decode.
    #[error("graph bytes do not decode: {0}")]
    Structure(#[from] postcard::Error),
    /// A tensor blob is missing.
    #[error("tensor blob {0} is missing")]
    Missing(String),
    /// A tensor blob has the wrong size.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A tensor blob belongs to a tensor that does not exist.
    #[error("tensor blob belongs to tensor {0}, which does not exist")]
    Owner(u32),
    /// A tensor is larger than any this program handles.
    #[error("tensor of {0} bytes exceeds the limit")]
    TooLarge(usize),
}

/// Structure, and where each large tensor of it is: owner, type, shape, blob name.
#[derive(Serialize, Deserialize)]
struct Wire<G, Id> {
    graph: G,
    external: Vec<(Id, DType, Vec<usize>, String)>,
}

/// Canonical bytes of any serializable part (plans, tables, integer programs).
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Bytes, CodecError> {
    Ok(postcard::to_stdvec(value)?.into())
}

/// The inverse of [`to_bytes`].
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    Ok(postcard::from_bytes(bytes)?)
}

/// Encodes a float graph.
pub fn encode(graph: &Graph) -> Result<EncodedGraph, CodecError> {
    let mut graph = graph.clone();
    let large: Vec<(ValueId, Tensor)> =
        graph.constants.extract_if(.., |_, t| t.byte_len() >= INLINE_TENSOR_BYTES).collect();
    encode_wire(graph, large)
}

/// Decodes a float graph; `tensor` returns the blob of that name.
pub fn decode(graph: &[u8], tensor: impl FnMut(&str) -> Option<Bytes>) -> Result<Graph, CodecError> {
    let (mut graph, large): (Graph, Vec<(ValueId, Tensor)>) = decode_wire(graph, tensor)?;
    graph.constants.extend(large);
    Ok(graph)
}

/// Encodes an integer program.
pub fn encode_q(graph: &QGraph) -> Result<EncodedGraph, CodecError> {
    let mut graph = graph.clone();
    let large: Vec<(TensorId, Tensor)> = graph
        .tensors
        .iter_mut()
        .enumerate()
        .filter_map(|(i, t)| {
            let data = t.data.take_if(|d| d.byte_len() >= INLINE_TENSOR_BYTES)?;
            Some((TensorId(i as u32), data))
        })
        .collect();
    encode_wire(graph, large)
}

/// Decodes an integer program; `tensor` returns the blob of that name.
pub fn decode_q(graph: &[u8], tensor: impl FnMut(&str) -> Option<Bytes>) -> Result<QGraph, CodecError> {
    let (mut graph, large): (QGraph, Vec<(TensorId, Tensor)>) = decode_wire(graph, tensor)?;
    for (id, data) in large {
        let owner = graph.tensors.get_mut(id.0 as usize).ok_or(CodecError::Owner(id.0))?;
        owner.data = Some(data);
    }
    Ok(graph)
}

fn encode_wire<G: Serialize, Id: Serialize + Copy>(
    graph: G,
    large: Vec<(Id, Tensor)>,
) -> Result<EncodedGraph, CodecError> {
    let mut tensors = BTreeMap::new();
    let mut external = Vec::with_capacity(large.len());
    for (id, t) in large {
        let bytes = Bytes::from(t.to_le_bytes());
        let name = blake3::hash(&bytes).to_hex().to_string();
        external.push((id, t.dtype(), t.shape().to_vec(), name.clone()));
        tensors.insert(name, bytes);
    }
    Ok(EncodedGraph { graph: to_bytes(&Wire { graph, external })?, tensors })
}

fn decode_wire<G: DeserializeOwned, Id: DeserializeOwned>(
    bytes: &[u8],
    mut tensor: impl FnMut(&str) -> Option<Bytes>,
) -> Result<(G, Vec<(Id, Tensor)>), CodecError> {
    let Wire { graph, external } = from_bytes::<Wire<G, Id>>(bytes)?;
    let mut large = Vec::with_capacity(external.len());
    for (id, dtype, shape, name) in external {
        let bytes = tensor(&name).ok_or_else(|| CodecError::Missing(name.clone()))?;
        if bytes.len() > MAX_TENSOR_BYTES {
            return Err(CodecError::TooLarge(bytes.len()));
        }
        large.push((id, Tensor::from_le_bytes(dtype, &shape, &bytes)?));
    }
    Ok((graph, large))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attrs, GraphBuilder};

    #[test]
    fn a_graph_survives_encoding_and_equal_graphs_have_equal_bytes() {
        let make = || {
            let mut b = GraphBuilder::new("g");
            let x = b.input("x", &[1, 2048]);
            let w = b.constant("w", Tensor::from_f32([2048], vec![0.5; 2048]).expect("count"));
            let y = b.node("Mul", "mul", &[x, w], Attrs::default(), &[1, 2048]);
            b.output(y);
            b.finish()
        };
        let (a, b) = (encode(&make()).expect("a"), encode(&make()).expect("b"));
        assert_eq!(a.graph, b.graph);
        assert_eq!(a.tensors.len(), 1);
        let back = decode(&a.graph, |n| a.tensors.get(n).cloned()).expect("decode");
        assert_eq!(back, make());
        assert!(matches!(decode(&a.graph, |_| None), Err(CodecError::Missing(_))));
    }
}
