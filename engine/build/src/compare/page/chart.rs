//! A chart of points with axes, groups and the line of what nothing beats.

use super::escape;
use std::fmt::Write as _;

const WIDTH: f64 = 620.0;
const HEIGHT: f64 = 400.0;
/// Left, top, right, bottom.
const MARGIN: [f64; 4] = [70.0, 34.0, 20.0, 48.0];
/// Points with a name beside them; more only show it under the pointer.
const NAMED: usize = 14;
/// Marks of an axis, about.
const MARKS: f64 = 6.0;
/// Colours of groups.
const COLORS: [&str; 8] = ["#3b6fb6", "#c4622d", "#7b4fa0", "#8a7a1f", "#2f8f9d", "#b0487a", "#5c6b73", "#9c3d3d"];

/// What an axis shows.
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) log: bool,
}

/// One point.
pub(super) struct Point<'a> {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Number of its group, which decides its colour.
    pub(super) group: usize,
    /// Whether nothing beats it.
    pub(super) best: bool,
    pub(super) name: &'a str,
    pub(super) details: String,
}

/// Where values lie on an axis, from 0 to 1.
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// A scale over these values, with a little room on both sides.
    pub(super) fn over(values: impl Iterator<Item = f64>, log: bool) -> Scale {
        let place = |v: f64| if log { v.log10() } else { v };
        let (low, high) = values.map(place).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = if low.is_finite() { (low, high) } else { (0.0, 1.0) };
        let room = if high - low > 1e-12 { (high - low) * 0.06 } else { (high.abs() * 0.1).max(0.5) };
        Scale { low: low - room, high: high + room, log }
    }

    pub(super) fn at(&self, v: f64) -> f64 {
        let v = if self.log { v.log10() } else { v };
        (v - self.low) / (self.high - self.low)
    }

    /// Values to mark, with their texts.
    pub(super) fn marks(&self) -> Vec<(f64, String)> {
        if self.log {
            let span = self.high - self.low;
            let factors: &[f64] = if span < 1.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let decades = self.low.floor() as i32..=self.high.ceil() as i32;
            let all = decades.flat_map(|d| factors.iter().map(move |f| f * 10f64.powi(d)));
            return all.filter(|v| (0.0..=1.0).contains(&self.at(*v))).map(|v| (v, format!("{v:.0e}"))).collect();
        }
        let rough = (self.high - self.low) / MARKS;
        let unit = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * unit).find(|s| *s >= rough).unwrap_or(unit);
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|i| i as f64 * step).map(|v| (v, format!("{v:.digits$}"))).collect()
    }
}

/// The frame of a chart: title, axes, marks.
fn frame(title: &str, x: &Axis, y: &Axis, xs: &Scale, ys: &Scale) -> String {
    let [left, top, right, bottom] = MARGIN;
    let (w, h) = (WIDTH - left - right, HEIGHT - top - bottom);
    let mut out = format!(
        "<text x=\"{left}\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{}</text><rect x=\"{left}\" y=\"{top}\" width=\"{w}\" \
         height=\"{h}\" fill=\"none\" stroke=\"#bbb\"/>",
        escape(title)
    );
    for (value, text) in xs.marks() {
        let at = left + xs.at(value) * w;
        let _ = write!(
            out,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{:.1}\" stroke=\"#eee\"/><text x=\"{at:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{text}</text>",
            top + h,
            top + h + 15.0
        );
    }
    for (value, text) in ys.marks() {
        let at = top + (1.0 - ys.at(value)) * h;
        let _ = write!(
            out,
            "<line x1=\"{left}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#eee\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{text}</text>",
            left + w,
            left - 5.0,
            at + 4.0
        );
    }
    let (middle, low) = (left + w / 2.0, HEIGHT - 10.0);
    let _ = write!(
        out,
        "<text x=\"{middle:.1}\" y=\"{low:.1}\" text-anchor=\"middle\">{}</text><text transform=\"translate(14 {:.1}) rotate(-90)\" \
         text-anchor=\"middle\">{}</text>",
        escape(&x.label),
        top + h / 2.0,
        escape(&y.label)
    );
    out
}

