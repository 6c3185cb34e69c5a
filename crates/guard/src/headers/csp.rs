//! The Content Security Policy of each page kind (operations.md §4.3).
//!
//! The clients compile translations in the browser and insert styles: without `'unsafe-eval'` the
//! dashboard stays blank (serving-clients.md §4), hence the defaults of [`CspConfig`]. Whoever
//! serves other clients turns both off.

use super::PageKind;

/// What happens to the policy of pages that run our scripts. All other kinds always enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CspMode {
    /// Browsers enforce it.
    #[default]
    Enforce,
    /// Browsers only report.
    ReportOnly,
    /// Only `frame-ancestors` is sent.
    Off,
}

/// Settings of the policy.
#[derive(Debug, Clone)]
pub struct CspConfig {
    /// Env `CSP_MODE`: `enforce` (default), `report-only`, `off`.
    pub mode: CspMode,
    /// `'unsafe-eval'` for scripts. Env `CSP_UNSAFE_EVAL`, default true.
    pub unsafe_eval: bool,
    /// `'unsafe-inline'` for styles instead of the nonce. Env `CSP_INLINE_STYLES`, default true.
    pub inline_styles: bool,
    /// Origins of the object storage and its direct uploads. Env `CSP_STORAGE_ORIGINS`.
    pub storage: Vec<String>,
    /// Origin of the image proxy. Env `CSP_IMAGE_PROXY`.
    pub image_proxy: Option<String>,
    /// Further sources of scripts, and of what they connect to. Env `CSP_SCRIPT_SOURCES`.
    pub scripts: Vec<String>,
    /// Sources of frames in the dashboard besides ourselves. Env `CSP_FRAME_SOURCES`, default
    /// `https:`: the page is the same for all tenants and each has dashboard apps of its own.
    pub frames: Vec<String>,
}

impl Default for CspConfig {
    fn default() -> Self {
        Self {
            mode: CspMode::Enforce,
            unsafe_eval: true,
            inline_styles: true,
            storage: Vec::new(),
            image_proxy: None,
            scripts: Vec::new(),
            frames: vec!["https:".to_owned()],
        }
    }
}

/// The policy without its `frame-ancestors`; none where the kind has none.
pub(super) fn policy(
    config: &CspConfig,
    kind: PageKind,
    nonce: Option<&str>,
    https: bool,
    host: Option<&str>,
) -> Option<String> {
    let fixed = match kind {
        PageKind::Api => "default-src 'none'; base-uri 'none'; form-action 'none'",
        PageKind::Asset | PageKind::Sdk => "default-src 'none'",
        PageKind::Download => {
            "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
        }
        PageKind::MailBody => {
            let images = sources(["data:"], config.image_proxy.as_slice());
            return Some(format!(
                "sandbox; default-src 'none'; img-src {images}; style-src 'unsafe-inline'; font-src 'none'"
            ));
        }
        PageKind::ApiDocs => {
            let nonce = nonce.map(|nonce| format!(" 'nonce-{nonce}'")).unwrap_or_default();
            return Some(format!(
                "default-src 'none'; script-src 'self'{nonce}; style-src 'self' 'unsafe-inline'; \
                 img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
                 form-action 'none'"
            ));
        }
        PageKind::Dashboard
        | PageKind::SuperAdmin
        | PageKind::Widget
        | PageKind::Survey
        | PageKind::Portal => return Some(client(config, kind, nonce, https, host)),
    };
    Some(fixed.to_owned())
}

fn client(
    config: &CspConfig,
    kind: PageKind,
    nonce: Option<&str>,
    https: bool,
    host: Option<&str>,
) -> String {
    let nonce = nonce.map(|nonce| format!("'nonce-{nonce}'"));
    let mut script = sources(["'self'"], nonce.as_slice());
    let mut style = "'self'".to_owned();
    if config.unsafe_eval {
        script.push_str(" 'unsafe-eval'");
    }
    if config.inline_styles {
        // Beside a nonce browsers ignore 'unsafe-inline'.
        style.push_str(" 'unsafe-inline'");
    } else if let Some(nonce) = &nonce {
        style.push(' ');
        style.push_str(nonce);
    }
    let script = sources([script.as_str()], &config.scripts);
    let images = sources(["'self'", "data:", "blob:"], &config.storage);
    let images = sources([images.as_str()], config.image_proxy.as_slice());
    let media = sources(["'self'", "blob:"], &config.storage);
    let mut connect = sources(["'self'"], &config.storage);
    for source in &config.scripts {
        connect.push(' ');
        connect.push_str(source);
    }
    // Older browsers don't take 'self' for the socket of the same host.
    if kind != PageKind::Portal
        && let Some(host) = host
    {
        connect.push_str(if https { " wss://" } else { " ws://" });
        connect.push_str(host);
    }
    let frames = match kind {
        PageKind::Dashboard => sources(["'self'"], &config.frames),
        _ => "'self'".to_owned(),
    };
    let upgrade = if https { "; upgrade-insecure-requests" } else { "" };
    format!(
        "default-src 'none'; script-src {script}; style-src {style}; img-src {images}; \
         media-src {media}; font-src 'self' data:; connect-src {connect}; worker-src 'self' blob:; \
         frame-src {frames}; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
         object-src 'none'{upgrade}; report-uri /csp-reports; report-to csp"
    )
}

fn sources<const N: usize>(fixed: [&str; N], more: &[impl AsRef<str>]) -> String {
    let mut list = fixed.join(" ");
    for source in more {
        list.push(' ');
        list.push_str(source.as_ref());
    }
    list
}
