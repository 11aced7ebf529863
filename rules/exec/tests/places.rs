//! Operators that pick, place, order and count elements, against results of ONNX Runtime.
#![allow(clippy::unwrap_used)]

use ptq_exec::eval;
use ptq_ir::{Attr, Attrs, DType, Tensor};

/// The outputs for attributes that are integers.
fn all(op: &str, attrs: &[(&str, i64)], inputs: &[&Tensor]) -> Vec<Tensor> {
    let attrs = Attrs(attrs.iter().map(|(k, v)| ((*k).to_owned(), Attr::Int(*v))).collect());
    let inputs: Vec<Option<&Tensor>> = inputs.iter().map(|t| Some(*t)).collect();
    eval(op, "", &attrs, &inputs).unwrap()
}

fn one(op: &str, attrs: &[(&str, i64)], inputs: &[&Tensor]) -> Tensor {
    all(op, attrs, inputs).remove(0)
}

fn reduced(op: &str, mode: &str, axis: i64, inputs: [&Tensor; 3]) -> Tensor {
    let attrs = Attrs::of([("reduction", Attr::Str(mode.to_owned())), ("axis", Attr::Int(axis))]);
    eval(op, "", &attrs, &inputs.map(Some)).unwrap().remove(0)
}

fn f32s(shape: &[usize], v: &[f32]) -> Tensor {
    Tensor::from_f32(shape, v.to_vec()).unwrap()
}

fn i64s(shape: &[usize], v: &[i64]) -> Tensor {
    Tensor::from_i64(shape, v.to_vec()).unwrap()
}

/// 0 to 11 as three rows of four.
fn rows() -> Tensor {
    f32s(&[3, 4], &(0..12).map(|i| i as f32).collect::<Vec<_>>())
}

#[test]
fn gathers_accept_negative_indices() {
    let indices = i64s(&[2, 2], &[0, -1, 2, 1]);
    assert_eq!(one("GatherElements", &[("axis", 1)], &[&rows(), &indices]), f32s(&[2, 2], &[0., 3., 6., 5.]));
    assert_eq!(one("GatherND", &[], &[&rows(), &indices]), f32s(&[2], &[3., 9.]));
    let outside = i64s(&[1, 2], &[0, 4]);
    let inputs = [Some(&rows()), Some(&outside)].map(|t| t.cloned());
    let inputs: Vec<Option<&Tensor>> = inputs.iter().map(Option::as_ref).collect();
    assert!(eval("GatherND", "", &Attrs::default(), &inputs).is_err());
}

#[test]
fn scatters_join_repeated_places_in_order() {
    let got =
        reduced("ScatterElements", "add", 1, [&rows(), &i64s(&[1, 3], &[1, 1, 3]), &f32s(&[1, 3], &[10., 20., 30.])]);
    assert_eq!(got, f32s(&[3, 4], &[0., 31., 2., 33., 4., 5., 6., 7., 8., 9., 10., 11.]));
    let updates = f32s(&[2, 4], &[1., 2., 3., 4., 5., 6., 7., 8.]);
    let got = reduced("ScatterND", "mul", 0, [&rows(), &i64s(&[2, 1], &[2, 0]), &updates]);
    assert_eq!(got, f32s(&[3, 4], &[0., 6., 14., 24., 4., 5., 6., 7., 8., 18., 30., 44.]));
}

#[test]
fn the_first_of_equal_elements_wins() {
    let x = f32s(&[2, 4], &[3., 1., 3., 2., 0., 5., 4., 5.]);
    let best = all("TopK", &[], &[&x, &i64s(&[1], &[3])]);
    assert_eq!(best, [f32s(&[2, 3], &[3., 3., 2., 5., 5., 4.]), i64s(&[2, 3], &[0, 2, 3, 1, 3, 2])]);
    let least = all("TopK", &[("axis", 0), ("largest", 0)], &[&x, &i64s(&[1], &[1])]);
    assert_eq!(least, [f32s(&[1, 4], &[0., 1., 3., 2.]), i64s(&[1, 4], &[1, 0, 0, 0])]);
    let x = f32s(&[2, 3], &[3., 1., 3., 0., 5., 4.]);
    assert_eq!(one("Hardmax", &[("axis", 1)], &[&x]), f32s(&[2, 3], &[1., 0., 0., 0., 1., 0.]));
    assert_eq!(one("ArgMax", &[("axis", 1), ("select_last_index", 1)], &[&x]), i64s(&[2, 1], &[2, 1]));
    // NaN has an order too: a comparison without one would be a panic of the sort.
    let x = f32s(&[1, 4], &[f32::NAN, 1., f32::NAN, 2.]);
    assert_eq!(all("TopK", &[], &[&x, &i64s(&[1], &[4])])[1], i64s(&[1, 4], &[0, 2, 3, 1]));
}

