//! What is wrong with a configuration, told so that it can be put right without the manual.

use std::fmt;
use std::path::Path;

use super::setting::Setting;
use super::source::{Given, Origin};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    subject: String,
    origin: Option<String>,
    found: Option<String>,
    wanted: Option<String>,
    example: Option<String>,
    reason: Option<String>,
}

impl Problem {
    fn about(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            origin: None,
            found: None,
            wanted: None,
            example: None,
            reason: None,
        }
    }

    pub(super) fn wrong(setting: &Setting, name: &str, given: &Given, reason: &str) -> Self {
        Self {
            origin: Some(given.origin.to_string()),
            found: Some(match (setting.shown)(&given.text) {
                shown if shown == given.text => format!("{shown:?}"),
                // A secret, or a URL that lost its credentials: the text itself stays hidden.
                _ => format!("a hidden text of {} characters", given.text.chars().count()),
            }),
            wanted: Some((setting.form)()),
            example: Some(match &given.origin {
                Origin::File { .. } => format!("{} = {:?}", setting.key(), setting.example),
                _ => format!("{name}={}", setting.example),
            }),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            ..Self::about(name)
        }
    }

    pub(super) fn missing(setting: &Setting) -> Self {
        Self {
            wanted: Some((setting.form)()),
            example: Some(format!("{}={}", setting.name, setting.example)),
            reason: Some("it has to be set".into()),
            ..Self::about(setting.name)
        }
    }

    /// Settings that are fine each by itself and wrong together.
    pub(super) fn together(names: &str, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::about(names) }
    }

    pub(super) fn file(path: &Path, place: Option<(usize, usize)>, reason: &str) -> Self {
        let place = place.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        Self {
            reason: Some(reason.trim().to_owned()),
            ..Self::about(format!("{}{place}", path.display()))
        }
    }

    pub(super) fn unknown_key(
        path: &Path,
        place: (usize, usize),
        key: &str,
        suggestion: Option<String>,
    ) -> Self {
        let reason = match suggestion {
            Some(near) => format!("no setting is called {key}; did you mean {near}?"),
            None => format!("no setting is called {key}; `chatwarden config reference` lists all"),
        };
        Self::file(path, Some(place), &reason)
    }

    pub(super) fn unknown_variable(name: &str, suggestion: Option<String>) -> Self {
        let reason = match suggestion {
            Some(near) => format!("no setting has this name; did you mean {near}?"),
            None => "no setting has this name; `chatwarden config reference` lists all".into(),
        };
        Self { reason: Some(reason), ..Self::about(name) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.subject)?;
        if let Some(origin) = &self.origin {
            write!(formatter, " ({origin})")?;
        }
        let lines = [
            ("problem", &self.reason),
            ("found", &self.found),
            ("wanted", &self.wanted),
            ("example", &self.example),
        ];
        for (label, text) in lines {
            if let Some(text) = text {
                write!(formatter, "\n  {label}: {text}")?;
            }
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
