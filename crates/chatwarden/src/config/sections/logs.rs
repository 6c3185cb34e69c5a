//! Logs.

use std::path::PathBuf;

use chatwarden_telemetry::logs::{Format, Level};
use chatwarden_telemetry::request_line::IpPrivacy;

use crate::config::setting::Fallback::{Absent, Text};
use crate::config::setting::section;
use crate::config::value::{Ratio, Value, from_str_values};

from_str_values! {
    Format: "one of `otel`, `ecs`, `pretty`";
    IpPrivacy: "one of `full`, `truncate`, `omit`";
}

/// From which severity on lines are written: one for all, and others for single loggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevels(String);

impl LogLevels {
    /// The text, as [`chatwarden_telemetry::logs::Options::levels`] wants it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for LogLevels {
    fn form() -> String {
        "one of `off`, `error`, `warn`, `info`, `debug`, `trace`; after it `,LOGGER=LEVEL` for \
         single loggers"
            .into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        for part in text.split(',') {
            let level = part.split_once('=').map_or(part, |(_, level)| level);
            level.parse::<Level>().map_err(|error| error.to_string())?;
        }
        Ok(Self(text.to_owned()))
    }
}

section! {
    /// Logs.
    Logs in "log" {
        /// From which severity on lines are written; it can be changed while the server runs. When
        /// missing, `info`, and where `APP_ENV` is `dev` `debug` for the server's own loggers.
        levels: Option<LogLevels> = "LOG_LEVEL", Absent, "info,chatwarden.db=debug";
        /// The form of a line: JSON with OpenTelemetry's or the Elastic Common Schema's names, or
        /// text for eyes. When missing, `pretty` where the standard output is a terminal or
        /// `APP_ENV` is `dev`, and there is no `LOG_FILE`; else `otel`.
        format: Option<Format> = "LOG_FORMAT", Absent, "ecs";
        /// A file that lines are written to besides the standard output.
        file: Option<PathBuf> = "LOG_FILE", Absent, "/var/log/chatwarden/chatwarden.log";
        /// Share of successful requests that get a line; failures always do.
        access_sample: Ratio = "LOG_ACCESS_SAMPLE", Text("1.0"), "0.1";
        /// How much of a client's address a request's line holds: all of it, its network (/24, /48), or
        /// nothing.
        address: IpPrivacy = "LOG_IP", Text("full"), "truncate";
        /// Share of requests that are marked as traced.
        traces_sample: Ratio = "OTEL_TRACES_SAMPLER_ARG", Text("0.05"), "0.05";
    }
}
