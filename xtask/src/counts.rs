//! How many tests passed and failed, read from what their runners say at the end.

use std::fmt;
use std::ops::AddAssign;

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl Counts {
    /// Those of the closing line of one test binary (`cargo test`) or of a run (`cargo nextest`);
    /// none of any other line.
    pub fn of_line(line: &str) -> Option<Self> {
        let line = without_colours(line);
        let line = line.trim();
        let parts = match line.strip_prefix("test result: ") {
            Some(result) => result,
            None => line.strip_prefix("Summary [")?.split_once(" run: ")?.1,
        };
        let mut counts = Self::default();
        for part in parts.split([';', ',', '.']) {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            // nextest adds to its words: `3 passed (1 slow)`.
            match what.split(" (").next() {
                Some("passed") => counts.passed += number,
                Some("failed" | "timed out" | "exec failed") => counts.failed += number,
                _ => {}
            }
        }
        Some(counts)
    }
}

/// Leaves out escape sequences (`ESC [ … letter`).
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().skip(1).find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines() {
        #[track_caller]
        fn check(line: &str, expected: Option<(u64, u64)>) {
            let expected = expected.map(|(passed, failed)| Counts { passed, failed });
            assert_eq!(Counts::of_line(line), expected);
        }
        check(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.52s\n",
            Some((12, 0)),
        );
        check("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured\n", Some((3, 2)));
        check(
            "test result: \u{1b}[32mok\u{1b}(B\u{1b}[m. 1 passed; 0 failed; 0 ignored\n",
            Some((1, 0)),
        );
        check("     Summary [   0.010s] 3 tests run: 3 passed, 0 skipped\n", Some((3, 0)));
        check("Summary [ 61.2s] 1 test run: 1 passed (1 slow), 8 skipped", Some((1, 0)));
        check(
            "Summary [ 1.2s] 9/10 tests run: 4 passed (1 flaky), 2 failed, 1 timed out, 2 exec failed, 3 skipped",
            Some((4, 5)),
        );
        check(
            "\u{1b}[31;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m1\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m1\u{1b}[0m \u{1b}[31;1mfailed\u{1b}[0m\n",
            Some((1, 1)),
        );
        check("test labels::create ... ok", None);
        check("running 12 tests", None);
        check("", None);
    }

    #[test]
    fn sums() {
        let mut counts = Counts::default();
        counts += Counts { passed: 2, failed: 1 };
        counts += Counts { passed: 40, failed: 0 };
        assert_eq!(counts.to_string(), "42 passed, 1 failed");
    }
}
