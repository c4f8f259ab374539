//! Seeds of `palisade dev`: read or refused by line, and no message shows a secret.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

/// The program has no library, so the file that reads seeds is compiled again.
#[path = "../../crates/palisade/src/seed/document.rs"]
#[allow(dead_code, reason = "only what reads is asked here")]
mod document;

use document::Seed;

const SECRET: &str = "73012998730129987301";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let with_secret =
        format!("[[account]]\nid = \"111122223333\"\nroot = {{ id = \"AKIAX\", secret = \"{SECRET}\" }}\n");
    let texts = [
        text.to_owned(),
        format!("{with_secret}{text}"),
        format!("{text}\n{with_secret}"),
        format!("{with_secret}material = \"{SECRET}\" {text}"),
    ];
    for whole in texts {
        let Err(problem) = Seed::parse(Path::new("seed.toml"), &whole) else {
            continue;
        };
        let problem = problem.to_string();
        let line = problem
            .strip_prefix("seed.toml:")
            .and_then(|rest| rest.split(':').next());
        let line: usize = line
            .and_then(|line| line.parse().ok())
            .expect("a problem has a line");
        assert!((1..=whole.matches('\n').count() + 1).contains(&line), "{problem}");
        assert!(text.contains(SECRET) || !problem.contains(SECRET), "{problem}");
    }
});
