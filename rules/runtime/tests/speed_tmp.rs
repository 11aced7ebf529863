//! tmp
#![allow(clippy::unwrap_used, dead_code, unused)]
#[path = "equality/builder.rs"]
mod builder;
#[path = "equality/compare.rs"]
mod compare;
use builder::Builder;
use ptq_ir::ops::{ConvGeom, PoolGeom};
use ptq_ir::{DType, Rounding};
fn g(k: usize, s: usize, group: usize) -> ConvGeom { let p=(k-1)/2; ConvGeom{kernel:[k,k],strides:[s,s],pads:[p,p,p,p],dilations:[1,1],group} }
#[test]
fn speed() {
    for (rounding, act) in [(Rounding::Fixed, DType::I8), (Rounding::Float, DType::U8)] {
    let mut b = Builder::new(rounding, act, 1);
    let mut x = b.input(&[1, 3, 224, 224]);
    x = b.conv(x, 32, g(3,2,1), false);
    let mut c = 32;
    for (t, oc, n, s, k) in [(1,16,1,1,3),(6,24,2,2,3),(6,40,2,2,5),(6,80,3,2,3),(6,112,3,1,5),(6,192,4,2,5),(6,320,1,1,3)] {
        for i in 0..n {
            let st = if i==0 {s} else {1};
            let mut y = x;
            if t>1 { y = b.conv(y, c*t, g(1,1,1), false); }
            y = b.conv(y, c*t, g(k,st,c*t), false);
            y = b.conv(y, oc, g(1,1,1), false);
            if st==1 && c==oc { y = b.add(y, x); }
            c = oc; x = y;
        }
    }
    x = b.conv(x, 1280, g(1,1,1), false);
    x = b.average_pool(x, PoolGeom::global([7,7]));
    x = b.conv(x, 1000, g(1,1,1), rounding == Rounding::Fixed);
    b.output(x);
    let graph = b.finish();
    let inputs = compare::inputs(&graph, 5);
    compare::assert_equal_everywhere(&graph, &[4<<20, 64<<10]);
    for sram in [Some(4<<20), Some(256<<10), None] {
      for threads in [1,2] {
        let model = ptq_compile::compile(&graph, &compare::march(&graph, sram), [0;32], ptq_compile::OptimizeLevel::O0).unwrap();
        let bin = ptq_sim::artifact::encode(&model);
        let m = ptq_runtime::Model::load(&bin).unwrap();
        for _ in 0..3 {
        let t3 = std::time::Instant::now();
        let o = m.run(&inputs, &ptq_runtime::RunOptions{threads}).unwrap();
        eprintln!("{rounding:?} {sram:?} {threads}: run {:?} bytes {}", t3.elapsed(), bin.len());
        }
      }
    }
    }
}
