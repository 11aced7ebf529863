//! The timeline: a lane for the CPU and for each queue of each core.

use super::super::Performance;
use super::super::trace::Work;
use super::{BORDER, COMPUTE, CPU, LOAD, STORE, device_fill, escape};
use ptq_sim::{QUEUES, Queue};
use std::fmt::Write as _;

const WIDTH: f64 = 1100.0;
const LANE: f64 = 26.0;
const HEAD: f64 = 90.0;
/// Pieces of work of one row closer than this part of the run are drawn as one.
const RESOLUTION: f64 = 1.0 / 4000.0;
/// Marks on the time axis.
const TICKS: usize = 8;

/// Lanes, axis and a slider that stretches them.
pub(super) fn chart(p: &Performance) -> String {
    let total = (p.latency_us() + p.cpu_us()).max(1e-9);
    let lanes = 1 + QUEUES * p.cores_per_run() as usize;
    let lane = |w: &Work| w.core.map_or(0, |core| 1 + usize::from(core) * QUEUES + w.queue);
    let x = |us: f64| us / total * (WIDTH - HEAD);
    let mut marks = String::new();
    for w in merged(p.work(), total * RESOLUTION) {
        let Some(row) = p.rows.get(w.row) else { continue };
        let fill = match w.core.map(|_| Queue::ALL[w.queue % QUEUES]) {
            None => device_fill(row),
            Some(Queue::Load) => LOAD,
            Some(Queue::Store) => STORE,
            Some(Queue::Mac) => COMPUTE,
            Some(Queue::Vector) => "#7fb069",
        };
        let title = format!("{}: {:.1} us at {:.1} us", row.name, w.end - w.start, w.start);
        let _ = write!(
            marks,
            "<rect x=\"{:.2}\" y=\"{:.0}\" width=\"{:.2}\" height=\"{:.0}\" fill=\"{fill}\"><title>{}</title></rect>",
            x(w.start),
            lane(&w) as f64 * LANE + 5.0,
            x(w.end - w.start).max(0.3),
            LANE - 8.0,
            escape(&title)
        );
    }
    let mut names = String::new();
    for i in 0..lanes {
        let name = match i.checked_sub(1) {
            None => "CPU".to_owned(),
            Some(q) if p.cores_per_run() > 1 => format!("{} {}", q / QUEUES, Queue::ALL[q % QUEUES].name()),
            Some(q) => Queue::ALL[q % QUEUES].name().to_owned(),
        };
        let _ = write!(names, "<text x=\"2\" y=\"{:.0}\">{name}</text>", i as f64 * LANE + 19.0);
    }
    let height = lanes as f64 * LANE + 26.0;
    let mut axis = String::new();
    for i in 0..=TICKS {
        let us = total * i as f64 / TICKS as f64;
        let (at, anchor) = (x(us), if i == 0 { "start" } else { "end" });
        let _ = write!(
            axis,
            "<path d=\"M{at:.1} 0V{:.0}\" stroke=\"#e3e7e9\" vector-effect=\"non-scaling-stroke\"/><text x=\"{at:.1}\" y=\"{:.0}\" \
             text-anchor=\"{anchor}\">{:.1}</text>",
            height - 18.0,
            height - 5.0,
            us
        );
    }
    let width = WIDTH - HEAD;
    format!(
        "<p class=\"note\">Microseconds of one run; CPU work (grey, borders in <span style=\"color:{BORDER}\">orange</span>) takes assumed \
         times. <label>stretch <input type=\"range\" min=\"100\" max=\"3000\" value=\"100\" \
         oninput=\"document.getElementById('lanes').setAttribute('width',this.value/100*{width})\"></label></p>\
         <div style=\"display:flex\"><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{HEAD}\" height=\"{height}\" font-size=\"12\" fill=\"{CPU}\">\
         {names}</svg><div class=\"wide\" style=\"flex:1\"><svg id=\"lanes\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" font-size=\"10\">{axis}{marks}</svg></div></div>"
    )
}

/// Neighbours of one row in one lane become one piece.
fn merged(mut work: Vec<Work>, gap: f64) -> Vec<Work> {
    work.sort_by(|a, b| (a.core, a.queue).cmp(&(b.core, b.queue)).then(a.start.total_cmp(&b.start)));
    let mut out: Vec<Work> = Vec::new();
    for w in work {
        match out.last_mut() {
            Some(last)
                if (last.core, last.queue, last.row) == (w.core, w.queue, w.row) && w.start - last.end <= gap =>
            {
                last.end = last.end.max(w.end);
            }
            _ => out.push(w),
        }
    }
    out
}
