//! One table of all messages, fields, numbers and types, from which the wire check reads and which an outside
//! script can compare with the official descriptors.

use std::collections::BTreeMap;

/// Kind of a field on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// `int32`, `int64`, `uint64`, `enum`: a varint.
    Varint(&'static str),
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// UTF-8 text.
    Str,
    /// Bytes.
    Bytes,
    /// A message of this name.
    Message(&'static str),
}

/// Whether a field may occur more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// At most once.
    One,
    /// Any number of times, one tag each.
    Many,
    /// Any number of times, packed into one length-delimited record.
    Packed,
}

/// A field: name, number, label, kind.
pub(crate) type Field = (&'static str, u32, Label, FieldKind);

use FieldKind::{Bytes, Double, Float, Message, Str, Varint};
use Label::{Many, One, Packed};

const I64: FieldKind = Varint("int64");
const I32: FieldKind = Varint("int32");
const ENUM: FieldKind = Varint("enum");

/// Every message with its fields.
const MESSAGES: &[(&str, &[Field])] = &[
    (
        "ModelProto",
        &[
            ("ir_version", 1, One, I64),
            ("opset_import", 8, Many, Message("OperatorSetIdProto")),
            ("producer_name", 2, One, Str),
            ("producer_version", 3, One, Str),
            ("domain", 4, One, Str),
            ("model_version", 5, One, I64),
            ("doc_string", 6, One, Str),
            ("graph", 7, One, Message("GraphProto")),
            ("metadata_props", 14, Many, Message("StringStringEntryProto")),
            ("functions", 25, Many, Message("FunctionProto")),
        ],
    ),
    (
        "GraphProto",
        &[
            ("node", 1, Many, Message("NodeProto")),
            ("name", 2, One, Str),
            ("initializer", 5, Many, Message("TensorProto")),
            ("sparse_initializer", 15, Many, Message("SparseTensorProto")),
            ("doc_string", 10, One, Str),
            ("input", 11, Many, Message("ValueInfoProto")),
            ("output", 12, Many, Message("ValueInfoProto")),
            ("value_info", 13, Many, Message("ValueInfoProto")),
        ],
    ),
    (
        "NodeProto",
        &[
            ("input", 1, Many, Str),
            ("output", 2, Many, Str),
            ("name", 3, One, Str),
            ("op_type", 4, One, Str),
            ("domain", 7, One, Str),
            ("attribute", 5, Many, Message("AttributeProto")),
            ("doc_string", 6, One, Str),
            ("overload", 8, One, Str),
        ],
    ),
    (
        "AttributeProto",
        &[
            ("name", 1, One, Str),
            ("ref_attr_name", 21, One, Str),
            ("type", 20, One, ENUM),
            ("f", 2, One, Float),
            ("i", 3, One, I64),
            ("s", 4, One, Bytes),
            ("t", 5, One, Message("TensorProto")),
            ("g", 6, One, Message("GraphProto")),
            ("sparse_tensor", 22, One, Message("SparseTensorProto")),
            ("tp", 14, One, Message("TypeProto")),
            ("floats", 7, Many, Float),
            ("ints", 8, Many, I64),
            ("strings", 9, Many, Bytes),
            ("tensors", 10, Many, Message("TensorProto")),
            ("graphs", 11, Many, Message("GraphProto")),
        ],
    ),
    (
        "TensorProto",
        &[
            ("dims", 1, Many, I64),
            ("data_type", 2, One, I32),
            ("segment", 3, One, Message("TensorProto.Segment")),
            ("float_data", 4, Packed, Float),
            ("int32_data", 5, Packed, I32),
            ("string_data", 6, Many, Bytes),
            ("int64_data", 7, Packed, I64),
            ("name", 8, One, Str),
            ("doc_string", 12, One, Str),
            ("raw_data", 9, One, Bytes),
            ("external_data", 13, Many, Message("StringStringEntryProto")),
            ("data_location", 14, One, ENUM),
            ("double_data", 10, Packed, Double),
            ("uint64_data", 11, Packed, Varint("uint64")),
        ],
    ),
    ("TensorProto.Segment", &[("begin", 1, One, I64), ("end", 2, One, I64)]),
    (
        "SparseTensorProto",
        &[
            ("values", 1, One, Message("TensorProto")),
            ("indices", 2, One, Message("TensorProto")),
            ("dims", 3, Many, I64),
        ],
    ),
    ("ValueInfoProto", &[("name", 1, One, Str), ("type", 2, One, Message("TypeProto")), ("doc_string", 3, One, Str)]),
    (
        "TypeProto",
        &[
            ("tensor_type", 1, One, Message("TypeProto.Tensor")),
            ("opaque_type", 7, One, Message("TypeProto.Opaque")),
            ("denotation", 6, One, Str),
        ],
    ),
    ("TypeProto.Tensor", &[("elem_type", 1, One, I32), ("shape", 2, One, Message("TensorShapeProto"))]),
    ("TypeProto.Opaque", &[("domain", 1, One, Str), ("name", 2, One, Str)]),
    ("TensorShapeProto", &[("dim", 1, Many, Message("TensorShapeProto.Dimension"))]),
    (
        "TensorShapeProto.Dimension",
        &[("dim_value", 1, One, I64), ("dim_param", 2, One, Str), ("denotation", 3, One, Str)],
    ),
    ("OperatorSetIdProto", &[("domain", 1, One, Str), ("version", 2, One, I64)]),
    ("StringStringEntryProto", &[("key", 1, One, Str), ("value", 2, One, Str)]),
    (
        "FunctionProto",
        &[
            ("name", 1, One, Str),
            ("input", 4, Many, Str),
            ("output", 5, Many, Str),
            ("attribute", 6, Many, Str),
            ("attribute_proto", 11, Many, Message("AttributeProto")),
            ("node", 7, Many, Message("NodeProto")),
            ("doc_string", 8, One, Str),
            ("opset_import", 9, Many, Message("OperatorSetIdProto")),
            ("domain", 10, One, Str),
            ("overload", 13, One, Str),
        ],
    ),
];

/// Field numbers and types by message and field: `{"NodeProto": {"input": [1, "repeated string"], …}, …}`.
/// Types are written as in a `.proto` file; `enum` stands for any enumeration.
pub type Tags = BTreeMap<String, BTreeMap<String, (u32, String)>>;

/// The table as serializable values.
pub fn tags() -> Tags {
    let spell = |label, kind| {
        let name = match kind {
            Varint(name) | Message(name) => name,
            Float => "float",
            Double => "double",
            Str => "string",
            Bytes => "bytes",
        };
        if label == One { name.to_owned() } else { format!("repeated {name}") }
    };
    let fields = |fields: &[Field]| fields.iter().map(|&(n, tag, l, k)| (n.to_owned(), (tag, spell(l, k)))).collect();
    MESSAGES.iter().map(|&(message, f)| (message.to_owned(), fields(f))).collect()
}

/// The fields of a message of the table.
pub(crate) fn message_fields(message: &str) -> &'static [Field] {
    MESSAGES.iter().find(|(name, _)| *name == message).map_or(&[], |(_, fields)| fields)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::proto;
    use std::collections::BTreeSet;

    /// Wire bytes of a message in which only this field is set, by the table.
    fn sample(&(_, number, label, kind): &Field) -> Vec<u8> {
        let (wire, payload): (u32, Vec<u8>) = match kind {
            Varint(_) => (0, vec![5]),
            Float => (5, vec![0, 0, 128, 63]),
            Double => (1, vec![0, 0, 0, 0, 0, 0, 240, 63]),
            Str | Bytes => (2, vec![1, b'a']),
            Message(_) => (2, vec![0]),
        };
        let mut out = Vec::new();
        let (wire, payload) =
            if label == Packed { (2, [vec![payload.len() as u8], payload].concat()) } else { (wire, payload) };
        prost::encoding::encode_varint(u64::from(number << 3 | wire), &mut out);
        out.extend(payload);
        out
    }

    fn check<M: prost::Message + Default + std::fmt::Debug>(message: &str) {
        let fields = message_fields(message);
        for field in fields {
            let bytes = sample(field);
            let back = M::decode(bytes.as_slice()).unwrap().encode_to_vec();
            assert_eq!(back, bytes, "{message}.{} is not what the struct says", field.0);
        }
        let text = format!("{:#?}", M::default());
        let in_struct: BTreeSet<String> = text
            .lines()
            .filter(|l| l.starts_with("    ") && !l.starts_with("     ") && l.contains(':'))
            .map(|l| l.trim().split(':').next().unwrap().trim_start_matches("r#").to_owned())
            .collect();
        let in_table: BTreeSet<String> = fields.iter().map(|f| f.0.to_owned()).collect();
        assert_eq!(in_struct, in_table, "{message}");
    }

    #[test]
    fn the_table_and_the_structs_agree() {
        check::<proto::ModelProto>("ModelProto");
        check::<proto::GraphProto>("GraphProto");
        check::<proto::NodeProto>("NodeProto");
        check::<proto::AttributeProto>("AttributeProto");
        check::<proto::TensorProto>("TensorProto");
        check::<proto::SegmentProto>("TensorProto.Segment");
        check::<proto::SparseTensorProto>("SparseTensorProto");
        check::<proto::ValueInfoProto>("ValueInfoProto");
        check::<proto::TypeProto>("TypeProto");
        check::<proto::TensorTypeProto>("TypeProto.Tensor");
        check::<proto::OpaqueTypeProto>("TypeProto.Opaque");
        check::<proto::TensorShapeProto>("TensorShapeProto");
        check::<proto::DimensionProto>("TensorShapeProto.Dimension");
        check::<proto::OperatorSetIdProto>("OperatorSetIdProto");
        check::<proto::StringStringEntryProto>("StringStringEntryProto");
        check::<proto::FunctionProto>("FunctionProto");
        assert_eq!(MESSAGES.len(), 16, "every message of the table is checked above");
    }

    #[test]
    fn tags_serialize() {
        let json = serde_json::to_string(&tags()).unwrap();
        assert!(json.contains(r#""input":[1,"repeated string"]"#), "{json}");
    }
}
