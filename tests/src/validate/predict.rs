//! What the compiler and the timed simulator say of a graph on a march.

use crate::networks::Builder;
use ptq_compile::{OptimizeLevel, Report, Search, compile};
use ptq_ir::QGraph;
use ptq_march::{Hardware, March};
use ptq_sim::artifact::{Body, Model};
use ptq_sim::timing::Timing;

/// A march of the program's own, by name.
///
/// # Errors
/// When there is none.
pub(crate) fn march(name: &str) -> Result<March, String> {
    let text = ptq_march::source(name).ok_or_else(|| format!("march {name} is missing"))?;
    March::from_toml(&text).map_err(|d| format!("{d:?}"))
}

/// The hardware of a march.
///
/// # Errors
/// When it has none.
pub(crate) fn hardware(march: &March) -> Result<&Hardware, String> {
    march.hardware.as_ref().ok_or_else(|| format!("march {} has no accelerator", march.name))
}

/// The march that the figures to reach are stated for: 4,096 multipliers, 2 MiB of SRAM, 8 bytes a cycle.
///
/// # Errors
/// When march `bayes-e`, whose other figures it has, is missing.
pub(crate) fn stated() -> Result<March, String> {
    let mut march = march("bayes-e")?;
    if let Some(hardware) = &mut march.hardware {
        hardware.ddr_bytes_per_cycle = 8.0;
    }
    Ok(march)
}

/// A compiled graph with its timing; graphs here have one segment.
pub(crate) struct Predicted {
    pub(crate) model: Model,
    pub(crate) report: Report,
    pub(crate) timing: Timing,
}

/// Compiles and times a graph.
///
/// # Errors
/// When it does not compile.
pub(crate) fn predict(graph: &QGraph, march: &March, search: &Search) -> Result<Predicted, String> {
    let (model, report) =
        compile(graph, march, [0; 32], search).map_err(|d| format!("{} does not compile: {d:?}", graph.name))?;
    let timing = time(&model, hardware(march)?).ok_or_else(|| format!("{} has no program", graph.name))?;
    Ok(Predicted { model, report, timing })
}

/// Times the one program of a model on a target.
pub(crate) fn time(model: &Model, hardware: &Hardware) -> Option<Timing> {
    model.segments.iter().find_map(|s| match &s.body {
        Body::Npu(npu) => Some(Timing::of_segment(model, s, npu, hardware)),
        _ => None,
    })
}

/// One layer by itself: kind, input and output extents, kernel and stride, as other tools' tables list them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layer {
    pub(crate) net: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    /// Input height, width, channels; output height, width, channels.
    pub(crate) extents: [usize; 6],
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// The other tool's figures.
    pub(crate) figures: Vec<f64>,
}

impl Layer {
    /// Reads `net,name,kind,ih,iw,ic,oh,ow,oc,k,s,figure…`.
    ///
    /// # Errors
    /// Names the line that is not like that.
    pub(crate) fn parse(line: &str) -> Result<Layer, String> {
        let bad = || format!("not a layer: {line}");
        let cells: Vec<&str> = line.split(',').collect();
        let [net, name, kind, numbers @ ..] = &cells[..] else { return Err(bad()) };
        let numbers: Vec<f64> = numbers.iter().map(|n| n.parse().map_err(|_| bad())).collect::<Result<_, _>>()?;
        if numbers.len() < 9 {
            return Err(bad());
        }
        let at = |i: usize| numbers[i] as usize;
        Ok(Layer {
            net: (*net).to_owned(),
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            extents: std::array::from_fn(at),
            kernel: at(6),
            stride: at(7),
            figures: numbers[8..].to_vec(),
        })
    }

    /// The layer as a program of its own.
    pub(crate) fn graph(&self, march: &str) -> QGraph {
        let [ih, iw, ic, _, _, oc] = self.extents;
        let mut b = Builder::new(&format!("{}_{}", self.net, self.name), march);
        let x = b.input(ic, ih, iw);
        let y = match self.kind.as_str() {
            "dw" => b.conv(x, oc, self.kernel, self.stride, ic),
            "maxpool" => b.max_pool(x, self.kernel, self.stride, (self.kernel - 1) / 2),
            "gap" => b.global_pool(x),
            "add" => {
                let other = b.input(ic, ih, iw);
                b.add(x, other)
            }
            _ => b.conv(x, oc, self.kernel, self.stride, 1),
        };
        b.output(y);
        b.graph
    }

    /// The search that judges a layer by itself.
    pub(crate) fn search() -> Search {
        Search { level: OptimizeLevel::O3, ..Search::default() }
    }
}
