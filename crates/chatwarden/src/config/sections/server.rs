//! Listening, the address people use, the folder of data, the drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::setting::Fallback::{Absent, Computed, Text};
use crate::config::setting::section;
use crate::config::source::Sources;
use crate::config::value::{BaseUrl, Secret, Value, choices};

choices! {
    /// What kind of installation this is; decides a few defaults.
    pub enum Environment {
        /// Real people work with it.
        Prod = "prod" | "production",
        /// A rehearsal for the real thing.
        Staging = "staging",
        /// A developer's machine.
        Dev = "dev" | "development" | "test" | "default",
    }
}

/// The secret that sessions and signed links rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBase(pub Secret);

impl Value for KeyBase {
    fn form() -> String {
        "at least 32 random characters".into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        // What the templates of Chatwoot and of this program's ancestors ship with.
        const SAMPLES: [&str; 4] = ["replace_with_lengthy", "changeme", "change_me", "your_secret"];
        let lower = text.to_ascii_lowercase();
        let kinds: std::collections::BTreeSet<char> = text.chars().collect();
        if SAMPLES.iter().any(|sample| lower.contains(sample)) {
            return Err("it is the sample of a template, which everybody knows".into());
        }
        if text.chars().count() < 32 {
            return Err(format!("it has {} characters", text.chars().count()));
        }
        if kinds.len() < 8 {
            return Err(format!("it is made of {} different characters only", kinds.len()));
        }
        Ok(Self(Secret::new(text)))
    }

    fn shown(text: &str) -> String {
        Secret::shown(text)
    }
}

section! {
    /// Listening, the address people use, the folder of data, the drain.
    Server in "server" {
        /// Address and port the server listens on. The default is reachable from this machine only;
        /// behind a reverse proxy on another machine, or in a container, use `0.0.0.0:3000`.
        listen: SocketAddr = "LISTEN", Computed {
            told: "`127.0.0.1:3000`, or `0.0.0.0` with the port of `PORT` when that is set",
            rule: listen,
        }, "0.0.0.0:3000";
        /// Port to listen on, as hosting platforms hand it out. It replaces the port of `LISTEN`,
        /// unless that is given on the command line.
        port: Option<u16> = "PORT", Absent, "3000";
        /// The address people and their browsers reach this server by. Links in mails, avatars and
        /// the widget's script are made from it.
        frontend_url: BaseUrl = "FRONTEND_URL", Computed {
            told: "`http://localhost` with the port the server listens on",
            rule: frontend_url,
        }, "https://desk.example.com";
        /// The folder `public` of a built Chatwoot: its dashboard, widget and survey are served from it.
        /// Without one there is the API alone.
        frontend_dir: Option<PathBuf> = "CHATWARDEN_FRONTEND_DIR", Absent, "/opt/chatwoot/public";
        /// Whether the dashboard's pages link a manifest, by which browsers offer to install it.
        display_manifest: bool = "DISPLAY_MANIFEST", Text("true"), "false";
        /// Whether the description of the API is shown at `/swagger`.
        api_docs: bool = "API_DOCS", Computed {
            told: "`true` when `APP_ENV` is `dev`, else `false`",
            rule: api_docs,
        }, "true";
        /// Folder for all that the server keeps in files: the SQLite database, uploads, generated
        /// secrets. It is made when missing.
        data_dir: PathBuf = "DATA_DIR", Text("./data"), "/var/lib/chatwarden";
        /// What kind of installation this is: it decides the defaults of `API_DOCS` and
        /// `HEALTH_SHOW_DETAILS`, and is told with every log line and meter.
        environment: Environment = "APP_ENV" | "RAILS_ENV" | "SPRING_PROFILES_ACTIVE",
            Text("prod"), "dev";
        /// The secret that sessions and signed links rest on, at least 32 characters; changing it
        /// signs everybody out. When missing, one is made at the first start and kept in
        /// `DATA_DIR`. Several nodes need the same one.
        secret_key_base: Option<KeyBase> = "SECRET_KEY_BASE", Absent,
            "$(openssl rand -hex 64)";
        /// Whether requests that did not come over TLS are redirected (GET and HEAD) or refused (all others, 403);
        /// probes are answered. Behind a proxy that speaks TLS it has to be one of `TRUSTED_PROXIES`.
        force_ssl: bool = "FORCE_SSL", Text("false"), "true";
        /// How long the server goes on serving after SIGTERM, so that load balancers notice that
        /// it is no longer ready.
        drain_delay: Duration = "DRAIN_DELAY", Text("5s"), "10s";
        /// How long the whole drain may take, `DRAIN_DELAY` included; keep it below what the platform
        /// waits before it kills.
        drain_timeout: Duration = "DRAIN_TIMEOUT", Text("25s"), "25s";
    }
}

impl Server {
    /// Puts the port of `PORT` into `listen`; on the command line `--listen` was meant as it stands.
    pub(in crate::config) fn settle(&mut self, sources: &Sources) {
        if let Some(port) = self.port
            && !sources.has_option("LISTEN")
        {
            self.listen.set_port(port);
        }
    }
}

fn api_docs(sources: &Sources) -> Option<String> {
    Some(sources.is_dev().to_string())
}

fn listen(sources: &Sources) -> Option<String> {
    let host = match sources.text("PORT") {
        // A platform that hands out a port routes to it from another machine.
        Some(_) => "0.0.0.0",
        None => "127.0.0.1",
    };
    Some(format!("{host}:3000"))
}

fn frontend_url(sources: &Sources) -> Option<String> {
    let port = sources.text("PORT").filter(|_| !sources.has_option("LISTEN"));
    let listen = sources.text("LISTEN");
    let port = port
        .or_else(|| listen.and_then(|listen| listen.rsplit(':').next().map(str::to_owned)))
        .and_then(|port| port.parse::<u16>().ok())
        // A wrong port is told about where it stands.
        .unwrap_or(3000);
    Some(format!("http://localhost:{port}"))
}