#[test]
fn distinct_elements_and_slices_are_found() {
    let x = f32s(&[6], &[2., 1., 1., 3., 4., 3.]);
    let found = all("Unique", &[("sorted", 0)], &[&x]);
    let expected = [i64s(&[4], &[0, 1, 3, 4]), i64s(&[6], &[0, 1, 1, 2, 3, 2]), i64s(&[4], &[1, 2, 2, 1])];
    assert_eq!((&found[0], &found[1..]), (&f32s(&[4], &[2., 1., 3., 4.]), &expected[..]));
    let x = f32s(&[3, 3], &[1., 0., 0., 1., 0., 0., 2., 3., 4.]);
    let found = all("Unique", &[("axis", 0)], &[&x]);
    let expected = [i64s(&[2], &[0, 2]), i64s(&[3], &[0, 0, 1]), i64s(&[2], &[2, 1])];
    assert_eq!((&found[0], &found[1..]), (&f32s(&[2, 3], &[1., 0., 0., 2., 3., 4.]), &expected[..]));
    let x = f32s(&[2, 2], &[1., 0., 1., 1.]);
    assert_eq!(one("NonZero", &[], &[&x]), i64s(&[2, 3], &[0, 1, 1, 0, 0, 1]));
    let condition = Tensor::from_bool([3], vec![false, true, true]).unwrap();
    let kept = one("Compress", &[("axis", 1)], &[&rows(), &condition]);
    assert_eq!(kept, f32s(&[3, 2], &[1., 2., 5., 6., 9., 10.]));
}

#[test]
fn running_sums_triangles_and_reversals_follow_their_axes() {
    let x = f32s(&[2, 3], &[1., 2., 3., 4., 5., 6.]);
    let axis = i64s(&[], &[1]);
    let running = one("CumSum", &[("exclusive", 1), ("reverse", 1)], &[&x, &axis]);
    assert_eq!(running, f32s(&[2, 3], &[5., 3., 0., 11., 6., 0.]));
    assert_eq!(one("CumProd", &[], &[&x, &axis]), f32s(&[2, 3], &[1., 2., 6., 4., 20., 120.]));
    let lower = one("Trilu", &[("upper", 0)], &[&x, &i64s(&[], &[1])]);
    assert_eq!(lower, f32s(&[2, 3], &[1., 2., 0., 4., 5., 6.]));
    let x = f32s(&[2, 3], &[0., 1., 2., 3., 4., 5.]);
    let back = one("ReverseSequence", &[("batch_axis", 0), ("time_axis", 1)], &[&x, &i64s(&[2], &[2, 3])]);
    assert_eq!(back, f32s(&[2, 3], &[1., 0., 2., 5., 4., 3.]));
    let marks = one("OneHot", &[("axis", 0)], &[&i64s(&[3], &[1, -1, 7]), &i64s(&[], &[3]), &f32s(&[2], &[2., 5.])]);
    assert_eq!(marks, f32s(&[3, 3], &[2., 2., 2., 5., 2., 2., 2., 5., 2.]));
    let matrices = f32s(&[2, 2, 2], &[1., 2., 3., 4., 1., 2., 2., 1.]);
    assert_eq!(one("Det", &[], &[&matrices]), f32s(&[2], &[-2., -3.]));
}

#[test]
fn integers_are_reduced_in_their_own_type() {
    let axes = |op: &str, x: &Tensor| {
        let attrs = Attrs::of([("axes", Attr::Ints(vec![0])), ("keepdims", Attr::Int(0))]);
        eval(op, "", &attrs, &[Some(x)]).unwrap().remove(0)
    };
    let small = Tensor::from_i8([2, 2], vec![1, -128, 5, 3]).unwrap();
    assert_eq!(axes("ReduceMax", &small), Tensor::from_i8([2], vec![5, 3]).unwrap());
    let x = Tensor::from_i32([2, 2], vec![1, -8, 6, 3]).unwrap();
    assert_eq!(axes("ReduceMean", &x), Tensor::from_i32([2], vec![3, -2]).unwrap());
    assert_eq!(axes("ReduceL1", &x), Tensor::from_i32([2], vec![7, 11]).unwrap());
    let large = Tensor::from_u64([2], vec![u64::MAX, 1]).unwrap();
    assert_eq!(axes("ReduceMax", &large), Tensor::from_u64([], vec![u64::MAX]).unwrap());
    assert_eq!(axes("ReduceSum", &large), Tensor::from_u64([], vec![0]).unwrap());
}

#[test]
fn reductions_of_nothing_give_their_neutral_element() {
    let nothing = Tensor::zeros(DType::F32, [2, 0]);
    let of = |op: &str| {
        let attrs = Attrs::of([("axes", Attr::Ints(vec![1])), ("keepdims", Attr::Int(0))]);
        eval(op, "", &attrs, &[Some(&nothing)]).unwrap().remove(0).f32s().unwrap()[0]
    };
    let sums = ["ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"].map(of);
    assert_eq!(sums, [0.0; 4]);
    assert_eq!(["ReduceMax", "ReduceLogSum", "ReduceLogSumExp"].map(of), [f32::NEG_INFINITY; 3]);
    assert_eq!((of("ReduceProd"), of("ReduceMin")), (1.0, f32::INFINITY));
}
