//! The rules of the workspace: which crate may know what, and how source files are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};
use regex::Regex;
use walkdir::WalkDir;

/// A file past this many lines wants to be a folder.
const LONG: usize = 600;

/// A file past this many lines is one.
const TOO_LONG: usize = 1000;

/// Which crates of the workspace a crate may stand on. A crate exists to forbid something: one without
/// a row forbids nothing yet.
const DIRECTION: &[(&str, &[&str])] = &[
    (
        "chatwarden",
        &["api", "core", "jobs", "db", "cable", "files", "mail", "outbound", "telemetry", "guard"],
    ),
    ("chatwarden-api", &["core", "jobs", "db", "cable", "files", "telemetry", "guard"]),
    ("chatwarden-core", &["jobs", "db", "files"]),
    ("chatwarden-jobs", &["db"]),
    ("chatwarden-db", &[]),
    ("chatwarden-cable", &[]),
    ("chatwarden-files", &[]),
    ("chatwarden-mail", &[]),
    ("chatwarden-outbound", &[]),
    ("chatwarden-telemetry", &[]),
    ("chatwarden-guard", &["telemetry"]),
    // The chatwarden crate's own wiring is what the harness runs, not a second one like it.
    (
        "chatwarden-testkit",
        &[
            "",
            "api",
            "core",
            "jobs",
            "db",
            "cable",
            "files",
            "mail",
            "outbound",
            "telemetry",
            "guard",
        ],
    ),
    // It opens as many files as a server may: one of its sockets each.
    ("chatwarden-bench", &["", "testkit"]),
    ("xtask", &["testkit"]),
];

