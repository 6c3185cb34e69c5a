//! Reads the sources of all crates for emitted meters: what is not declared
//! is found without running it.

use std::path::Path;

use regex::Regex;
use walkdir::WalkDir;

use super::{Kind, UNMEASURED, meters};

/// What is wrong with the emissions in `source`.
fn faults(source: &str) -> Vec<String> {
    let emission = Regex::new(r#"\b(counter|gauge|histogram)!\(\s*"([^"]+)""#).unwrap();
    let label = Regex::new(r#""([^"]+)"\s*=>"#).unwrap();
    let mut faults = Vec::new();
    for found in emission.captures_iter(source) {
        let (usage, name) = (&found[1], &found[2]);
        let Some(meter) = meters().find(|meter| meter.name == name) else {
            faults.push(format!("{name} is not in the catalogue"));
            continue;
        };
        let fits = match meter.kind {
            Kind::Counter => usage == "counter",
            Kind::Gauge => usage == "gauge",
            Kind::Timer | Kind::Summary => usage == "histogram",
            Kind::LongTask => false,
        };
        if !fits || meter.sum_of.is_some() {
            faults.push(format!("{name} is used as a {usage}"));
        }
        let rest = &source[found.get(0).unwrap().end()..];
        for label in label.captures_iter(arguments(rest)) {
            if !meter.labels.contains(&&label[1]) {
                faults.push(format!("{name} has the undeclared label {}", &label[1]));
            }
        }
    }
    faults
}

/// What comes before the parenthesis that closes the macro call.
fn arguments(rest: &str) -> &str {
    let mut depth = 1;
    for (index, c) in rest.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &rest[..index];
        }
    }
    rest
}

#[test]
fn faults_are_found() {
    for (source, expected) in [
        (r#"counter!("jobs.dead", "queue" => f(q), "job" => j).increment(1)"#, None),
        (r#"counter!("no.such")"#, Some("no.such is not in the catalogue")),
        ("gauge!(\n  \"jobs.dead\")", Some("jobs.dead is used as a gauge")),
        (
            r#"counter!("chatwoot.api.requests")"#,
            Some("chatwoot.api.requests is used as a counter"),
        ),
        (
            r#"counter!("jobs.dead", "queue" => f(q), "id" => 1); g("x" => 2)"#,
            Some("jobs.dead has the undeclared label id"),
        ),
    ] {
        assert_eq!(faults(source), Vec::from_iter(expected), "{source}");
    }
}

#[test]
fn every_emitted_meter_is_declared() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seen = 0;
    let mut all = Vec::new();
    for entry in WalkDir::new(crates) {
        let path = entry.unwrap().into_path();
        let text = path.to_string_lossy();
        // The registry's own tests emit what doesn't exist on purpose.
        let skipped = text.contains("/target/") || text.contains("telemetry/src/meters");
        if skipped || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        seen += 1;
        let source = std::fs::read_to_string(&path).unwrap();
        all.extend(faults(&source).into_iter().map(|fault| format!("{text}: {fault}")));
    }
    assert!(seen > 20);
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn every_declared_meter_is_emitted() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = String::new();
    for entry in WalkDir::new(crates) {
        let path = entry.unwrap().into_path();
        let text = path.to_string_lossy();
        let declares = text.contains("/target/")
            || text.contains("meters/catalogue")
            || text.contains("meters/aliases")
            || text.contains("/tests/")
            || text.ends_with("tests.rs");
        if !declares && path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
    let silent: Vec<_> = meters()
        .filter(|meter| {
            let emitted = meter.sum_of.unwrap_or(&meter.name);
            !sources.contains(&format!("\"{emitted}\""))
        })
        .map(|meter| meter.name.clone())
        .collect();
    assert!(silent.is_empty(), "nobody emits {silent:?}");
}

#[test]
fn what_is_measured_is_not_called_unmeasured() {
    let both: Vec<_> = meters()
        .filter(|meter| UNMEASURED.contains(&&*meter.name))
        .map(|m| m.name.clone())
        .collect();
    assert!(both.is_empty(), "{both:?}");
    assert!(UNMEASURED.is_sorted());
}
