//! A plan spread over several cores and cut into function calls: which groups are divided among cores by rows, where a call
//! begins. The program falls into sections behind SYNCs; each section gets its SRAM anew. Called by `search`.

use crate::allocate::Effort;
use crate::arrange::arrange;
use crate::base::Base;
use crate::emit::{emit_groups, emit_part};
use crate::flow::Emitted;
use crate::plan::{Form, Plan};
use ptq_sim::{Command, QUEUES, Record};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How a plan is spread.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Division {
    /// Cores that divided groups use.
    #[serde(skip_serializing_if = "is_few")]
    pub cores: u8,
    /// First layers of the groups whose rows are divided among cores; all others run on core 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub split: Vec<u32>,
    /// First layers behind the first at which a function call begins; each is the first of its group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<u32>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
fn is_few(cores: &u8) -> bool {
    *cores < 2
}

/// What a program follows: written into the file as JSON, read back to replay it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Followed {
    /// Groups and their forms.
    pub plan: Plan,
    /// How they are spread.
    #[serde(default)]
    pub division: Division,
}

impl Followed {
    /// A plan on one core, in one call.
    pub(crate) fn whole(plan: Plan) -> Followed {
        Followed { plan, division: Division::default() }
    }

    /// Whether the plan is one for this segment.
    ///
    /// # Errors
    /// What it has that the segment has not.
    pub(crate) fn fits(&self, base: &Base<'_>) -> Result<(), String> {
        let layers: u64 = self.plan.groups.iter().map(|g| u64::from(g.layers)).sum();
        let own = base.nodes.len() as u64;
        if layers != own || self.plan.groups.iter().any(|g| g.layers == 0) {
            return Err(format!("it is for {layers} layers, the segment has {own}"));
        }
        let starts: Vec<u32> = self.plan.starts().map(|(start, _)| start as u32).collect();
        for (start, group) in self.plan.starts() {
            let alone = matches!(group.form, Form::Layer);
            let fusable = base.fusable[start..start + group.layers as usize].iter().all(Option::is_some);
            if (alone && group.layers != 1) || (!alone && !fusable) {
                let node = &base.nodes[start].name;
                return Err(format!("it groups {} layers from {node} on, which cannot be grouped", group.layers));
            }
        }
        let d = &self.division;
        if u32::from(d.cores) > base.hardware.cores {
            return Err(format!("it is for {} cores, the target has {}", d.cores, base.hardware.cores));
        }
        let begins = d.split.iter().chain(&d.calls).all(|s| starts.contains(s));
        let ordered = [&d.split, &d.calls, &self.plan.kept].iter().all(|l| l.windows(2).all(|w| w[0] < w[1]));
        let known = self.plan.kept.iter().all(|&k| u64::from(k) < own);
        if !begins || !ordered || !known || (d.cores < 2 && !d.split.is_empty()) {
            return Err("it divides or keeps what is no layer or group of it".to_owned());
        }
        Ok(())
    }

    /// The plan with what is kept in SRAM only inside one section.
    pub(crate) fn settled(mut self, base: &Base<'_>) -> Followed {
        let sections = self.sections();
        let split = |s: &Section| s.split;
        let section_of = |layer: usize| sections.iter().position(|s| s.layers.contains(&layer));
        self.plan.kept.retain(|&node| {
            let Some(fusable) = base.fusable.get(node as usize).and_then(Option::as_ref) else { return false };
            let own = section_of(node as usize);
            let together = base.consumers(fusable.output).iter().all(|&c| section_of(c) == own);
            together && own.is_some_and(|s| !split(&sections[s]))
        });
        self
    }

    /// Runs of groups that no SYNC divides.
    fn sections(&self) -> Vec<Section> {
        let mut out: Vec<Section> = Vec::new();
        for (i, (start, group)) in self.plan.starts().enumerate() {
            let layers = start..start + group.layers as usize;
            let split = self.division.cores > 1 && self.division.split.contains(&(start as u32));
            let call = start > 0 && self.division.calls.contains(&(start as u32));
            match out.last_mut() {
                Some(last) if !split && !last.split && !call => {
                    last.groups.end = i + 1;
                    last.layers.end = layers.end;
                }
                _ => out.push(Section { groups: i..i + 1, layers, split, call }),
            }
        }
        out
    }

    /// The program and the positions where its function calls begin; `None` when it cannot be followed. The plan must be
    /// settled.
    pub(crate) fn program(&self, base: &Base<'_>) -> Option<(Vec<Record>, Vec<u32>)> {
        let Some(ahead) = self.plan.ahead else { return self.serial(base) };
        let mut all: Vec<Emitted> = Vec::new();
        let mut calls = Vec::new();
        for section in self.sections() {
            if section.call {
                calls.push(all.len() as u32 + 1);
            }
            if section.layers.start > 0 {
                let layer = (section.layers.start - 1) as u16;
                all.push((Record { layer, wait: [0; QUEUES], core: 0, command: Command::Sync }, None));
            }
            let cores = if section.split { self.division.cores } else { 1 };
            for core in 0..cores {
                let flow = if section.split {
                    let group = self.plan.groups.get(section.groups.start)?;
                    let Form::Fused { stripes, cache, stream } = group.form else { return None };
                    let part = (usize::from(core), usize::from(cores));
                    emit_part(base, section.layers.clone(), usize::from(stripes), cache, stream, part)?
                } else {
                    emit_groups(base, &self.plan, section.groups.clone())?
                };
                let arranged = arrange(&flow, base.target, ahead as usize, Effort::Exact)?;
                all.extend(arranged.into_iter().map(|(record, place)| (Record { core, ..record }, place)));
            }
        }
        Some((base.program(&all), calls))
    }

    /// The program without overlap: every layer ends with a SYNC, where a call may begin.
    fn serial(&self, base: &Base<'_>) -> Option<(Vec<Record>, Vec<u32>)> {
        if self.division.cores > 1 || !self.plan.kept.is_empty() {
            return None;
        }
        let commands = base.serial();
        let begin = |&layer: &u32| {
            let at = commands.iter().position(|r| u32::from(r.layer) == layer && r.command != Command::End)?;
            (at > 0 && commands[at - 1].command == Command::Sync).then_some(at as u32)
        };
        let calls = self.division.calls.iter().map(begin).collect::<Option<_>>()?;
        Some((commands, calls))
    }
}

/// Groups between two SYNCs.
#[derive(Clone, Debug)]
struct Section {
    groups: Range<usize>,
    layers: Range<usize>,
    /// Whether its one group is divided among cores.
    split: bool,
    /// Whether a function call begins here.
    call: bool,
}
