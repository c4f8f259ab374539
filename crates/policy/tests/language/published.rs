//! Examples AWS publishes, kept in `tests/cases/published.txt`.

use policy::explain;

use crate::written::Written;

#[test]
fn published_examples_answer_as_published() {
    let file = include_str!("../cases/published.txt");
    let mut questions = 0;
    for case in file.split("\n== ").skip(1) {
        let title = case.lines().next().unwrap();
        assert!(case.contains("\nsource: "), "{title} names its source");
        let written = Written::read(case, &["allow:", "deny:"]);
        for line in case.lines() {
            let (expected, question) = match line.split_once(':') {
                Some(("allow", question)) => (true, question),
                Some(("deny", question)) => (false, question),
                _ => continue,
            };
            let trace = written.ask(question, explain);
            assert_eq!(trace.allowed, expected, "{title}: {question}\n{trace}");
            questions += 1;
        }
    }
    assert!(questions > 140, "the file was read");
}
