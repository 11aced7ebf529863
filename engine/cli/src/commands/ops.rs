//! `ptq ops`.

use super::load_march;
use crate::args::Ops;
use crate::failure::Failure;
use ptq_report::{operators, operators_markdown};

pub(crate) fn run(args: &Ops) -> Result<u8, Failure> {
    let march = load_march(&args.march)?;
    let rows = operators(&march, []);
    if args.json {
        let json = serde_json::json!({ "march": march.name, "operators": rows });
        println!("{}", serde_json::to_string_pretty(&json).map_err(|e| Failure::Bug(e.to_string()))?);
    } else {
        print!("{}", operators_markdown(&march, &rows));
    }
    Ok(0)
}
