//! Committed references: compared by tests, rewritten by `cargo xtask generate`.

use std::fs;
use std::path::{Path, PathBuf};

/// Environment variable: where it's `1`, [`golden`] rewrites the committed file instead of comparing.
pub const REWRITE: &str = "CHATWARDEN_GENERATE";

/// The word in the paths of the tests that `cargo xtask generate` runs.
pub const REFERENCE_TESTS: &str = "reference";

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
    let test = std::thread::current();
    assert!(
        is_found(test.name()),
        "put `{REFERENCE_TESTS}` into the name of the test that makes {path}, else `cargo xtask generate` does \
         not run it"
    );
    if std::env::var_os(REWRITE).is_some_and(|value| value == "1") {
        rewrite(path, actual);
    } else {
        compare(path, actual);
    }
}

/// Whether `cargo xtask generate` runs the test on this thread. A test's thread has its path for a
/// name, except where there is only the main one to run on.
fn is_found(thread: Option<&str>) -> bool {
    thread.is_none_or(|name| name == "main" || name.contains(REFERENCE_TESTS))
}

#[track_caller]
fn rewrite(path: &str, actual: &str) {
    let file = root().join(path);
    let written =
        file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, actual));
    assert!(written.is_ok(), "{path}: {written:?}");
}

#[track_caller]
fn compare(path: &str, actual: &str) {
    let committed = fs::read_to_string(root().join(path)).unwrap_or_default();
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
    fn finds_tests_by_their_names() {
        assert!(is_found(Some("routes::authz_reference_is_current")));
        assert!(is_found(Some("main")));
        assert!(is_found(None));
        assert!(!is_found(Some("routes::authz_is_current")));
    }

    #[test]
    fn agrees_with_what_is_committed() {
        compare("rustfmt.toml", &fs::read_to_string(root().join("rustfmt.toml")).unwrap());
    }

    #[test]
    #[should_panic(expected = "rustfmt.toml is out of date: run `cargo xtask generate`")]
    fn departs_from_what_is_committed() {
        compare("rustfmt.toml", "");
    }

    #[test]
    #[should_panic(expected = "docs/absent.txt is out of date")]
    fn departs_from_what_is_missing() {
        compare("docs/absent.txt", "anything");
    }
}