/// Libraries that only some crates may name.
const RESERVED: &[(&[&str], &[&str])] = &[
    // Load runs compare the server with a bare loop on SQLite.
    (&["rusqlite"], &["chatwarden-db", "chatwarden-bench"]),
    (&["tokio-postgres", "deadpool-postgres", "sqlx", "diesel", "sea-orm"], &["chatwarden-db"]),
    (
        &["axum", "tower-http"],
        &["chatwarden-api", "chatwarden-guard", "chatwarden", "chatwarden-testkit"],
    ),
    (&["reqwest", "ureq"], &["chatwarden-outbound"]),
    (&["image"], &["chatwarden-files"]),
    (&["lettre"], &["chatwarden-mail"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A crate and what its manifest names.
struct Crate {
    name: String,
    manifest: PathBuf,
    dependencies: Vec<(String, DependencyKind)>,
}

fn crates() -> Vec<Crate> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    metadata
        .packages
        .into_iter()
        .map(|package| Crate {
            name: package.name.to_string(),
            manifest: package.manifest_path.into(),
            dependencies: (package.dependencies.into_iter())
                .map(|dependency| (dependency.name, dependency.kind))
                .collect(),
        })
        .collect()
}

/// What `name` does that it may not, given the names of its dependencies.
fn departures(name: &str, dependencies: &[(String, DependencyKind)]) -> Vec<String> {
    let Some((_, may)) = DIRECTION.iter().find(|(of, _)| *of == name) else {
        return vec![format!("{name} has no row in DIRECTION: say what it may stand on")];
    };
    let mut found = Vec::new();
    for (dependency, kind) in dependencies {
        let ours =
            dependency.strip_prefix("chatwarden-").or((dependency == "chatwarden").then_some(""));
        // Tests of any crate may start services; that part of the kit knows no other crate.
        let for_tests = *kind == DependencyKind::Development && ours == Some("testkit");
        if ours.is_some_and(|ours| !may.contains(&ours)) && !for_tests {
            found.push(format!("{name} may not stand on {dependency}"));
        }
        let reserved =
            RESERVED.iter().find(|(libraries, _)| libraries.contains(&dependency.as_str()));
        // A test may serve what the crate asks for; asking the database stays with one crate.
        let serves = *kind == DependencyKind::Development && dependency == "axum";
        if let Some((_, owners)) = reserved
            && !serves
            && !owners.contains(&name)
        {
            found.push(format!("{name} may not name {dependency}: only {owners:?} may"));
        }
    }
    found
}

#[test]
fn crates_stand_on_what_they_may() {
    let crates = crates();
    assert!(crates.len() > 5, "the workspace has more crates than {}", crates.len());
    let found: Vec<String> =
        crates.iter().flat_map(|krate| departures(&krate.name, &krate.dependencies)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn departures_are_seen() {
    #[track_caller]
    fn check(name: &str, kind: DependencyKind, dependency: &str, expected: usize) {
        assert_eq!(departures(name, &[(dependency.to_owned(), kind)]).len(), expected);
    }
    use DependencyKind::{Development, Normal};
    check("chatwarden-core", Normal, "chatwarden-db", 0);
    check("chatwarden-db", Normal, "chatwarden-core", 1);
    check("chatwarden-core", Normal, "chatwarden-api", 1);
    check("chatwarden-api", Normal, "chatwarden", 1);
    check("chatwarden-cable", Normal, "chatwarden-telemetry", 1);
    check("chatwarden-guard", Normal, "chatwarden-telemetry", 0);
    check("chatwarden-db", Development, "chatwarden-testkit", 0);
    check("chatwarden-db", Normal, "chatwarden-testkit", 1);
    check("chatwarden-core", Normal, "rusqlite", 1);
    check("chatwarden-jobs", Development, "tokio-postgres", 1);
    check("chatwarden-core", Normal, "axum", 1);
    check("chatwarden-outbound", Development, "axum", 0);
    check("chatwarden-guard", Normal, "tower-http", 0);
    check("chatwarden-api", Normal, "reqwest", 1);
    check("chatwarden-outbound", Normal, "reqwest", 0);
    check("chatwarden-newcomer", Normal, "serde", 1);
}

#[test]
fn crates_share_lints_and_stay_unpublished() {
    for krate in crates() {
        let manifest = fs::read_to_string(&krate.manifest).unwrap();
        for needed in
            ["[lints]\nworkspace = true", "publish.workspace = true", "edition.workspace = true"]
        {
            assert!(manifest.contains(needed), "{}: `{needed}` is missing", krate.name);
        }
        // A dependency with a path of its own escapes the one list of versions.
        for line in manifest.lines() {
            assert!(!line.contains("{ path ="), "{}: inherit it: {line}", krate.name);
        }
    }
}

#[test]
fn libraries_come_from_the_registry() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let sources: BTreeSet<&str> =
        lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    // One: a second registry, like a repository, would be another place to trust.
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(sources.iter().all(|source| source.starts_with("\"registry+")), "{sources:?}");
}

/// Our Rust files, by their paths from the root.
fn sources() -> BTreeMap<PathBuf, String> {
    let root = root();
    ["crates", "xtask", "tests"]
        .iter()
        .flat_map(|folder| WalkDir::new(root.join(folder)))
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_owned(), text)
        })
        .collect()
}

#[test]
fn files_are_of_a_size_to_be_read() {
    let mut too_long = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > TOO_LONG {
            too_long.push(format!("{}: {lines} lines", path.display()));
        } else if lines > LONG {
            println!(
                "{}: {lines} lines; make it a folder before it's over {TOO_LONG}",
                path.display()
            );
        }
    }
    assert!(too_long.is_empty(), "make folders of these:\n{}", too_long.join("\n"));
}

/// Names that say nothing about what is inside.
fn vague() -> Regex {
    Regex::new(r"(?:^|\bmod |/)(?:utils?|helpers?|managers?|common|misc)(?:\.rs$|/| *[;{])")
        .unwrap()
}

#[test]
fn modules_have_names() {
    let vague = vague();
    for (path, text) in sources() {
        let path = path.to_str().unwrap();
        assert!(!vague.is_match(path), "{path}: name it for what it does");
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            assert!(!vague.is_match(line) || line.contains('"'), "{path}: {line}");
        }
    }
}

