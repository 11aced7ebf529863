//! The `.bin` file: a model's tensors, segments and programs in one checked envelope.
//!
//! 64 bytes of header (magic, format version, length, BLAKE3), then a protobuf message (`schema`); described in
//! `docs/format.md`. Equal models give equal bytes. [`decode`] accepts only what [`Model::check`] finds consistent, so
//! that whoever runs the model may trust ids, shapes and sizes.

mod check;
mod from_wire;
mod header;
mod model;
mod op_wire;
mod pack;
mod schema;
mod text;
mod to_wire;
mod transfers;

pub use header::{FORMAT_VERSION, HEADER_BYTES};
pub use model::{Body, LayerPlan, Model, Npu, Placed, Segment, TileAxis};
pub use pack::{MAX_PACKED, Packed, is_packed, pack, unpack};

use prost::Message as _;

/// Why bytes are not a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BinError {
    /// Not a `.bin` of ours at all.
    #[error("not a ptq model: the first bytes are not the file's mark")]
    Magic,
    /// Written in another version of the format.
    #[error("the file has format version {found}, this program reads version {known}")]
    Version {
        /// Version of the file.
        found: u32,
        /// Version that is read.
        known: u32,
    },
    /// A model of a packed file cannot be used.
    #[error("{name}: {why}")]
    Packed {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Too short, too long, or a reserved byte is set.
    #[error("the file is damaged: {0}")]
    Header(&'static str),
    /// The content is not what was written.
    #[error("the file is damaged: its checksum does not match its content")]
    Checksum,
    /// The message does not decode.
    #[error("the file's content does not decode: {0}")]
    Message(String),
    /// The message contradicts itself.
    #[error("the model contradicts itself: {0}")]
    Inconsistent(String),
}

/// The file's bytes.
pub fn encode(model: &Model) -> Vec<u8> {
    header::BIN.wrap(&to_wire::model(model).encode_to_vec())
}

/// Reads and checks a file.
///
/// # Errors
/// Says what is wrong; a damaged or hostile file never gives a model.
pub fn decode(bytes: &[u8]) -> Result<Model, BinError> {
    let payload = header::BIN.unwrap(bytes)?;
    let message = schema::ModelMessage::decode(bytes::Bytes::copy_from_slice(payload))
        .map_err(|e| BinError::Message(e.to_string()))?;
    let model = from_wire::model(message)?;
    model.check()?;
    Ok(model)
}
