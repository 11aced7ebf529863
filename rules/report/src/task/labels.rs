//! Labels of evaluation data: a text file with one sample a line, the file's name first. Called by the metrics.

use super::problem;
use ptq_ir::Diagnostic;
use std::collections::BTreeMap;

/// What people say of each file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// What follows the name, line by line.
    of: BTreeMap<String, Vec<String>>,
    /// What stands between fields.
    separator: char,
}

impl Labels {
    /// Reads lines `file<TAB>label`, or `file,label` in a file without tabs. A file may have several lines.
    pub fn parse(text: &str) -> Labels {
        let separator = if text.contains('\t') { '\t' } else { ',' };
        let mut of: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (file, rest) in text.lines().filter_map(|l| l.trim_end_matches('\r').split_once(separator)) {
            of.entry(file.trim().to_owned()).or_default().push(rest.to_owned());
        }
        Labels { of, separator }
    }

    /// Everything behind a file's name, a line each; the folders in front of the name may be left out.
    ///
    /// # Errors
    /// When the file has no line.
    pub fn lines(&self, file: &str) -> Result<&[String], Diagnostic> {
        let short = file.rsplit('/').next().unwrap_or(file);
        let found = self.of.get(file).or_else(|| self.of.get(short));
        found.map(Vec::as_slice).ok_or_else(|| {
            problem(format!("eval.labels has no line for {file}"))
                .hint("one line a sample: the file's name, a tab or comma, the label")
        })
    }

    /// The fields of a line, without blanks around them.
    pub fn fields<'a>(&self, line: &'a str) -> Vec<&'a str> {
        line.split(self.separator).map(str::trim).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Labels;

    #[test]
    fn tabs_keep_commas_and_folders_may_be_left_out() {
        let tabs = Labels::parse("a.png\tx, y\nb.png\t7\t1\n");
        assert_eq!(tabs.lines("deep/a.png").expect("there"), ["x, y"]);
        assert_eq!(tabs.fields(&tabs.lines("b.png").expect("there")[0]), ["7", "1"]);
        let commas = Labels::parse("file,class\r\na.png,3,more\r\n");
        assert_eq!(commas.fields(&commas.lines("a.png").expect("there")[0]), ["3", "more"]);
        assert!(commas.lines("c.png").expect_err("missing").to_string().contains("c.png"));
    }
}
