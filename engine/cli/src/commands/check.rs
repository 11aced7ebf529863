//! `ptq check`: parse, fuse and place a model without data, by the same code as a build.

use super::{project, read};
use crate::args::{Check, Global};
use crate::failure::Failure;
use crate::terminal::table;
use ptq_engine::manifest::VariantConfig;
use ptq_ir::{Device, Graph, InputSpec};
use ptq_march::March;
use ptq_parse::ParseParams;
use ptq_place::{Border, Cut, Place, Placement, Removal, Requests, borders, cuts, place, removed};
use ptq_rule::{Blobs, BuildRule, Context, Memo, Silent, Step};
use serde_json::json;
use std::path::{Path, PathBuf};

pub(crate) fn run(global: &Global, args: &Check) -> Result<u8, Failure> {
    let subject = Subject::of(global, args)?;
    let parsed = step(&ptq_parse::ParseRule, &blobs(&subject.model)?, &subject.params, &subject.model)?;
    let notes: Vec<ptq_ir::Diagnostic> =
        parsed.get("warnings.json").and_then(|b| serde_json::from_slice(b).ok()).unwrap_or_default();
    let fused = step(&ptq_fuse::FuseRule, &parsed, &subject.fuse, &subject.model)?;
    let graph = ptq_rule::read_graph(&fused).map_err(|f| Failure::Failed(f.to_string()))?;
    let lines = |d: &[ptq_ir::Diagnostic]| d.iter().map(ToString::to_string).collect::<Vec<_>>();
    let placed = place(&graph, &subject.march, &subject.requests).checked();
    let (placement, placing) = placed.map_err(|p| Failure::Failed(lines(&p).join("\n")))?;
    let removed = removed(&graph, &placement, &subject.removal);
    let borders = removed.rest(&graph, borders(&graph, &placement));
    let warnings = [notes, placing, removed.notes].concat();
    let found = Found {
        graph: &graph,
        march: &subject.march,
        cuts: cuts(&graph, &placement, &borders),
        borders,
        integer_ports: removed.ports.iter().map(|&v| graph.value(v).name.clone()).collect(),
        placement,
    };
    if args.json {
        println!("{}", found.as_json(&lines(&warnings)));
    } else {
        print!("{}", found.as_text(&lines(&warnings)));
    }
    Ok(0)
}

/// What is checked: a file and options, or a variant of the manifest; options come on top of it.
struct Subject {
    model: PathBuf,
    march: March,
    params: ParseParams,
    fuse: ptq_fuse::FuseParams,
    requests: Requests,
    removal: Removal,
}

impl Subject {
    fn of(global: &Global, args: &Check) -> Result<Subject, Failure> {
        let mut subject = match (&args.variant, &args.model) {
            (Some(variant), _) => Subject::of_variant(global, variant, args.march.as_deref())?,
            (None, Some(_)) if !global.define.is_empty() => {
                return Err(Failure::Usage(
                    "error: -D changes fields of the manifest, and a file alone is checked without one\n  help: --variant NAME, or \
                     --run-on-bpu, --run-on-cpu, --input-shape"
                        .into(),
                ));
            }
            (None, Some(model)) => Subject {
                model: model.clone(),
                march: super::load_march(args.march.as_deref().unwrap_or("bayes"))?,
                params: ParseParams::default(),
                fuse: ptq_fuse::FuseParams::default(),
                requests: Requests::default(),
                removal: Removal::default(),
            },
            (None, None) => return Err(Failure::Usage("error: name an ONNX file, or --variant NAME".into())),
        };
        for (name, dims) in &args.input_shape {
            let shape: Result<Vec<i64>, _> = dims.split([',', 'x']).map(str::parse).collect();
            let shape = shape.map_err(|e| Failure::Usage(format!("error: --input-shape {name}={dims}: {e}")))?;
            let spec: &mut InputSpec = subject.params.inputs.entry(name.clone()).or_default();
            spec.shape = Some(shape);
        }
        subject.requests.run_on_bpu.extend(args.run_on_bpu.iter().cloned());
        subject.requests.run_on_cpu.extend(args.run_on_cpu.iter().cloned());
        Ok(subject)
    }

