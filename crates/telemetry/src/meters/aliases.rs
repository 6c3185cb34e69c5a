//! Names of the JVM's world under which some of our meters are shown in the
//! actuator's view (`operations.md` §1.3): Spring Boot Admin and common
//! scripts ask for them. They are views of real meters, never in a scrape;
//! what has no counterpart (`jvm.gc.*`, `jvm.classes.*`) stays unknown.

use metrics::Label;

/// A name and what it shows.
pub(super) struct Alias {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) parts: &'static [Part],
}

/// Series of one meter under an alias.
pub(super) struct Part {
    pub(super) meter: &'static str,
    /// The label that chooses the series, which is not shown.
    only: Option<(&'static str, &'static str)>,
    /// The label shown besides.
    tag: Option<(&'static str, &'static str)>,
    /// The label shown under another name.
    rename: Option<(&'static str, &'static str)>,
}

impl Part {
    const fn of(meter: &'static str) -> Self {
        Self { meter, only: None, tag: None, rename: None }
    }

    const fn only(mut self, key: &'static str, value: &'static str) -> Self {
        self.only = Some((key, value));
        self
    }

    const fn tag(mut self, key: &'static str, value: &'static str) -> Self {
        self.tag = Some((key, value));
        self
    }

    const fn rename(mut self, from: &'static str, to: &'static str) -> Self {
        self.rename = Some((from, to));
        self
    }

    /// The labels of a series as shown; nothing when it isn't of this part.
    pub(super) fn relabelled(&self, labels: Vec<Label>) -> Option<Vec<Label>> {
        let mut shown = Vec::with_capacity(labels.len() + 1);
        let mut chosen = self.only.is_none();
        for label in labels {
            if let Some((key, value)) = self.only
                && label.key() == key
            {
                chosen = label.value() == value;
                continue;
            }
            match self.rename {
                Some((from, to)) if label.key() == from => {
                    let (_, value) = label.into_parts();
                    shown.push(Label::new(to, value));
                }
                _ => shown.push(label),
            }
        }
        shown.extend(self.tag.map(|(key, value)| Label::from_static_parts(key, value)));
        chosen.then_some(shown)
    }
}

/// The alias called `name`.
pub(super) fn find(name: &str) -> Option<&'static Alias> {
    ALL.iter().find(|alias| alias.name == name)
}

const fn alias(name: &'static str, description: &'static str, parts: &'static [Part]) -> Alias {
    Alias { name, description, parts }
}

const ALL: &[Alias] = &[
    alias(
        "jvm.memory.used",
        "Alias of memory.allocator: allocated (heap) and metadata (nonheap); there is no JVM",
        &[
            Part::of("memory.allocator").only("state", "allocated").tag("area", "heap"),
            Part::of("memory.allocator").only("state", "metadata").tag("area", "nonheap"),
        ],
    ),
    alias(
        "jvm.memory.committed",
        "Alias of memory.allocator: active (heap); there is no JVM",
        &[Part::of("memory.allocator").only("state", "active").tag("area", "heap")],
    ),
    alias(
        "jvm.memory.max",
        "Alias of memory.limit (heap); there is no JVM",
        &[Part::of("memory.limit").tag("area", "heap")],
    ),
    alias(
        "jvm.threads.live",
        "Alias of process.threads; there is no JVM",
        &[Part::of("process.threads")],
    ),
    alias(
        "jvm.threads.peak",
        "Alias of process.threads.peak; there is no JVM",
        &[Part::of("process.threads.peak")],
    ),
    alias(
        "jvm.threads.daemon",
        "Alias of process.threads: no thread keeps the process alive; there is no JVM",
        &[Part::of("process.threads")],
    ),
    alias(
        "jdbc.connections.active",
        "Alias of db.pool.connections; there is no JDBC",
        &[Part::of("db.pool.connections").only("state", "active").rename("pool", "name")],
    ),
    alias(
        "jdbc.connections.idle",
        "Alias of db.pool.connections; there is no JDBC",
        &[Part::of("db.pool.connections").only("state", "idle").rename("pool", "name")],
    ),
    alias(
        "jdbc.connections.max",
        "Alias of db.pool.max; there is no JDBC",
        &[Part::of("db.pool.max").rename("pool", "name")],
    ),
    alias(
        "hikaricp.connections",
        "Alias of db.pool.connections; there is no Hikari",
        &[Part::of("db.pool.connections")],
    ),
    alias(
        "hikaricp.connections.active",
        "Alias of db.pool.connections; there is no Hikari",
        &[Part::of("db.pool.connections").only("state", "active")],
    ),
    alias(
        "hikaricp.connections.idle",
        "Alias of db.pool.connections; there is no Hikari",
        &[Part::of("db.pool.connections").only("state", "idle")],
    ),
    alias(
        "hikaricp.connections.pending",
        "Alias of db.pool.pending; there is no Hikari",
        &[Part::of("db.pool.pending")],
    ),
    alias(
        "hikaricp.connections.max",
        "Alias of db.pool.max; there is no Hikari",
        &[Part::of("db.pool.max")],
    ),
    alias(
        "hikaricp.connections.acquire",
        "Alias of db.pool.acquire; there is no Hikari",
        &[Part::of("db.pool.acquire")],
    ),
    alias(
        "hikaricp.connections.timeout",
        "Alias of db.pool.timeouts; there is no Hikari",
        &[Part::of("db.pool.timeouts")],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meters::catalogue;

    #[test]
    fn every_alias_shows_a_meter_that_exists() {
        for part in ALL.iter().flat_map(|alias| alias.parts) {
            let meter = catalogue::meters().find(|meter| meter.name == part.meter);
            let labels = meter.map(|meter| meter.labels);
            assert!(labels.is_some(), "{} is not in the catalogue", part.meter);
            for (key, _) in part.only.iter().chain(&part.rename) {
                assert!(labels.is_some_and(|labels| labels.contains(key)), "{}", part.meter);
            }
        }
    }
}
