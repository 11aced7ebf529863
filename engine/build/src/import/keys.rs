//! Every key of a Horizon YAML file: its group, its form, and what becomes of it. One table for reading, refusing and
//! documenting (`docs/import.md`).

/// Form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Text.
    Text,
    /// Text or a number.
    Scalar,
    /// `True` or `False`.
    Flag,
    /// An integer.
    Integer,
    /// A number.
    Number,
    /// Values joined with `;`, one an input.
    PerInput,
    /// Values joined with `;`.
    List,
    /// A mapping, or text.
    Mapping,
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// This key of the manifest; `input.*` stands for each input.
    Key(&'static str),
    /// It is part of another key's meaning (a name, a folder).
    Part(&'static str),
    /// A comment, with why nothing corresponds.
    Comment(&'static str),
    /// An error: there is no way to have the same meaning.
    Refused(&'static str),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Group.
    pub(super) group: &'static str,
    /// Name.
    pub(super) name: &'static str,
    /// Form of its value.
    pub(super) form: Form,
    /// What becomes of it.
    pub(super) fate: Fate,
    /// Whether Horizon's own documents call it deprecated.
    pub(super) deprecated: bool,
}

const fn key(group: &'static str, name: &'static str, form: Form, fate: Fate) -> Key {
    Key { group, name, form, fate, deprecated: false }
}

const fn old(key: Key) -> Key {
    Key { deprecated: true, ..key }
}

pub(super) const MODEL: &str = "model_parameters";
pub(super) const INPUT: &str = "input_parameters";
pub(super) const CALIBRATION: &str = "calibration_parameters";
pub(super) const COMPILER: &str = "compiler_parameters";
pub(super) const CUSTOM: &str = "custom_op";
/// Groups in the order of Horizon's documents.
pub(super) const GROUPS: [&str; 5] = [MODEL, INPUT, CALIBRATION, COMPILER, CUSTOM];

const CAFFE: &str = "Caffe models are not read; convert it to ONNX first";

use Fate::{Comment, Key as To, Part, Refused};
use Form::{Flag, Integer, List, Mapping, Number, PerInput, Scalar, Text};

/// The table.
pub(super) const KEYS: &[Key] = &[
    key(MODEL, "onnx_model", Text, To("path")),
    key(MODEL, "caffe_model", Text, Refused(CAFFE)),
    key(MODEL, "prototxt", Text, Refused(CAFFE)),
    key(MODEL, "march", Text, To("march")),
    key(MODEL, "output_model_file_prefix", Text, Part("name of the model and its variant")),
    key(MODEL, "working_dir", Text, Part("project.out")),
    key(MODEL, "layer_out_dump", Flag, Comment("`ptq run --dump DIR` writes every tensor of any build")),
    key(MODEL, "output_nodes", List, To("output_nodes")),
    key(MODEL, "remove_node_type", List, To("remove_node_type")),
    key(MODEL, "remove_node_name", List, To("remove_node_name")),
    key(MODEL, "node_info", Mapping, To("nodes.*")),
    old(key(MODEL, "set_node_data_type", List, To("nodes.*.OutputType"))),
    key(MODEL, "debug_mode", Text, Comment("calibration samples are read as they are; nothing has to be dumped")),
    old(key(MODEL, "log_level", Scalar, Comment("-v and -q choose how much a command says"))),
    key(MODEL, "enable_vpu", Flag, Comment("the march file says what the vector unit computes")),
    key(MODEL, "enable_spu", Flag, Comment("the march file says what the scalar unit computes")),
    key(INPUT, "input_name", PerInput, Part("name of the input's table")),
    key(INPUT, "input_type_train", PerInput, To("input.*.type_train")),
    key(INPUT, "input_layout_train", PerInput, To("input.*.layout_train")),
    key(INPUT, "input_type_rt", PerInput, To("input.*.type_rt")),
    key(INPUT, "input_layout_rt", PerInput, To("input.*.layout_rt")),
    key(INPUT, "input_space_and_range", PerInput, To("input.*.space_and_range")),
    key(INPUT, "input_shape", PerInput, To("input.*.shape")),
    key(INPUT, "input_batch", Integer, To("input.*.batch")),
    key(INPUT, "separate_batch", Flag, To("input.*.separate_batch")),
    key(INPUT, "separate_name", List, To("input.*.separate_batch")),
    key(INPUT, "norm_type", PerInput, To("input.*.norm_type")),
    key(INPUT, "mean_value", PerInput, To("input.*.mean")),
    key(INPUT, "scale_value", PerInput, To("input.*.scale")),
    key(INPUT, "std_value", PerInput, To("input.*.std")),
    key(CALIBRATION, "cal_data_dir", PerInput, To("calibration.data")),
    key(CALIBRATION, "cal_data_type", PerInput, To("calibration.data_type")),
    key(CALIBRATION, "calibration_type", Text, To("calibration.type")),
    key(CALIBRATION, "max_percentile", Number, To("calibration.max_percentile")),
    key(CALIBRATION, "per_channel", Flag, To("calibration.per_channel")),
    old(key(
        CALIBRATION,
        "preprocess_on",
        Flag,
        Comment("image files among the samples are decoded and fitted to the input anyway"),
    )),
    key(CALIBRATION, "run_on_cpu", List, To("run_on_cpu")),
    key(CALIBRATION, "run_on_bpu", List, To("run_on_bpu")),
    key(CALIBRATION, "optimization", List, To("optimization")),
    key(CALIBRATION, "quant_config", Mapping, Comment("its rules go into nodes.NAME by hand")),
    key(COMPILER, "compile_mode", Text, To("compile.mode")),
    key(COMPILER, "balance_factor", Integer, To("compile.balance_factor")),
    key(COMPILER, "core_num", Integer, To("compile.core_num")),
    key(COMPILER, "optimize_level", Text, To("optimize_level")),
    key(COMPILER, "debug", Flag, To("compile.debug")),
    key(COMPILER, "input_source", Mapping, To("input.*.source")),
    key(COMPILER, "max_time_per_fc", Integer, To("compile.max_time_per_fc")),
    key(COMPILER, "jobs", Integer, To("compile.jobs")),
    key(COMPILER, "advice", Number, To("compile.advice")),
    key(COMPILER, "cache_mode", Text, Comment("results are always remembered")),
    key(COMPILER, "cache_path", Text, Comment("[cache] dir says where results are remembered")),
    key(COMPILER, "max_l2m_size", Integer, Comment("the march file says how much memory there is")),
    key(COMPILER, "ability_entry", Text, Comment("a switch of the vendor's compiler")),
    key(COMPILER, "extra_params", Mapping, Comment("switches of the vendor's compiler")),
    old(key(COMPILER, "hbdk3_compatible_mode", Flag, Comment("a switch of the vendor's compiler"))),
    key(CUSTOM, "custom_op_method", Text, Part("custom_op")),
    key(CUSTOM, "op_register_files", List, Part("custom_op")),
    key(CUSTOM, "custom_op_dir", Text, Part("custom_op")),
];

/// The key of a group.
pub(super) fn find(group: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.group == group && k.name == name)
}

/// `docs/import.md`: what becomes of every key.
pub fn reference() -> String {
    let mut out = String::from(
        "# Horizon YAML files\n\nGenerated from the table in `engine/build/src/import/keys.rs`; a test keeps it fresh.\n\n\
         `ptq import config.yaml -o ptq.toml` turns a YAML file of hb_mapper or hb_compile into a manifest with the same meaning. Paths begin \
         at the YAML file's folder and are rewritten for the manifest's. Whatever is wrong (a key's name, form or value, counts that do not fit the \
         inputs, types that do not go together) is reported at once, with line and remedy, and nothing is written. Where the ONNX file or the \
         calibration folders are there, names, shapes and folders are checked too; where they are not, a warning says so. A key that the \
         manifest does not take in this version is written as a comment with the reason.\n\n\
         | group | key | becomes |\n| --- | --- | --- |\n",
    );
    for k in KEYS {
        let fate = match k.fate {
            To(path) => format!("`{path}`"),
            Part(what) => what.to_owned(),
            Comment(why) => format!("a comment: {why}"),
            Refused(why) => format!("an error: {why}"),
        };
        let old = if k.deprecated { " (deprecated there: a warning)" } else { "" };
        out += &format!("| {} | `{}` | {fate}{old} |\n", k.group, k.name);
    }
    out
}
