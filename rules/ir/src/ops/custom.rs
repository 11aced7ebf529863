//! Custom operators: nodes of a domain that no standard knows, with the declaration that says what shapes they give and which
//! program computes them. Written by parse, read by shape inference, execution and export.

use crate::{Attr, Attrs, DType};
use serde::{Deserialize, Serialize};

/// Attribute of a node that holds its declaration, encoded. It never leaves the graph: exported files do not have it.
pub const CUSTOM: &str = "ptq.custom";
/// Largest dimension that a shape rule may give.
const MAX_SIZE: i64 = 1 << 40;

/// A declared operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CustomOp {
    /// Name of the declaration.
    pub name: String,
    /// What computes it: the digest of the program with all that it depends on.
    pub program: String,
    /// What its inputs must be, in order; a node may omit those at the end.
    pub inputs: Vec<CustomInput>,
    /// What its outputs are, in order.
    pub outputs: Vec<CustomOutput>,
}

/// What an input must be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CustomInput {
    /// Element type, as in ONNX; any where it is not given.
    #[serde(rename = "type")]
    pub dtype: Option<String>,
    /// Dimensions: a number, a word for any size (the same everywhere in the declaration), or `*`; any shape where it is not given.
    pub shape: Option<Vec<String>>,
}

/// What an output is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CustomOutput {
    /// Element type, as in ONNX; that of input `like` where it is not given.
    #[serde(rename = "type")]
    pub dtype: Option<String>,
    /// Dimensions: sums, products and quotients of numbers, words of the inputs and attributes (`$name`); the shape of input `like`
    /// where they are not given.
    pub shape: Option<Vec<String>>,
    /// Input whose type and shape count where none is given.
    pub like: usize,
}

/// Type and shape of an input that is given.
pub type Given<'a> = Option<(DType, &'a [usize])>;

impl CustomOp {
    /// The declaration of a node; `None` for nodes that are no custom operators, or whose declaration does not read.
    pub fn of(attrs: &Attrs) -> Option<CustomOp> {
        match attrs.get(CUSTOM) {
            Some(Attr::Str(text)) => postcard::from_bytes(&bytes(text)?).ok(),
            _ => None,
        }
    }

    /// Makes a node one of this declaration.
    ///
    /// # Errors
    /// When the declaration does not encode.
    pub fn mark(&self, attrs: &mut Attrs) -> Result<(), String> {
        let encoded = postcard::to_stdvec(self).map_err(|e| e.to_string())?;
        attrs.set(CUSTOM, Attr::Str(encoded.iter().map(|b| format!("{b:02x}")).collect()));
        Ok(())
    }

    /// Types and shapes of a node's outputs.
    ///
    /// # Errors
    /// What does not fit the declaration.
    pub fn infer(&self, inputs: &[Given<'_>], attrs: &Attrs) -> Result<Vec<(DType, Vec<usize>)>, String> {
        if inputs.len() > self.inputs.len() {
            return Err(format!("{} inputs are given, {} declared", inputs.len(), self.inputs.len()));
        }
        let mut words: Vec<(&str, usize)> = Vec::new();
        for (i, (wanted, given)) in self.inputs.iter().zip(inputs).enumerate() {
            let Some((dtype, shape)) = given else { continue };
            if let Some(name) = wanted.dtype.as_ref().filter(|n| *n != dtype.name()) {
                return Err(format!("input {i} is {dtype}, declared {name}"));
            }
            let Some(dims) = &wanted.shape else { continue };
            let differs = || format!("input {i} has shape {shape:?}, declared [{}]", dims.join(", "));
            if dims.len() != shape.len() {
                return Err(differs());
            }
            for (dim, &size) in dims.iter().zip(*shape) {
                let fits = match (dim.parse::<usize>(), words.iter().find(|(w, _)| w == dim)) {
                    (Ok(number), _) => number == size,
                    (_, Some((_, known))) => *known == size,
                    _ => {
                        if dim != "*" {
                            words.push((dim, size));
                        }
                        true
                    }
                };
                if !fits {
                    return Err(differs());
                }
            }
        }
        let value = |name: &str| match name.strip_prefix('$') {
            Some(attribute) => match attrs.get(attribute) {
                Some(Attr::Int(v)) => Ok(*v),
                _ => Err(format!("the node has no whole attribute {attribute}")),
            },
            None => {
                let word = words.iter().find(|(w, _)| *w == name);
                let size = word.ok_or_else(|| format!("no input says what {name} is"))?.1;
                i64::try_from(size).map_err(|e| e.to_string())
            }
        };
        self.outputs.iter().enumerate().map(|(i, output)| output.infer(i, inputs, &value)).collect()
    }
}

/// Bytes of a text of hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[a, b]| Some(digit(*a)? * 16 + digit(*b)?)).collect()
}

