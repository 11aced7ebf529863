//! The closed list of reasons for which a case of claimed operators is not run.

use super::Case;

/// Why a case is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// An input or output is a sequence, an optional or a map.
    NotATensor,
    /// Text.
    String,
    /// Complex numbers.
    Complex,
    /// Floats of 8 or fewer bits.
    NarrowFloat,
    /// Integers of fewer than 8 bits.
    NarrowInteger,
    /// The shape of an output depends on the values of run-time data.
    DataDependentShape,
    /// Every run may give another result.
    Random,
    /// A training step.
    Training,
    /// Sampling of volumes, which operator set 17 cannot say.
    Volume,
    /// Results that float32 cannot hold.
    Float64Range,
    /// The file is older than operator set 7 and cannot be raised to it.
    OldOpset,
}

impl Skip {
    /// All reasons, in the order in which they are tried.
    pub const ALL: [Skip; 11] = [
        Skip::NotATensor,
        Skip::String,
        Skip::Complex,
        Skip::NarrowFloat,
        Skip::NarrowInteger,
        Skip::DataDependentShape,
        Skip::Random,
        Skip::Training,
        Skip::Volume,
        Skip::Float64Range,
        Skip::OldOpset,
    ];

    /// The word on the page.
    pub fn word(self) -> &'static str {
        match self {
            Skip::NotATensor => "not-a-tensor",
            Skip::String => "string",
            Skip::Complex => "complex",
            Skip::NarrowFloat => "narrow-float",
            Skip::NarrowInteger => "narrow-integer",
            Skip::DataDependentShape => "data-dependent-shape",
            Skip::Random => "random",
            Skip::Training => "training",
            Skip::Volume => "volume",
            Skip::Float64Range => "float64-range",
            Skip::OldOpset => "old-opset",
        }
    }

    /// Its meaning, for the page.
    pub fn meaning(self) -> &'static str {
        match self {
            Skip::NotATensor => "an input or output is a sequence, an optional or a map",
            Skip::String => "text tensors",
            Skip::Complex => "complex numbers",
            Skip::NarrowFloat => "floats of 8 or fewer bits (float8, float6, float4)",
            Skip::NarrowInteger => "integers of fewer than 8 bits (int4, uint4, int2, uint2)",
            Skip::DataDependentShape => {
                "the shape of an output depends on run-time values; our graphs have static shapes"
            }
            Skip::Random => "every run may give another result",
            Skip::Training => "a training step: we run inference",
            Skip::Volume => "GridSample of volumes has no form in operator set 17, which our graphs hold",
            Skip::Float64Range => "float64 results beyond the range of float32, in which we compute",
            Skip::OldOpset => "the file is older than operator set 7",
        }
    }

    /// Whether this reason is about element types, which no claim covers.
    pub fn is_type(self) -> bool {
        matches!(self, Skip::NotATensor | Skip::String | Skip::Complex | Skip::NarrowFloat | Skip::NarrowInteger)
    }

    /// The reason not to run a case, if there is one.
    pub fn of(case: &Case) -> Option<Skip> {
        Skip::ALL.into_iter().find(|s| s.holds(case))
    }

    fn holds(self, case: &Case) -> bool {
        let a_type = |test: &dyn Fn(&str) -> bool| case.types.iter().any(|t| test(t));
        let flag = |name: &str| case.flags.iter().any(|f| f == name);
        match self {
            Skip::NotATensor => a_type(&|t| ["sequence", "optional", "map", "sparse_tensor", "opaque"].contains(&t)),
            Skip::String => a_type(&|t| t == "STRING"),
            Skip::Complex => a_type(&|t| t.starts_with("COMPLEX")),
            Skip::NarrowFloat => a_type(&|t| ["FLOAT8", "FLOAT6", "FLOAT4"].iter().any(|p| t.starts_with(p))),
            Skip::NarrowInteger => a_type(&|t| ["INT4", "UINT4", "INT2", "UINT2"].contains(&t)),
            Skip::DataDependentShape => flag("data-dependent"),
            Skip::Random => flag("random"),
            Skip::Training => flag("training"),
            Skip::Volume => flag("volume"),
            Skip::Float64Range => flag("float64-range"),
            Skip::OldOpset => case.opset < 7,
        }
    }
}
