//! Functions of numbers of every type, against results of ONNX Runtime.
#![allow(clippy::unwrap_used)]
#![allow(clippy::excessive_precision, clippy::approx_constant, reason = "printed by the outside oracle")]

use ptq_exec::eval;
use ptq_ir::{Attr, Attrs, Tensor};

fn one(op: &str, attrs: Attrs, inputs: &[&Tensor]) -> Tensor {
    let inputs: Vec<Option<&Tensor>> = inputs.iter().map(|t| Some(*t)).collect();
    eval(op, "", &attrs, &inputs).unwrap().remove(0)
}

/// Within two units in the last place.
fn near(got: f32, want: f32) -> bool {
    (got - want).abs() <= 2.4e-7 * want.abs()
}

#[test]
fn functions_of_float32_are_right_to_the_last_bits() {
    let x = [-1.5f32, -0.5, 0.25, 0.75];
    let table: [(&str, f32, [f32; 4]); 13] = [
        ("Acos", 0.5, [2.418_858_5, 1.823_476_8, 1.445_468_4, 1.186_399_7]),
        ("Asin", 0.5, [-0.848_062_16, -0.252_680_27, 0.125_327_83, 0.384_396_76]),
        ("Atan", 1.0, [-0.982_793_8, -0.463_647_54, 0.244_978_68, 0.643_501_16]),
        ("Atanh", 0.5, [-0.972_955_1, -0.255_412_82, 0.125_657_22, 0.394_228_7]),
        ("Asinh", 1.0, [-1.194_763_2, -0.481_211_84, 0.247_466_47, 0.693_147_2]),
        ("Cos", 1.0, [0.070_737_2, 0.877_582_56, 0.968_912_4, 0.731_688_86]),
        ("Cosh", 1.0, [2.352_409_6, 1.127_626, 1.031_413_1, 1.294_683_3]),
        ("Sin", 1.0, [-0.997_495, -0.479_425_55, 0.247_403_96, 0.681_638_7]),
        ("Sinh", 1.0, [-2.129_279_4, -0.521_095_3, 0.252_612_32, 0.822_316_7]),
        ("Tan", 1.0, [-14.101_42, -0.546_302_5, 0.255_341_92, 0.931_596_46]),
        ("Softsign", 1.0, [-0.6, -0.333_333_34, 0.2, 0.428_571_43]),
        ("Celu", 1.0, [-0.776_869_83, -0.393_469_33, 0.25, 0.75]),
        ("Selu", 1.0, [-1.365_814_3, -0.691_758_16, 0.262_675_26, 0.788_025_74]),
    ];
    for (op, factor, expected) in &table {
        let scaled = Tensor::from_f32([4], x.iter().map(|v| v * factor).collect()).unwrap();
        let got = one(op, Attrs::default(), &[&scaled]);
        for (g, e) in got.f32s().unwrap().iter().zip(expected) {
            assert!(near(*g, *e), "{op}: {g} instead of {e}");
        }
    }
    let acosh = one("Acosh", Attrs::default(), &[&Tensor::from_f32([2], vec![1.5, 3.75]).unwrap()]);
    assert!(near(acosh.f32s().unwrap()[0], 0.962_423_7) && near(acosh.f32s().unwrap()[1], 1.996_631_5));
    let large = one("Sin", Attrs::default(), &[&Tensor::from_f32([3], vec![1e5, 1e20, 3e38]).unwrap()]);
    for (g, e) in large.f32s().unwrap().iter().zip([0.035_748_8, 0.656_576_7, 0.874_904_87]) {
        assert!(near(*g, e), "{g} instead of {e}");
    }
}

#[test]
fn integers_wrap_and_truncate() {
    let i8s = |v: &[i8]| Tensor::from_i8([v.len()], v.to_vec()).unwrap();
    let u8s = |v: &[u8]| Tensor::from_u8([v.len()], v.to_vec()).unwrap();
    let two = |op: &str, a: &Tensor, b: &Tensor| one(op, Attrs::default(), &[a, b]);
    assert_eq!(two("Add", &u8s(&[250, 3]), &u8s(&[10, 4])), u8s(&[4, 7]));
    assert_eq!(two("Sub", &u8s(&[3]), &u8s(&[4])), u8s(&[255]));
    assert_eq!(two("Div", &i8s(&[-7, 7]), &i8s(&[2, -2])), i8s(&[-3, -3]));
    assert_eq!(two("Mod", &i8s(&[-4, 7, 5]), &i8s(&[3, -3, 8])), i8s(&[2, -2, 5]));
    assert_eq!(one("Sign", Attrs::default(), &[&u8s(&[0, 9])]), u8s(&[0, 1]));
    assert_eq!(one("Abs", Attrs::default(), &[&i8s(&[-128, -5])]), i8s(&[-128, 5]));
    let right = Attrs::of([("direction", Attr::Str("RIGHT".to_owned()))]);
    assert_eq!(one("BitShift", right.clone(), &[&u8s(&[16, 4, 1]), &u8s(&[1, 2, 9])]), u8s(&[8, 1, 0]));
    // By the text of operator set 28: only copies of the sign remain.
    assert_eq!(one("BitShift", right, &[&i8s(&[-16, -3, 5]), &i8s(&[1, 8, -1])]), i8s(&[-8, -1, 0]));
    let base = Tensor::from_i64([2], vec![2, 3]).unwrap();
    let exponent = Tensor::from_f32([2], vec![1.5, 2.0]).unwrap();
    assert_eq!(two("Pow", &base, &exponent), Tensor::from_i64([2], vec![2, 9]).unwrap());
}

#[test]
fn float64_constants_stay_exact() {
    let x = Tensor::from_f64([1], vec![0.1]).unwrap();
    for (op, exact) in [("Exp", 0.1f64.exp()), ("Log", 0.1f64.ln()), ("Tanh", 0.1f64.tanh()), ("Sin", 0.1f64.sin())] {
        let got = one(op, Attrs::default(), &[&x]).f64s().unwrap()[0];
        assert!((got - exact).abs() <= 1e-15 * exact.abs() * 4.0, "{op}: {got} instead of {exact}");
    }
}
