//! Operators that exporters use to compute shapes, against results worked out by hand from the ONNX text.
#![allow(clippy::unwrap_used)]

use ptq_exec::{eval, eval_outputs, is_supported};
use ptq_ir::{Attr, Attrs, Tensor};

fn one(op: &str, attrs: Attrs, inputs: &[&Tensor]) -> Tensor {
    let inputs: Vec<Option<&Tensor>> = inputs.iter().map(|t| Some(*t)).collect();
    eval(op, "", &attrs, &inputs).unwrap().remove(0)
}

fn fails(op: &str, attrs: Attrs, inputs: &[&Tensor]) -> String {
    let inputs: Vec<Option<&Tensor>> = inputs.iter().map(|t| Some(*t)).collect();
    eval(op, "", &attrs, &inputs).unwrap_err().to_string()
}

fn ints(v: &[i64]) -> Tensor {
    Tensor::vec_i64(v.to_vec())
}

fn grid(shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>();
    Tensor::from_f32(shape, (0..n).map(|v| v as f32).collect()).unwrap()
}

#[test]
fn a_flatten_shape_chain_folds() {
    let shape = ints(&[2, 3, 4, 5]);
    let n = one("Gather", Attrs::default(), &[&shape, &Tensor::from_i64([], vec![0]).unwrap()]);
    assert_eq!(n.shape(), &[] as &[usize]);
    let n = one("Unsqueeze", Attrs::default(), &[&n, &ints(&[0])]);
    let rest = one("Slice", Attrs::default(), &[&shape, &ints(&[1]), &ints(&[i64::MAX])]);
    let product = one("Mul", Attrs::default(), &[&rest, &ints(&[2])]);
    let joined = one("Concat", Attrs::of([("axis", Attr::Int(0))]), &[&n, &product]);
    assert_eq!(joined, ints(&[2, 6, 8, 10]));
    let y = one("Reshape", Attrs::default(), &[&grid(&[2, 3, 4]), &ints(&[0, -1])]);
    assert_eq!(y.shape(), &[2, 12]);
}

#[test]
fn integer_division_truncates_and_modulo_follows_the_divisor() {
    let (a, b) = (ints(&[7, -7, 7, -7]), ints(&[2, 2, -2, -2]));
    assert_eq!(one("Div", Attrs::default(), &[&a, &b]), ints(&[3, -3, -3, 3]));
    assert_eq!(one("Mod", Attrs::default(), &[&a, &b]), ints(&[1, 1, -1, -1]));
    assert_eq!(one("Mod", Attrs::of([("fmod", Attr::Int(1))]), &[&a, &b]), ints(&[1, -1, 1, -1]));
    assert!(fails("Div", Attrs::default(), &[&a, &ints(&[0])]).contains("division by zero"));
}

#[test]
fn slices_clamp_and_step_backwards() {
    let x = ints(&[0, 1, 2, 3, 4]);
    let slice = |s: i64, e: i64, step: i64| {
        one("Slice", Attrs::default(), &[&x, &ints(&[s]), &ints(&[e]), &ints(&[0]), &ints(&[step])])
    };
    assert_eq!(slice(1, 100, 2), ints(&[1, 3]));
    assert_eq!(slice(-2, i64::MAX, 1), ints(&[3, 4]));
    assert_eq!(slice(-1, i64::MIN, -1), ints(&[4, 3, 2, 1, 0]));
    assert_eq!(slice(3, 0, -2), ints(&[3, 1]));
    assert_eq!(slice(4, 1, 1).len(), 0);
    let y = one(
        "Slice",
        Attrs::default(),
        &[&grid(&[2, 3]), &ints(&[1, -1]), &ints(&[2, -4]), &ints(&[0, 1]), &ints(&[1, -1])],
    );
    assert_eq!(y, Tensor::from_f32([1, 3], vec![5.0, 4.0, 3.0]).unwrap());
}

#[test]
fn broadcasting_follows_onnx() {
    let col = Tensor::from_i64([2, 1], vec![10, 20]).unwrap();
    assert_eq!(one("Add", Attrs::default(), &[&col, &ints(&[1, 2, 3])]).i64s().unwrap(), &[11, 12, 13, 21, 22, 23]);
    let cond = Tensor::from_bool([2, 1], vec![true, false]).unwrap();
    let w = one("Where", Attrs::default(), &[&cond, &ints(&[1, 2]), &ints(&[8, 9])]);
    assert_eq!(w, Tensor::from_i64([2, 2], vec![1, 2, 8, 9]).unwrap());
    let e = one("Expand", Attrs::default(), &[&col, &ints(&[3, 1, 2])]);
    assert_eq!((e.shape(), e.i64s().unwrap()), (&[3, 2, 2][..], &[10, 10, 20, 20, 10, 10, 20, 20, 10, 10, 20, 20][..]));
    assert!(fails("Add", Attrs::default(), &[&ints(&[1, 2]), &ints(&[1, 2, 3])]).contains("broadcast"));
}

