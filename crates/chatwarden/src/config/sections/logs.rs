//! Logs, traces, error reports.

use std::path::PathBuf;

use url::Url;

use crate::config::setting::Fallback::{Absent, Computed, Text};
use crate::config::setting::section;
use crate::config::source::Sources;
use crate::config::value::{Ratio, choices};

choices! {
    /// From which severity on lines are written.
    pub enum LogLevel {
        /// Nothing.
        Off = "off",
        /// What failed.
        Error = "error" | "fatal",
        /// What may fail soon.
        Warn = "warn" | "warning",
        /// What happened.
        Info = "info",
        /// Why it happened.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choices! {
    /// The form of a line.
    pub enum LogFormat {
        /// JSON with OpenTelemetry's names.
        Otel = "otel",
        /// JSON with the names of the Elastic Common Schema.
        Ecs = "ecs",
        /// For eyes.
        Pretty = "pretty",
    }
}

choices! {
    /// How clients' addresses are logged.
    pub enum LogAddresses {
        /// Whole.
        Full = "full",
        /// Cut to /24 (IPv4) or /48 (IPv6).
        Truncate = "truncate",
    }
}

section! {
    /// Logs.
    Logs in "log" {
        /// From which severity on lines are written.
        level: LogLevel = "LOG_LEVEL", Text("info"), "debug";
        /// The form of a line: JSON with OpenTelemetry's or the Elastic Common Schema's names, or
        /// text for eyes.
        format: LogFormat = "LOG_FORMAT", Computed {
            told: "`pretty` when `APP_ENV` is `dev`, else `otel`",
            rule: log_format,
        }, "ecs";
        /// A file that lines are written to besides the standard output.
        file: Option<PathBuf> = "LOG_FILE", Absent, "/var/log/chatwarden/chatwarden.log";
        /// Whether clients' addresses are logged whole.
        addresses: LogAddresses = "LOG_IP", Text("full"), "truncate";
        /// Share of successful requests that get a line; failures always do.
        access_sample: Ratio = "LOG_ACCESS_SAMPLE", Text("1.0"), "0.1";
        /// Where errors are reported to (Sentry and what speaks its protocol).
        sentry_dsn: Option<Url> = "SENTRY_DSN", Absent, "https://key@sentry.example.com/7";
        /// Where traces are sent to (OTLP).
        otlp_endpoint: Option<Url> = "OTEL_EXPORTER_OTLP_ENDPOINT", Absent, "http://collector:4318";
        /// Share of requests that are traced; errors and slow ones always are.
        traces_sample: Ratio = "OTEL_TRACES_SAMPLER_ARG", Text("0.05"), "0.05";
    }
}

fn log_format(sources: &Sources) -> Option<String> {
    Some(if sources.is_dev() { "pretty" } else { "otel" }.into())
}
