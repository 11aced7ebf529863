//! What the command line asks for.

/// How to call the program.
pub(crate) const USAGE: &str = "usage: bench inference|gemm|nodes|compile|calibrate|engine|sweep|remote|workers|scale [--variants N] [--rounds N] [--threads N,N] [--only NAME,NAME] [--isa NAME,NAME] [--ours]";

/// Parsed arguments.
pub(crate) struct Options {
    /// Which benchmark.
    pub(crate) what: String,
    /// Interleaved rounds.
    pub(crate) rounds: usize,
    /// Thread counts to measure.
    pub(crate) threads: Vec<usize>,
    /// Models or shapes to measure; all when empty.
    pub(crate) only: Vec<String>,
    /// Instruction sets to measure, by name; the best and AVX2 when empty.
    pub(crate) isa: Vec<String>,
    /// Variants of a sweep.
    pub(crate) variants: usize,
    /// Whether to leave ONNX Runtime out.
    pub(crate) ours: bool,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// Says what is wrong and how to call the program.
    pub(crate) fn parse(args: &[String]) -> Result<Options, String> {
        let mut args = args.iter();
        let what = args.next().ok_or(USAGE)?.clone();
        let mut options = Options {
            what,
            rounds: 12,
            threads: vec![1, 2],
            only: Vec::new(),
            isa: Vec::new(),
            variants: 1000,
            ours: false,
        };
        while let Some(flag) = args.next() {
            if flag == "--ours" {
                options.ours = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{flag} lacks a value\n{USAGE}"))?;
            let names = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
            let number =
                |s: &str| s.parse::<usize>().ok().filter(|&n| n > 0).ok_or_else(|| format!("{flag} {s}: not a number"));
            match flag.as_str() {
                "--variants" => options.variants = number(value)?,
                "--rounds" => options.rounds = number(value)?,
                "--threads" => options.threads = names().iter().map(|n| number(n)).collect::<Result<_, _>>()?,
                "--only" => options.only = names(),
                "--isa" => options.isa = names(),
                _ => return Err(format!("unknown option {flag}\n{USAGE}")),
            }
        }
        Ok(options)
    }

    /// Whether this name is to be measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == name)
    }
}