/// Points under their axes; of each group, the line of those that no other beats in both.
pub(super) fn scatter(title: &str, x: &Axis, y: &Axis, points: &[Point<'_>], groups: &[&str]) -> String {
    let [left, top, right, bottom] = MARGIN;
    let (w, h) = (WIDTH - left - right, HEIGHT - top - bottom);
    let xs = Scale::over(points.iter().map(|p| p.x), x.log);
    let ys = Scale::over(points.iter().map(|p| p.y), y.log);
    let at = |p: &Point<'_>| (left + xs.at(p.x) * w, top + (1.0 - ys.at(p.y)) * h);
    let mut lines = String::new();
    for (group, name) in groups.iter().enumerate() {
        let front = front(points, group);
        let corners: Vec<String> = front.iter().map(|p| at(p)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let color = COLORS[group % COLORS.len()];
        let _ = writeln!(
            lines,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"><title>{}</title></polyline>",
            corners.join(" "),
            escape(name)
        );
    }
    let mut marks = String::new();
    let best = points.iter().filter(|p| p.best).count();
    for p in points {
        let ((x, y), name) = (at(p), escape(p.name));
        let (fill, ring, radius) = match p.best {
            true => ("#2a8a2a", "#fff", 5.0),
            false => (COLORS[p.group % COLORS.len()], "none", 3.5),
        };
        let _ = writeln!(
            marks,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" fill-opacity=\"0.8\" stroke=\"{ring}\"><title>{name}: \
             {}</title></circle>",
            p.details
        );
        if points.len() <= NAMED || (p.best && best <= NAMED) {
            // To the left where there is no room to the right.
            let (dx, anchor) = if x > left + w * 0.72 { (-7.0, "end") } else { (7.0, "start") };
            let _ = writeln!(
                marks,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{name}</text>",
                x + dx,
                y - 6.0
            );
        }
    }
    let mut legend = String::new();
    if groups.len() > 1 {
        for (i, name) in groups.iter().enumerate().take(COLORS.len()) {
            let (x, y) = (left + w - 8.0, top + 16.0 + 14.0 * i as f64);
            let _ = write!(
                legend,
                "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\" style=\"fill:{}\">{} ●</text>",
                x,
                COLORS[i],
                escape(name)
            );
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-size=\"11\">{}\n{lines}{marks}{legend}</svg>",
        frame(title, x, y, &xs, &ys)
    )
}

/// Points of a group that no other of it beats in x and y, from left to right.
fn front<'a, 'p>(points: &'a [Point<'p>], group: usize) -> Vec<&'a Point<'p>> {
    let mut own: Vec<&Point<'_>> = points.iter().filter(|p| p.group == group).collect();
    own.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
    let mut least = f64::INFINITY;
    own.retain(|p| {
        p.y < least && {
            least = p.y;
            true
        }
    });
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_inside() {
        let texts = |s: Scale| s.marks().into_iter().map(|m| m.1).collect::<Vec<_>>();
        assert_eq!(texts(Scale::over([0.0, 10.0].into_iter(), false)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(texts(Scale::over([1e-5, 1e-2].into_iter(), true)), ["1e-5", "1e-4", "1e-3", "1e-2"]);
        assert!(!texts(Scale::over([3.0].into_iter(), false)).is_empty(), "one value has an axis too");
    }

    #[test]
    fn a_front_holds_what_nothing_beats() {
        let point = |x, y| Point { x, y, group: 0, best: false, name: "n", details: String::new() };
        let points = [point(1.0, 5.0), point(2.0, 6.0), point(3.0, 2.0), point(4.0, 2.0), point(5.0, 1.0)];
        let xs: Vec<f64> = front(&points, 0).iter().map(|p| p.x).collect();
        assert_eq!(xs, [1.0, 3.0, 5.0]);
    }
}
