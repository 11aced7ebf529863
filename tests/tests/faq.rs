//! `docs/faq.md`: every command that it shows works on the demo manifest, and shows what the page says.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::ptq;
use ptq_tests::workspace_root;

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace_root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The page's questions with the commands of each.
fn questions() -> Vec<(String, Vec<String>)> {
    let page = read("docs/faq.md");
    page.split("\n## ")
        .skip(1)
        .map(|section| {
            let commands = section.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
            let lines = commands.flat_map(str::lines).filter_map(|l| l.strip_prefix("ptq ").map(str::to_owned));
            (section.lines().next().unwrap_or_default().to_owned(), lines.collect())
        })
        .collect()
}

/// Words of a command line, quotes taken off.
fn words(line: &str) -> Vec<String> {
    line.split(' ').map(|w| w.trim_matches('\'').to_owned()).collect()
}

#[test]
fn every_command_of_the_page_works_and_shows_what_it_says() {
    let questions = questions();
    assert_eq!(questions.len(), 11);
    let p = TestProject::new(&read("ptq.toml"));
    for folder in ["examples/fashion-classifier", "examples/shape-segmenter"] {
        p.copy(&format!("{folder}/model.onnx"), &format!("{folder}/model.onnx"));
        p.copy(&format!("{folder}/data"), &format!("{folder}/data"));
    }
    let mut shown: Vec<String> = Vec::new();
    for (question, commands) in &questions {
        assert!(!commands.is_empty(), "{question} shows a command");
        let mut all = String::new();
        for command in commands {
            let words = words(command);
            let session = ptq(p.path(), &words.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(session.code, 0, "{question}: ptq {command}\n{}{}", session.stdout, session.stderr);
            all += &session.stdout;
        }
        shown.push(all);
    }
    let says = |question: usize, parts: &[&str]| {
        for part in parts {
            assert!(shown[question - 1].contains(part), "question {question}: no {part:?} in {}", shown[question - 1]);
        }
    };
    says(1, &["BPU subgraphs on march bayes", "Gemm"]);
    says(2, &["cuts between BPU subgraphs", "borders on the CPU"]);
    says(3, &["(int32)", "PLACE07"]);
    says(4, &["max-percentile", "kl"]);
    says(5, &["mix"]);
    says(6, &["optimize_level", "shapes-bayes"]);
    says(7, &["give 6144 bytes of nv12", "N·H·W·3 = 12288"]);
    says(8, &["NHWC", "nv12", "verified"]);
    says(9, &["[4, 3, 64, 64]"]);
    says(10, &["equal names, order, types and shapes in all artifacts", "image"]);
    says(11, &["PLACE08", "PLACE05", "Softmax"]);
}
