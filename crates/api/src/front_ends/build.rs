//! A build of the front ends: where it is, and which files a page needs (`serving-clients.md` §1).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the build tool puts its manifest within the folder.
const MANIFEST: &str = "vite/.vite/manifest.json";

/// The folder holds no build of the front ends.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The manifest can't be read.
    #[error("{path}: {source}: it should be the folder `public` of a built Chatwoot")]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The manifest is none.
    #[error("{path}: {source}")]
    Manifest {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// A chunk of the manifest.
#[derive(Debug, Deserialize)]
struct Chunk {
    file: String,
    #[serde(default)]
    imports: Vec<String>,
    #[serde(default)]
    css: Vec<String>,
}

/// A build of the front ends.
#[derive(Debug)]
pub(super) struct Build {
    /// The folder that is served.
    pub(super) folder: PathBuf,
    chunks: BTreeMap<String, Chunk>,
}

impl Build {
    pub(super) fn open(folder: &Path) -> Result<Self, BuildError> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| BuildError::Unreadable { path: path.clone(), source })?;
        let chunks =
            serde_json::from_str(&text).map_err(|source| BuildError::Manifest { path, source })?;
        Ok(Self { folder: folder.to_owned(), chunks })
    }

    /// The tags of an entry: its script, a preload for each chunk it imports, and the styles of all.
    pub(super) fn tags(&self, entry: &str, nonce: &str) -> String {
        let mut seen = BTreeSet::new();
        let mut order = Vec::new();
        let first = format!("entrypoints/{entry}.js");
        self.collect(&first, &mut seen, &mut order);
        let mut tags = String::new();
        // Writing to a string can't fail.
        for (index, chunk) in order.iter().enumerate() {
            let file = escaped(&chunk.file);
            let _ = if index == 0 {
                writeln!(
                    tags,
                    "<script src=\"/vite/{file}\" crossorigin=\"anonymous\" type=\"module\" nonce=\"{nonce}\"></script>"
                )
            } else {
                writeln!(
                    tags,
                    "<link rel=\"modulepreload\" href=\"/vite/{file}\" as=\"script\" crossorigin=\"anonymous\" nonce=\"{nonce}\">"
                )
            };
        }
        let styles: BTreeSet<&String> = order.iter().flat_map(|chunk| &chunk.css).collect();
        for style in styles {
            let _ = writeln!(
                tags,
                "<link rel=\"stylesheet\" href=\"/vite/{}\" media=\"screen\">",
                escaped(style)
            );
        }
        tags
    }

    fn collect<'a>(&'a self, name: &str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<&'a Chunk>) {
        let Some((name, chunk)) = self.chunks.get_key_value(name) else { return };
        if !seen.insert(name) {
            return;
        }
        order.push(chunk);
        for import in &chunk.imports {
            self.collect(import, seen, order);
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_brings_what_it_imports() {
        let chunks = serde_json::from_str(
            r#"{
                "entrypoints/dashboard.js": {"file": "assets/d-1.js", "isEntry": true,
                    "imports": ["_a.js", "_b.js"], "css": ["assets/d-1.css"]},
                "_a.js": {"file": "assets/a-2.js", "imports": ["_b.js"], "css": ["assets/a-2.css"]},
                "_b.js": {"file": "assets/b-3.js", "imports": ["_a.js"]}
            }"#,
        )
        .unwrap();
        let build = Build { folder: PathBuf::new(), chunks };
        let tags = build.tags("dashboard", "N");
        let lines: Vec<&str> = tags.lines().collect();
        assert_eq!(lines.len(), 5, "{tags}");
        assert!(lines[0].starts_with("<script src=\"/vite/assets/d-1.js\""));
        for file in ["a-2.js", "b-3.js", "d-1.css", "a-2.css"] {
            assert_eq!(tags.matches(file).count(), 1, "{file} in {tags}");
        }
        assert_eq!(build.tags("nothing", "N"), "");
    }
}
