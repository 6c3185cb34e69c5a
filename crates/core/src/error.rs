//! What an operation can refuse. The HTTP edge turns it into a status; nothing here knows one.

use chatwarden_db::{DbError, ErrorKind};
use serde::Serialize;

/// Why an operation did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Values that the record's rules refuse.
    #[error("{0}")]
    Invalid(Invalid),
    /// A request that makes no sense as it stands; the text says why.
    #[error("{0}")]
    Unprocessable(String),
    /// Missing, or somebody else's: the same to the caller.
    #[error("not found")]
    NotFound,
    /// The caller may not do this.
    #[error("{0}")]
    Unauthorized(String),
    /// Nobody may do this here (a feature that is off).
    #[error("{0}")]
    Forbidden(String),
    /// The database failed.
    #[error(transparent)]
    Db(DbError),
}

/// What operations give back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The refusal of a role's or a member's rights, in Chatwoot's words.
    pub fn not_authorized() -> Self {
        Self::Unauthorized("You are not authorized to do this action".to_owned())
    }

    /// One field's fault.
    pub fn invalid(field: &'static str, fault: impl Into<String>) -> Self {
        Self::Invalid(Invalid::default().and(field, fault))
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        match error.kind() {
            // Only lookups by something the caller gave ask for exactly one row.
            ErrorKind::NoRow => Self::NotFound,
            ErrorKind::Value => Self::Unprocessable(
                "A value can't be stored: it holds a NUL character or is out of range".to_owned(),
            ),
            _ => Self::Db(error),
        }
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// Faults of a record, all at once: `Email has already been taken`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invalid {
    faults: Vec<(String, String)>,
}

/// The fault of what must be one record's alone.
pub const TAKEN: &str = "has already been taken";

/// The largest document of attributes, in bytes of JSON.
pub const DOCUMENT: usize = 64 * 1024;

/// Whether a document is at most [`DOCUMENT`] large.
pub fn is_bounded(document: &impl Serialize) -> bool {
    struct Room(usize);
    impl std::io::Write for Room {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(left) => self.0 = left,
                None => return Err(std::io::ErrorKind::StorageFull.into()),
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Room(DOCUMENT), document).is_ok()
}

impl Invalid {
    /// Adds a fault of `field`.
    pub fn add(&mut self, field: impl Into<String>, fault: impl Into<String>) {
        self.faults.push((field.into(), fault.into()));
    }

    /// With a fault of `field`.
    #[must_use]
    pub fn and(mut self, field: impl Into<String>, fault: impl Into<String>) -> Self {
        self.add(field, fault);
        self
    }

    /// Adds a fault where a text has more characters than a column takes.
    pub fn limit(&mut self, field: &'static str, text: &str, most: usize) {
        if text.chars().count() > most {
            self.add(field, format!("is too long (maximum is {most} characters)"));
        }
    }

    /// Adds a fault where a document is larger than [`DOCUMENT`]: it is told to sockets with every change of what
    /// it belongs to.
    pub fn bound(&mut self, field: &'static str, document: &impl Serialize) {
        if !is_bounded(document) {
            self.add(field, format!("is too large (maximum is {} KiB)", DOCUMENT / 1024));
        }
    }

    /// Fails where there is a fault.
    ///
    /// # Errors
    /// The faults.
    pub fn check(self) -> Result<()> {
        if self.faults.is_empty() { Ok(()) } else { Err(self.into()) }
    }

    /// The fields at fault, each once, in the order found.
    pub fn attributes(&self) -> Vec<&str> {
        let mut out: Vec<&str> = Vec::new();
        for (field, _) in &self.faults {
            if !out.contains(&field.as_str()) {
                out.push(field);
            }
        }
        out
    }
}

impl std::fmt::Display for Invalid {
    /// `Email can't be blank, Name is too long`: the field's name as a person would write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (field, fault)) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            if field == "base" {
                f.write_str(fault)?;
                continue;
            }
            let mut letters = field.strip_suffix("_id").unwrap_or(field).chars();
            if let Some(first) = letters.next() {
                write!(f, "{}{}", first.to_uppercase(), letters.as_str().replace(['_', '.'], " "))?;
            }
            write!(f, " {fault}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_faults_as_rails_does() {
        let faults = Invalid::default()
            .and("email", "has already been taken")
            .and("phone_number", "should be in e164 format")
            .and("email", "is invalid");
        assert_eq!(
            faults.to_string(),
            "Email has already been taken, Phone number should be in e164 format, Email is invalid"
        );
        assert_eq!(faults.attributes(), ["email", "phone_number"]);
        assert!(faults.check().is_err());
        assert!(Invalid::default().check().is_ok());
    }
}
