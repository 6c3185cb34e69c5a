//! Committed references: compared by tests, rewritten by `cargo xtask generate`.

use std::fs;
use std::path::{Path, PathBuf};

/// Set to `1`, [`golden`] rewrites the committed file instead of comparing with it.
const REWRITE: &str = "CHATWARDEN_GENERATE";

/// `cargo xtask generate` runs the tests with this word in their path.
const FILTER: &str = "reference";

/// Lines of either side that a failure shows.
const SHOWN: usize = 12;

/// Compares `actual` with the committed file at `path`, given from the repository's root
/// (`docs/reference/authz.txt`).
///
/// The test that calls it has the word `reference` in its path
/// (`fn authz_reference_is_current()`), which is how `cargo xtask generate` finds it.
///
/// # Panics
///
/// Where the two differ, with the first lines that do; where the test's path lacks the word; where the
/// file can't be written.
#[track_caller]
pub fn golden(path: &str, actual: &str) {
    // Tests run on threads named for them, except where there is only the main thread to run on.
    let test = std::thread::current();
    let test = test.name().unwrap_or("main");
    assert!(
        test == "main" || test.contains(FILTER),
        "`{test}` makes {path}: put `{FILTER}` into its name, else `cargo xtask generate` does not run it"
    );

    let file = root().join(path);
    if std::env::var_os(REWRITE).is_some_and(|value| value == "1") {
        let written = file
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&file, actual));
        assert!(written.is_ok(), "{path}: {written:?}");
        return;
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == actual,
        "{path} is out of date: run `cargo xtask generate` and commit what it changed\n{}",
        difference(&committed, actual)
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What differs once the lines that both begin and end with are set aside.
fn difference(committed: &str, actual: &str) -> String {
    let old: Vec<&str> = committed.lines().collect();
    let new: Vec<&str> = actual.lines().collect();
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let shorter = old.len().min(new.len()) - head;
    let tail =
        (old.iter().rev().zip(new.iter().rev())).take(shorter).take_while(|(a, b)| a == b).count();
    let part = |lines: &[&str], sign: char| {
        let differing = lines.len().saturating_sub(head + tail);
        let mut text: String = (lines.iter().skip(head).take(differing.min(SHOWN)))
            .map(|line| format!("{sign} {line}\n"))
            .collect();
        if differing > SHOWN {
            text.push_str(&format!("{sign} … {} more lines\n", differing - SHOWN));
        }
        text
    };
    format!("from line {}:\n{}{}", head + 1, part(&old, '-'), part(&new, '+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(committed: &str, actual: &str, expected: &str) {
        assert_eq!(difference(committed, actual), expected);
    }

    #[test]
    fn shows_what_differs() {
        check("a\nb\nc\n", "a\nx\nc\n", "from line 2:\n- b\n+ x\n");
        check("", "a\n", "from line 1:\n+ a\n");
        check("a\nb\n", "a\n", "from line 2:\n- b\n");
        check("a\na\n", "a\na\na\n", "from line 3:\n+ a\n");
        let long: String = (0..15).map(|n| format!("{n}\n")).collect();
        assert!(difference("", &long).ends_with("+ 11\n+ … 3 more lines\n"));
    }

    #[test]
    #[should_panic(expected = "out of date: run `cargo xtask generate`")]
    fn a_stale_reference_fails() {
        golden("docs/reference/of-no-test.txt", "anything");
    }

    #[test]
    #[should_panic(expected = "into its name")]
    fn a_test_that_generate_would_not_find_fails() {
        golden("docs/reference/of-no-test.txt", "");
    }
}
