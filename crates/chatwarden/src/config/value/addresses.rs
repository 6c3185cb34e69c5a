//! Where things are: this server, the database, Redis.

use std::path::PathBuf;

use url::Url;

use super::{Secret, Value};

/// The address people reach this server by: scheme, host, optional port, no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// The URL without a trailing slash, ready to put a path behind.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The parsed URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether browsers reach the server over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl Value for BaseUrl {
    fn form() -> String {
        "an http or https URL without path".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        let url = http_url(text)?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("it has a path, query or fragment".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it has a user name or password".into());
        }
        Ok(Self(url))
    }
}

impl Value for Url {
    fn form() -> String {
        "an http or https URL".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        http_url(text)
    }
    fn shown(text: &str) -> String {
        without_credentials(text)
    }
}

fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(format!("its scheme is {scheme:?}")),
    }
}

/// A URL as it may be shown: user name, password, query and fragment are left out.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return "******".into();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A password that holds an unescaped `/` ends the authority early; then nothing is shown.
    if path.contains('@') {
        return format!("{scheme}://******");
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// Which database, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server; the text may hold a password.
    Postgres(Secret),
}

impl Value for DatabaseUrl {
    fn form() -> String {
        "`sqlite://PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        // The system this one descends from wrote JDBC URLs; its environments are taken as they are.
        let text = text.strip_prefix("jdbc:").unwrap_or(text);
        if let Some(path) = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"))
        {
            return match path {
                "" => Err("the path is missing".into()),
                ":memory:" => Err("a database in memory would be lost at every stop".into()),
                path => Ok(Self::Sqlite(path.into())),
            };
        }
        let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err("its scheme is none of sqlite, postgres, postgresql".into());
        }
        // By hand, not as a URL: several hosts may stand between the `@` and the path.
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.rsplit('@').next().unwrap_or_default();
        match (host, path.split('?').next().unwrap_or_default()) {
            ("", _) => Err("the host is missing".into()),
            (_, "") => Err("the name of the database is missing".into()),
            _ => Ok(Self::Postgres(Secret::new(text))),
        }
    }
    fn shown(text: &str) -> String {
        if text.starts_with("sqlite:") {
            text.to_owned()
        } else {
            without_credentials(text.strip_prefix("jdbc:").unwrap_or(text))
        }
    }
}

/// Where Redis is; the text may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl(pub Secret);

impl Value for RedisUrl {
    fn form() -> String {
        "`redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        match url.scheme() {
            "redis" | "rediss" if url.has_host() => Ok(Self(Secret::new(text))),
            "redis" | "rediss" => Err("the host is missing".into()),
            scheme => Err(format!("its scheme is {scheme:?}")),
        }
    }
    fn shown(text: &str) -> String {
        without_credentials(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn database_urls() {
        let postgres = |text: &str| Some(DatabaseUrl::Postgres(Secret::new(text)));
        check(
            "sqlite:///var/lib/c.sqlite3",
            Some(DatabaseUrl::Sqlite("/var/lib/c.sqlite3".into())),
        );
        check("sqlite://data/c.db", Some(DatabaseUrl::Sqlite("data/c.db".into())));
        check("sqlite:c.db", Some(DatabaseUrl::Sqlite("c.db".into())));
        check("postgres://u:p@h:5432/d", postgres("postgres://u:p@h:5432/d"));
        check("jdbc:postgresql://h/d", postgres("postgresql://h/d"));
        check("postgres://u:p@a:1,b:2/d", postgres("postgres://u:p@a:1,b:2/d"));
        for text in [
            "sqlite://",
            "sqlite::memory:",
            "postgres://h",
            "postgres:///d",
            "postgres://u@/d",
            "mysql://h/d",
            "/a/path",
        ] {
            check::<DatabaseUrl>(text, None);
        }
    }

    #[test]
    fn what_is_shown_has_no_credentials() {
        for (shown, expected) in [
            (DatabaseUrl::shown("postgres://u:hush@h:5432/d?password=hush"), "postgres://h:5432/d"),
            (DatabaseUrl::shown("jdbc:postgresql://u:hush@h/d"), "postgresql://h/d"),
            (DatabaseUrl::shown("sqlite:///x.db"), "sqlite:///x.db"),
            (DatabaseUrl::shown("postgres://u:hush@a:1,b:2/d"), "postgres://a:1,b:2/d"),
            (DatabaseUrl::shown("postgres://u:hu/sh@a/d"), "postgres://******"),
            (RedisUrl::shown("rediss://:hush@h:6379/1"), "rediss://h:6379/1"),
            (RedisUrl::shown("hush"), "******"),
            (Secret::shown("hush"), "******"),
            (format!("{:?}", Secret::new("hush")), "******"),
        ] {
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn base_urls() {
        let parsed = BaseUrl::parse("https://desk.example.com/").expect("a good URL");
        assert_eq!(parsed.as_str(), "https://desk.example.com");
        assert!(parsed.is_https());
        for text in ["desk.example.com", "ftp://a", "https://a/b", "https://u:p@a", "https://a?x"] {
            check::<BaseUrl>(text, None);
        }
    }
}
