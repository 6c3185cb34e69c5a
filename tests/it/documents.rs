//! Documents don't name what isn't there: paths in code spans and links of docs and README.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use walkdir::WalkDir;

/// Folders of the repository: a code span that starts with one is a path, whether it's there or not.
const FOLDERS: &[&str] = &[
    ".cargo",
    ".ci",
    ".config",
    ".github",
    "benches",
    "crates",
    "deploy",
    "docs",
    "examples",
    "migrations",
    "scripts",
    "tests",
    "web",
    "xtask",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn documents() -> Vec<PathBuf> {
    let root = root();
    let mut found: Vec<PathBuf> = WalkDir::new(root.join("docs"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.extend(Some(root.join("README.md")).filter(|path| path.exists()));
    found.sort();
    found
}

/// What a document names: the line, and a path from the root or, of links, from the document.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Path(usize, String),
    Link(usize, String),
}

fn named(markdown: &str) -> Vec<Named> {
    let span = Regex::new(r"`([^`]+)`").unwrap();
    let path = Regex::new(r"^[\w./{},*-]+$").unwrap();
    let link = Regex::new(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)").unwrap();
    let elsewhere = Regex::new(r"^(?:[a-z][a-z+.-]*:|/)").unwrap();
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(markdown.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for captured in span.captures_iter(line) {
            let text = captured[1].trim_end_matches('/');
            let folder = text.split('/').next().unwrap_or_default();
            if text.contains('/') && FOLDERS.contains(&folder) && path.is_match(text) {
                found.push(Named::Path(number, text.to_owned()));
            }
        }
        let plain = span.replace_all(line, "");
        for captured in link.captures_iter(&plain) {
            if !elsewhere.is_match(&captured[1]) {
                found.push(Named::Link(number, captured[1].to_owned()));
            }
        }
    }
    found
}

/// `a/{b,c}` says both.
fn alternatives(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let Some((inside, after)) = rest.split_once('}') else { return vec![path.to_owned()] };
    inside.split(',').flat_map(|one| alternatives(&format!("{before}{one}{after}"))).collect()
}

/// Whether there is such a path under `base`; `*` stands for any part of a name, `NNNN` for a number.
fn exists(base: &Path, path: &str) -> bool {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    if first.is_empty() {
        return true;
    }
    if !first.contains('*') && !first.contains("NNNN") {
        let next = base.join(first);
        return next.exists() && exists(&next, rest);
    }
    let pattern = regex::escape(first).replace(r"\*", ".*").replace("NNNN", r"\d+");
    let pattern = Regex::new(&format!("^{pattern}$")).unwrap();
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| pattern.is_match(name)))
        .any(|entry| exists(&entry.path(), rest))
}

#[test]
fn named_paths_exist() {
    let root = root();
    let mut missing = Vec::new();
    for document in documents() {
        let folder = document.parent().unwrap();
        for named in named(&fs::read_to_string(&document).unwrap()) {
            let (base, number, path) = match named {
                Named::Path(number, path) => (root.as_path(), number, path),
                Named::Link(number, path) => (folder, number, path),
            };
            for path in alternatives(&path) {
                if !exists(base, &path) {
                    let document = document.strip_prefix(&root).unwrap().display();
                    missing.push(format!("{document}:{number}: {path}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "named, but not there:\n{}", missing.join("\n"));
}

#[test]
fn paths_are_found_in_documents() {
    let text = "\
See `crates/core/src/labels/mod.rs`, `migrations/{sqlite,postgres}/NNNN_*.sql` and `docs/`.
Not `/actuator/health`, `application/json`, `cargo test`, `crates/<name>/src`, nor ../shared.
[A](decisions/0001-seam.md#why), [b](https://example.org/docs/x.md), [c](#below), `[d](gone.md)`.
```
`docs/in-a-fence.md`
```
";
    assert_eq!(
        named(text),
        [
            Named::Path(1, "crates/core/src/labels/mod.rs".to_owned()),
            Named::Path(1, "migrations/{sqlite,postgres}/NNNN_*.sql".to_owned()),
            Named::Link(3, "decisions/0001-seam.md".to_owned()),
        ]
    );
}

#[test]
fn missing_paths_are_seen() {
    #[track_caller]
    fn check(path: &str, expected: bool) {
        let root = root();
        let all = alternatives(path).iter().all(|path| exists(&root, path));
        assert_eq!(all, expected, "{path}");
    }
    check("crates/testkit/src/lib.rs", true);
    check("crates/testkit/src/absent.rs", false);
    check("crates/{testkit,db}/Cargo.toml", true);
    check("crates/{testkit,absent}/Cargo.toml", false);
    check("crates/*/Cargo.toml", true);
    check("crates/*/absent.toml", false);
    check("migrations/sqlite/NNNN_*.sql", true);
    check("migrations/NNNN", false);
    check("tests/it/../it/main.rs", true);
}