impl CustomOutput {
    fn infer(
        &self,
        i: usize,
        inputs: &[Given<'_>],
        value: &dyn Fn(&str) -> Result<i64, String>,
    ) -> Result<(DType, Vec<usize>), String> {
        let like = || {
            let found = inputs.get(self.like).copied().flatten();
            found.ok_or_else(|| format!("output {i} is like input {}, which is not given", self.like))
        };
        let dtype = match &self.dtype {
            Some(name) => {
                DType::ALL.into_iter().find(|d| d.name() == name).ok_or(format!("there is no type {name}"))?
            }
            None => like()?.0,
        };
        let Some(dims) = &self.shape else { return Ok((dtype, like()?.1.to_vec())) };
        let size = |dim: &String| {
            let size = evaluate(dim, value).map_err(|why| format!("output {i}: {dim:?}: {why}"))?;
            let size = Some(size).filter(|s| (0..=MAX_SIZE).contains(s)).and_then(|s| usize::try_from(s).ok());
            size.ok_or_else(|| format!("output {i}: {dim:?} is no size"))
        };
        Ok((dtype, dims.iter().map(size).collect::<Result<_, _>>()?))
    }
}

/// The value of a sum of products of numbers and names, as `2 * H + $pad`. Division is of whole numbers and rounds down.
///
/// # Errors
/// What does not read, or does not compute.
pub fn evaluate(text: &str, value: &dyn Fn(&str) -> Result<i64, String>) -> Result<i64, String> {
    let mut parser = Parser { rest: text.trim(), value, depth: 0 };
    let result = parser.sum()?;
    if parser.rest.is_empty() { Ok(result) } else { Err(format!("cannot read {:?}", parser.rest)) }
}

struct Parser<'a> {
    rest: &'a str,
    value: &'a dyn Fn(&str) -> Result<i64, String>,
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let found = self.rest.chars().next().filter(|c| wanted.contains(c))?;
        self.rest = self.rest[found.len_utf8()..].trim_start();
        Some(found)
    }

    fn sum(&mut self) -> Result<i64, String> {
        let mut total = self.product()?;
        while let Some(sign) = self.take(&['+', '-']) {
            let next = self.product()?;
            let sum = if sign == '+' { total.checked_add(next) } else { total.checked_sub(next) };
            total = sum.ok_or("it is too large")?;
        }
        Ok(total)
    }

    fn product(&mut self) -> Result<i64, String> {
        let mut total = self.factor()?;
        while let Some(sign) = self.take(&['*', '/']) {
            let next = self.factor()?;
            total = match sign {
                '*' => total.checked_mul(next).ok_or("it is too large")?,
                _ if next == 0 => return Err("it divides by 0".to_owned()),
                _ => total.checked_div_euclid(next).ok_or("it is too large")?,
            };
        }
        Ok(total)
    }

    fn factor(&mut self) -> Result<i64, String> {
        if self.take(&['(']).is_some() {
            self.depth += 1;
            if self.depth > 32 {
                return Err("it is nested too deeply".to_owned());
            }
            let inner = self.sum()?;
            self.depth -= 1;
            return self.take(&[')']).map(|_| inner).ok_or_else(|| "a ) is missing".to_owned());
        }
        let is_word = |c: char| c.is_alphanumeric() || "_$".contains(c);
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(format!("a number or a name is missing before {:?}", self.rest));
        }
        self.rest = rest.trim_start();
        word.parse::<i64>().or_else(|_| (self.value)(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(inputs: &[&[&str]], outputs: &[&[&str]]) -> CustomOp {
        let dims = |d: &&[&str]| Some(d.iter().map(|s| (*s).to_owned()).collect());
        CustomOp {
            inputs: inputs.iter().map(|d| CustomInput { shape: dims(d), ..CustomInput::default() }).collect(),
            outputs: outputs.iter().map(|d| CustomOutput { shape: dims(d), ..CustomOutput::default() }).collect(),
            ..CustomOp::default()
        }
    }

    #[test]
    fn shapes_follow_words_and_attributes() {
        let attrs = Attrs::of([("factor", Attr::Int(2))]);
        let up = op(&[&["N", "3", "H", "W"]], &[&["N", "3", "H * $factor", "(W + 1) / 2 - 1"]]);
        let shape = [1, 3, 4, 9];
        let out = up.infer(&[Some((DType::F32, &shape))], &attrs).expect("fits");
        assert_eq!(out, [(DType::F32, vec![1, 3, 8, 4])]);
        let same = op(&[&["*", "*"]], &[]);
        let like = CustomOp { outputs: vec![CustomOutput::default()], ..same };
        assert_eq!(like.infer(&[Some((DType::I8, &[2, 5]))], &attrs), Ok(vec![(DType::I8, vec![2, 5])]));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let square = op(&[&["A", "A"]], &[&["A - B"]]);
        let of = |shape: &[usize]| square.infer(&[Some((DType::F32, shape))], &Attrs::default()).expect_err("no");
        assert_eq!(of(&[2, 3]), "input 0 has shape [2, 3], declared [A, A]");
        assert_eq!(of(&[2, 2]), "output 0: \"A - B\": no input says what B is");
        let names = |_: &str| Ok(3);
        for (text, why) in [
            ("1 +", "missing before"),
            ("(2", "a ) is missing"),
            ("2 2", "cannot read"),
            ("1 / (A - 3)", "divides by 0"),
        ] {
            let said = evaluate(text, &names).expect_err(text);
            assert!(said.contains(why), "{said}");
        }
        assert_eq!(evaluate("2 + 3 * A", &names), Ok(11));
    }

    #[test]
    fn a_declaration_travels_with_its_node() {
        let mut attrs = Attrs::default();
        let up = CustomOp { name: "up".into(), program: "p".into(), ..op(&[&["N"]], &[&["2 * N"]]) };
        up.mark(&mut attrs).expect("encodes");
        assert_eq!(CustomOp::of(&attrs), Some(up));
        assert_eq!(CustomOp::of(&Attrs::default()), None);
    }
}
