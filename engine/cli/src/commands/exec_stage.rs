//! `ptq exec-stage`: what a worker of a cluster runs.

use crate::args::ExecStage;
use crate::failure::Failure;
use ptq_engine::{WorkerEnd, exec_stage, rules};

/// Exit code of a step that cannot be run by this worker.
const CANNOT: u8 = 2;

pub(crate) fn run(args: &ExecStage) -> Result<u8, Failure> {
    match exec_stage(rules(), &args.input, &args.output, usize::from(args.threads)) {
        Ok(WorkerEnd::Answered) => Ok(0),
        Ok(WorkerEnd::Failed(problems)) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            // Servers drop output files of commands that fail; they keep what these print.
            println!("{}", serde_json::json!({ "failed": problems }));
            Ok(1)
        }
        Ok(_) => Err(Failure::Bug("a step ended in an unknown way".into())),
        Err(error) => {
            eprintln!("error: {error}");
            Ok(CANNOT)
        }
    }
}