#[test]
fn vague_names_are_seen() {
    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(vague().is_match(text), expected, "{text}");
    }
    check("crates/core/src/utils.rs", true);
    check("crates/core/src/common/mod.rs", true);
    check("pub mod helpers;", true);
    check("    mod manager {", true);
    check("crates/core/src/labels/mod.rs", false);
    check("crates/core/src/commonmark.rs", false);
    check("mod labels;", false);
}

/// A module by its crate and path: `("core", ["labels", "sql"])`.
type Module = (String, Vec<String>);

/// The module in the file `crates/CRATE/src/…`; none elsewhere.
fn module(path: &Path) -> Option<Module> {
    let mut parts = path.to_str()?.split('/');
    if parts.next()? != "crates" {
        return None;
    }
    let name = parts.next()?.to_owned();
    if parts.next()? != "src" {
        return None;
    }
    let mut segments: Vec<String> =
        parts.map(|part| part.trim_end_matches(".rs").to_owned()).collect();
    if segments.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        segments.pop();
    }
    Some((name, segments))
}

/// The modules whose lists of statements `text`, in `at`, may name: as the path stands from the crate's
/// root, from the module itself, and from the one around it.
fn registered(at: &Module, text: &str) -> Vec<Module> {
    let named = Regex::new(r"\b((?:\w+::)+)STATEMENTS\b").unwrap();
    let mut found = Vec::new();
    let used = |line: &&str| line.starts_with("use ") || line.starts_with("pub use ");
    for line in text.lines().map(str::trim_start).filter(|line| !used(line)) {
        for path in named.captures_iter(line) {
            let mut path: Vec<String> =
                path[1].split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            let (mut name, mut bases) = (at.0.clone(), vec![at.1.clone()]);
            bases.extend(at.1.split_last().map(|(_, around)| around.to_vec()));
            bases.push(Vec::new());
            if let Some(other) = path[0].strip_prefix("chatwarden_") {
                (name, bases) = (other.to_owned(), vec![Vec::new()]);
                path.remove(0);
            } else if matches!(path[0].as_str(), "crate" | "self" | "super") {
                path.remove(0);
            }
            found.extend(
                bases.into_iter().map(|base| (name.clone(), [base, path.clone()].concat())),
            );
        }
    }
    found
}

#[test]
fn statements_are_registered() {
    let sources = sources();
    let registered: BTreeSet<Module> = sources
        .iter()
        .filter_map(|(path, text)| Some(registered(&module(path)?, text)))
        .flatten()
        .collect();
    assert!(!registered.is_empty(), "no registry of statements was found");
    for (path, text) in &sources {
        let declares = text.lines().any(|line| line.trim_start().starts_with("statements! {"));
        let Some(module) = module(path).filter(|_| declares) else { continue };
        assert!(
            registered.contains(&module),
            "{}: no registry names {}::STATEMENTS, so that no check sees these statements",
            path.display(),
            module.1.join("::")
        );
    }
}

#[test]
fn registered_statements_are_seen() {
    #[track_caller]
    fn check(at: &str, text: &str, module_of: &str, expected: bool) {
        let at = module(Path::new(at)).unwrap();
        let wanted = module(Path::new(module_of)).unwrap();
        assert_eq!(registered(&at, text).contains(&wanted), expected, "{text}");
    }
    let labels = "crates/core/src/labels/sql.rs";
    check("crates/core/src/lib.rs", "    labels::sql::STATEMENTS,", labels, true);
    check("crates/core/src/registry.rs", "&[crate::labels::sql::STATEMENTS]", labels, true);
    check("crates/core/src/labels/mod.rs", "sql::STATEMENTS", labels, true);
    check(
        "crates/chatwarden/src/main.rs",
        "chatwarden_core::labels::sql::STATEMENTS",
        labels,
        true,
    );
    check("crates/core/src/registry.rs", "teams::sql::STATEMENTS", labels, false);
    check("crates/core/src/teams/mod.rs", "sql::STATEMENTS", labels, false);
    check("crates/core/src/labels/mod.rs", "pub use sql::STATEMENTS;", labels, false);
    check(
        "crates/chatwarden/src/main.rs",
        "chatwarden_jobs::labels::sql::STATEMENTS",
        labels,
        false,
    );
}