    fn of_variant(global: &Global, name: &str, march: Option<&str>) -> Result<Subject, Failure> {
        let project = project(global)?;
        let Some(variant) = project.manifest().variants.get(name) else {
            let names: Vec<&str> = project.manifest().variants.keys().map(String::as_str).collect();
            let hint = ptq_place::nearest(name, names.iter().copied())
                .map_or_else(String::new, |n| format!("\n  help: did you mean {n}?"));
            return Err(Failure::Usage(format!("error: the manifest has no variant {name:?}{hint}")));
        };
        let config = VariantConfig::of(variant)
            .map_err(|p| Failure::Usage(p.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
        let folder = global.manifest.parent().unwrap_or(Path::new(""));
        Ok(Subject {
            model: folder.join(&config.path),
            march: march.map_or_else(|| super::march_of(global, &config.march), super::load_march)?,
            params: ParseParams { custom: project.custom_ops(name)?, ..config.parse_params() },
            fuse: config.fuse_params(),
            removal: config.removal(),
            requests: config.requests,
        })
    }
}

/// The model's bytes and the files beside it that hold its external data.
fn blobs(model: &Path) -> Result<Blobs, Failure> {
    let bytes: bytes::Bytes = read(model)?.into();
    let mut out = Blobs::from([("model".to_owned(), bytes.clone())]);
    // A file that cannot be read as a model names nothing; parse says what is wrong with it.
    for stated in ptq_onnx::external_files(&bytes, &ptq_onnx::Limits::default()).unwrap_or_default() {
        let data = ptq_engine::external_file(model, &stated)
            .map_err(|why| Failure::Failed(format!("error: {}: external data {stated} {why}", model.display())))?;
        out.insert(format!("{}{stated}", ptq_parse::EXTERNAL), data);
    }
    Ok(out)
}

fn step<P: serde::Serialize>(rule: &dyn BuildRule, inputs: &Blobs, params: &P, model: &Path) -> Result<Blobs, Failure> {
    let params = serde_json::to_string(params).map_err(|e| Failure::Bug(e.to_string()))?;
    let ctx = Context { inputs, params: &params, progress: &Silent, threads: 1, memo: &Memo::default() };
    match rule.step(&ctx, &[]) {
        Ok(Step::Done(blobs)) => Ok(blobs),
        Ok(Step::Need(_)) => Err(Failure::Bug(format!("{} asked for actions", rule.name()))),
        Err(failure) => Err(Failure::Failed(format!("{}: {failure}", model.display()))),
    }
}

/// A placed graph.
struct Found<'a> {
    graph: &'a Graph,
    march: &'a March,
    placement: Placement,
    borders: Vec<Border>,
    cuts: Vec<Cut>,
    /// Inputs and outputs whose border is left away.
    integer_ports: Vec<String>,
}

impl Found<'_> {
    /// Whether the vendor's converter refuses this operator.
    fn is_refused(&self, op: &str) -> bool {
        self.march.elsewhere.as_ref().and_then(|e| e.list_of(op)) == Some("unsupported")
    }

    fn as_json(&self, warnings: &[String]) -> serde_json::Value {
        let refused = self.placement.nodes.iter().filter(|n| self.is_refused(&n.op));
        json!({
            "march": self.march.name,
            "nodes": self.placement.nodes,
            "subgraphs": self.placement.subgraphs(),
            "unsupported": refused.map(|n| &n.name).collect::<Vec<_>>(),
            "borders": self.borders,
            "border_bytes": self.borders.iter().map(|b| b.bytes).sum::<u64>(),
            "border_elements": self.borders.iter().map(|b| b.elements).sum::<u64>(),
            "cuts": self.cuts,
            "integer_ports": self.integer_ports,
            "warnings": warnings,
        })
    }

    fn as_text(&self, warnings: &[String]) -> String {
        let mut rows = vec![["Node", "ON", "Subgraph", "Type"].map(str::to_owned).to_vec()];
        for n in &self.placement.nodes {
            let shown = match &n.absorbed_by {
                Some(by) => format!("{} (in {by})", n.shown),
                None if n.int32 => format!("{} (int32)", n.shown),
                None => n.shown.clone(),
            };
            let subgraph = n.subgraph.map_or_else(|| "--".into(), |id| format!("id({id})"));
            rows.push(vec![n.name.clone(), n.on.to_string(), subgraph, shown]);
        }
        let mut out = table(&rows);
        let on_cpu: Vec<_> = self.placement.nodes.iter().filter(|n| n.on == Device::Cpu).collect();
        out += &format!(
            "\n{} nodes, {} on the CPU, {} BPU subgraphs on march {}\n",
            self.graph.nodes.len(),
            on_cpu.len(),
            self.placement.subgraphs(),
            self.march.name
        );
        for n in on_cpu {
            let refused = if self.is_refused(&n.op) { ", unsupported" } else { "" };
            if let Some(r) = &n.reason {
                out +=
                    &format!("  {} ({}{refused}): {} ({})\n    remedy: {}\n", n.name, n.op, r.text, r.code, r.remedy);
            }
        }
        out += &self.border_table();
        out += &self.cut_table();
        for warning in warnings {
            out += &format!("{warning}\n");
        }
        out
    }

    /// Every CPU piece with what its borders cost, the dearest first.
    fn cut_table(&self) -> String {
        let head = [
            "Place",
            "CPU nodes",
            "Quantize elements",
            "Dequantize elements",
            "Bytes",
            "Border operations",
            "Node operations",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(self.cuts.iter().map(|c| {
            let nodes = match &c.nodes[..] {
                [] => format!("none, {}", c.values.join(", ")),
                [one] => one.clone(),
                [first, .., last] => format!("{first} to {last} ({})", c.nodes.len()),
            };
            let operations = [c.border_operations, c.node_operations];
            let counts = [c.quantize_elements, c.dequantize_elements, c.bytes].into_iter().chain(operations);
            let counts = counts.map(|n| n.to_string());
            [c.place.word().to_owned(), nodes].into_iter().chain(counts).collect()
        }));
        let count = self.cuts.iter().filter(|c| c.place == Place::Cut).count();
        format!("\n{count} cuts between BPU subgraphs\n{}", table(&rows))
    }

    /// Every border, the dearest first.
    fn border_table(&self) -> String {
        let mut by_cost: Vec<&Border> = self.borders.iter().collect();
        by_cost.sort_by_key(|b| std::cmp::Reverse(b.bytes));
        let mut rows = vec![["Border", "Value", "Elements", "Bytes"].map(str::to_owned).to_vec()];
        rows.extend(
            by_cost
                .iter()
                .map(|b| vec![b.kind.to_owned(), b.value.clone(), b.elements.to_string(), b.bytes.to_string()]),
        );
        let bytes: u64 = self.borders.iter().map(|b| b.bytes).sum();
        let bare = match &self.integer_ports[..] {
            [] => String::new(),
            ports => format!("Without a border, so that they carry integers: {}\n", ports.join(", ")),
        };
        format!("\n{} borders on the CPU move {bytes} bytes a run\n{}{bare}", self.borders.len(), table(&rows))
    }
}
