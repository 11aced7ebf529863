//! `[matrix.NAME]`: a cross product of lists of values, minus `exclude`, plus `include`, named by a template.

use super::expand::{Base, Draft, Variant, add};
use super::keys::{self, KeyType};
use super::settings::{Reader, Setting, Settings, Spot, parts};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most variants that one matrix may expand to.
const MAX_VARIANTS: usize = 100_000;
/// Keys of a matrix besides axes.
pub(super) const OWN_KEYS: [&str; 3] = ["name", "include", "exclude"];

/// One axis of a matrix: a path and the values to try.
type Axis = (Vec<String>, Vec<Setting>);
/// One combination: a value of each axis.
type Point = BTreeMap<Vec<String>, Setting>;

/// Reads a matrix and adds its variants.
pub(super) fn matrix(
    r: &mut Reader<'_>,
    table: &DeTable<'_>,
    spot: &Spot,
    base: &Base,
    out: &mut BTreeMap<String, Variant>,
) {
    let Some(template) = table.get("name").and_then(|v| Some((r.text("name", v)?, r.spot(v)))) else {
        r.problem("MANIFEST05", "a matrix needs name, such as \"{model}-{march}\"".into(), spot, None);
        return;
    };
    let mut axes: Vec<Axis> = Vec::new();
    let before = r.problems.len();
    for (key, value) in table.iter().filter(|(k, _)| !OWN_KEYS.contains(&k.get_ref().as_ref())) {
        let spot = r.spot(key);
        axis(r, parts(key.get_ref()), value, &spot, &mut axes);
    }
    let excluded = points(r, table, "exclude");
    for (point, spot) in &excluded {
        for path in point.keys().filter(|p| !axes.iter().any(|(axis, _)| axis == *p)) {
            let what = format!("exclude names {}, which is no key of this matrix", path.join("."));
            r.problem("MANIFEST14", what, spot, None);
        }
    }
    let total = axes.iter().try_fold(1usize, |n, (_, v)| n.checked_mul(v.len())).filter(|n| *n <= MAX_VARIANTS);
    let Some(total) = total else {
        return r.problem("MANIFEST09", format!("the matrix has more than {MAX_VARIANTS} variants"), spot, None);
    };
    let excludes = |point: &Point| {
        let says = |e: &Point| e.iter().all(|(k, v)| point.get(k).is_some_and(|p| p.value == v.value));
        excluded.iter().any(|(e, _)| says(e))
    };
    let product = (0..total).map(|i| combination(&axes, i)).filter(|point| !excludes(point)).map(|p| (p, spot.clone()));
    let fixed: Point =
        axes.iter().filter(|(_, v)| v.len() == 1).map(|(path, v)| (path.clone(), v[0].clone())).collect();
    let included = points(r, table, "include").into_iter().map(|(own, spot)| {
        let mut point = fixed.clone();
        point.extend(own);
        (point, spot)
    });
    if r.problems.len() > before {
        return;
    }
    for (mut point, spot) in product.chain(included).collect::<Vec<_>>() {
        let name = match fill(&template.0, &point) {
            Ok(name) => name,
            Err(missing) => {
                let known = point.keys().map(|p| format!("{{{}}}", p.join("."))).collect::<Vec<_>>().join(", ");
                let what = format!("the name asks for {{{missing}}}, which is no key of this matrix");
                return r.problem("MANIFEST14", what, &template.1, Some(format!("keys: {known}")));
            }
        };
        let model = point.remove(&vec!["model".to_owned()]).and_then(|s| s.value.as_str().map(str::to_owned));
        let Some(model) = model else {
            return r.problem("MANIFEST05", "a matrix needs model, a list of model names".into(), &spot, None);
        };
        add(r, Draft { name: (name, &template.1), model: (model, &spot), own: &Settings(point) }, base, out);
    }
}

/// Combination `i` of the axes; the last one turns fastest.
fn combination(axes: &[Axis], mut i: usize) -> Point {
    let mut point = Point::new();
    for (path, values) in axes.iter().rev() {
        point.insert(path.clone(), values[i % values.len()].clone());
        i /= values.len();
    }
    point
}

/// A template with values in place of `{key}`.
///
/// # Errors
/// The first key that has no value.
fn fill(template: &str, point: &Point) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((head, tail)) = rest.split_once('{') {
        let Some((key, after)) = tail.split_once('}') else { break };
        let value = &point.get(&parts(key)).ok_or_else(|| key.to_owned())?.value;
        out.push_str(head);
        out += &value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        rest = after;
    }
    Ok(out + rest)
}

fn kind_of(path: &[String]) -> Option<KeyType> {
    if path == ["model"] { Some(KeyType::Text) } else { keys::find(path).map(|k| k.kind) }
}

/// Reads one key of a matrix: a list of values to try, one value, or a table of such keys.
fn axis(r: &mut Reader<'_>, path: Vec<String>, value: &Spanned<DeValue<'_>>, spot: &Spot, axes: &mut Vec<Axis>) {
    match (kind_of(&path), value.get_ref()) {
        (Some(kind), DeValue::Array(items)) => {
            let values: Vec<Setting> = items.iter().filter_map(|item| r.value(kind, &path, item)).collect();
            if items.is_empty() {
                r.problem("MANIFEST03", format!("{} has no values to try", path.join(".")), spot, None);
            } else if !values.is_empty() {
                axes.push((path, values));
            }
        }
        (Some(kind), _) => axes.extend(r.value(kind, &path, value).map(|v| (path, vec![v]))),
        (None, DeValue::Table(table)) if keys::is_group(&path) => {
            for (key, inner) in table.iter() {
                let mut deeper = path.clone();
                deeper.push(key.get_ref().to_string());
                let spot = r.spot(key);
                axis(r, deeper, inner, &spot, axes);
            }
        }
        _ => r.unknown(&path, spot),
    }
}

/// The tables of `include` or `exclude`.
fn points(r: &mut Reader<'_>, table: &DeTable<'_>, name: &str) -> Vec<(Point, Spot)> {
    let Some(list) = table.get(name) else { return Vec::new() };
    let DeValue::Array(items) = list.get_ref() else {
        let spot = r.spot(list);
        r.problem("MANIFEST03", format!("{name} must be a list of tables"), &spot, None);
        return Vec::new();
    };
    let mut out = Vec::new();
    for item in items.iter() {
        let spot = r.spot(item);
        match item.get_ref() {
            DeValue::Table(t) => {
                let mut point = r.settings(t, &["model"]).0;
                if let Some(model) = t.get("model")
                    && let Some(setting) = r.value(KeyType::Text, &["model".to_owned()], model)
                {
                    point.insert(vec!["model".to_owned()], setting);
                }
                out.push((point, spot));
            }
            _ => r.problem("MANIFEST03", format!("{name} must be a list of tables"), &spot, None),
        }
    }
    out
}
