//! A measured number that survives JSON even when it is not finite.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A measure. Written to JSON as a number, or as `"NaN"`, `"inf"`, `"-inf"`, because JSON has no such numbers.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Figure(pub f64);

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.is_finite() {
            true => serializer.serialize_f64(self.0),
            false => serializer.serialize_str(&self.0.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Figure, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(f64),
            Word(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(v) => Ok(Figure(v)),
            Form::Word(w) => w.parse().map(Figure).map_err(D::Error::custom),
        }
    }
}

impl std::fmt::Display for Figure {
    /// Six decimals, as the tables show.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.6}", self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_figure_survives_json() {
        for v in [0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let json = serde_json::to_string(&Figure(v)).unwrap();
            let back: Figure = serde_json::from_str(&json).unwrap();
            assert!(back.0 == v || (back.0.is_nan() && v.is_nan()), "{json}");
        }
    }
}
