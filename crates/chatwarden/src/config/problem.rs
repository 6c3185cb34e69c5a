//! What is wrong with a configuration, told so that it can be put right without the manual.

use std::fmt;
use std::path::Path;

use super::setting::Setting;
use super::source::{Given, Origin};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    subject: String,
    /// What to say about it, each with its label.
    remarks: Vec<(&'static str, String)>,
}

impl Problem {
    pub(super) fn wrong(setting: &Setting, name: &str, given: &Given, reason: &str) -> Self {
        let found = match (setting.shown)(&given.text) {
            shown if shown == given.text => format!("{shown:?}"),
            // A secret, or a URL that lost its credentials: the text itself stays hidden.
            _ => format!("a hidden text of {} characters", given.text.chars().count()),
        };
        let example = match &given.origin {
            Origin::File { .. } => format!("{} = {:?}", setting.key(), setting.example),
            _ => format!("{name}={}", setting.example),
        };
        let mut remarks = Vec::new();
        if !reason.is_empty() {
            remarks.push(("problem", reason.to_owned()));
        }
        remarks.extend([("found", found), ("wanted", (setting.form)()), ("example", example)]);
        Self { subject: format!("{name} ({})", given.origin), remarks }
    }

    pub(super) fn missing(setting: &Setting) -> Self {
        let example = format!("{}={}", setting.name, setting.example);
        Self {
            subject: setting.name.to_owned(),
            remarks: vec![
                ("problem", "it has to be set".into()),
                ("wanted", (setting.form)()),
                ("example", example),
            ],
        }
    }

    /// Settings that are fine each by itself and wrong together.
    pub(super) fn together(names: &str, reason: impl Into<String>) -> Self {
        Self { subject: names.to_owned(), remarks: vec![("problem", reason.into())] }
    }

    pub(super) fn file(path: &Path, place: Option<(usize, usize)>, reason: &str) -> Self {
        let place = place.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        Self::together(&format!("{}{place}", path.display()), reason.trim())
    }

    pub(super) fn unknown_key(
        path: &Path,
        place: (usize, usize),
        key: &str,
        suggestion: Option<String>,
    ) -> Self {
        Self::file(path, Some(place), &format!("no setting is called {key}{}", hint(suggestion)))
    }

    pub(super) fn unknown_variable(name: &str, suggestion: Option<String>) -> Self {
        Self::together(name, format!("no setting has this name{}", hint(suggestion)))
    }
}

fn hint(suggestion: Option<String>) -> String {
    match suggestion {
        Some(near) => format!("; did you mean {near}?"),
        None => "; `chatwarden config reference` lists all".into(),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.subject)?;
        for (label, text) in &self.remarks {
            write!(formatter, "\n  {label}: {text}")?;
        }
        Ok(())
    }
}

/// All that is wrong with a configuration; nothing starts with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => formatter.write_str("the configuration has a problem:")?,
            count => write!(formatter, "the configuration has {count} problems:")?,
        }
        for problem in &self.0 {
            write!(formatter, "\n\n{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