#[test]
fn casts_truncate() {
    let x = Tensor::from_f32([4], vec![-1.7, 0.0, 2.9, 300.0]).unwrap();
    assert_eq!(one("Cast", Attrs::of([("to", Attr::Int(7))]), &[&x]), ints(&[-1, 0, 2, 300]));
    let b = one("Cast", Attrs::of([("to", Attr::Int(9))]), &[&x]);
    assert_eq!(b.bools().unwrap(), &[true, false, true, true]);
    assert!(fails("Cast", Attrs::of([("to", Attr::Int(10))]), &[&x]).contains("10"));
}

#[test]
fn fills_ranges_and_tiles() {
    let value = Attr::Tensor(Tensor::from_i64([1], vec![7]).unwrap());
    assert_eq!(one("ConstantOfShape", Attrs::of([("value", value)]), &[&ints(&[2])]), ints(&[7, 7]));
    let scalar = |v| Tensor::from_i64([], vec![v]).unwrap();
    assert_eq!(one("Range", Attrs::default(), &[&scalar(5), &scalar(-2), &scalar(-3)]), ints(&[5, 2, -1]));
    let t = one("Tile", Attrs::default(), &[&grid(&[1, 2]), &ints(&[2, 2])]);
    assert_eq!(t.f32s().unwrap(), &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    assert!(fails("ConstantOfShape", Attrs::default(), &[&ints(&[1 << 40])]).contains("too large"));
    assert!(fails("ConstantOfShape", Attrs::default(), &[&ints(&[-1])]).contains("negative"));
}

#[test]
fn moves_keep_every_element() {
    let x = grid(&[1, 8, 2, 3]);
    for mode in ["DCR", "CRD"] {
        let y = one("DepthToSpace", Attrs::of([("blocksize", Attr::Int(2)), ("mode", Attr::Str(mode.into()))]), &[&x]);
        assert_eq!(y.shape(), &[1, 2, 4, 6]);
        let (c, h, w) = (1, 3, 5);
        let (by, bx) = (h % 2, w % 2);
        let channel = if mode == "DCR" { (by * 2 + bx) * 2 + c } else { c * 4 + by * 2 + bx };
        assert_eq!(y.f32s().unwrap()[(c * 4 + h) * 6 + w], ((channel * 2 + h / 2) * 3 + w / 2) as f32);
        if mode == "DCR" {
            assert_eq!(one("SpaceToDepth", Attrs::of([("blocksize", Attr::Int(2))]), &[&y]), x);
        }
    }
    let t = one("Transpose", Attrs::of([("perm", Attr::Ints(vec![1, 2, 0]))]), &[&grid(&[2, 2, 3])]);
    assert_eq!(t.f32s().unwrap(), &[0.0, 6.0, 1.0, 7.0, 2.0, 8.0, 3.0, 9.0, 4.0, 10.0, 5.0, 11.0]);
    let parts = eval_outputs("Split", "", &Attrs::of([("axis", Attr::Int(1))]), &[Some(&grid(&[2, 4]))], 2).unwrap();
    assert_eq!(parts[1].f32s().unwrap(), &[2.0, 3.0, 6.0, 7.0]);
    let g = one("Gather", Attrs::of([("axis", Attr::Int(1))]), &[&grid(&[2, 3]), &ints(&[-1, 0])]);
    assert_eq!(g.f32s().unwrap(), &[2.0, 0.0, 5.0, 3.0]);
    assert!(fails("Gather", Attrs::default(), &[&grid(&[2]), &ints(&[2])]).contains("outside"));
}

#[test]
fn unknown_operators_are_refused_by_name() {
    assert!(!is_supported("Conv", "com.example") && is_supported("Where", ""));
    let e = eval("LSTM", "", &Attrs::default(), &[]).unwrap_err().to_string();
    assert!(e.contains("LSTM"), "{e}");
    assert!(fails("Add", Attrs::default(), &[&ints(&[1])]).contains("input 1 is missing"));
}
