//! Security headers of answers (operations.md §4).

use chatwarden_guard::headers::CspMode;

use crate::config::setting::Fallback::{Absent, Text};
use crate::config::setting::section;
use crate::config::value::{BaseUrl, Value, choices};

impl Value for CspMode {
    fn form() -> String {
        "one of `enforce`, `report-only`, `off`".into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "enforce" => Ok(Self::Enforce),
            "report-only" => Ok(Self::ReportOnly),
            "off" => Ok(Self::Off),
            _ => Err(String::new()),
        }
    }
}

choices! {
    /// What the widget's page says to customers' pages that are cross-origin isolated.
    pub enum WidgetCoep {
        /// Nothing: they can't embed it.
        Off = "off",
        /// That it does without credentials.
        Credentialless = "credentialless",
    }
}

/// A source in a Content Security Policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CspSource(String);

impl CspSource {
    /// The source as it stands in the policy.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for CspSource {
    fn form() -> String {
        "a scheme such as `https:`, or a host such as `https://files.example.com`".into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        // What would end the source or the directive would let a setting write the policy.
        let sound = text.is_ascii() && !text.contains(|c: char| c.is_whitespace() || c == ';');
        if sound && text.contains(['.', ':']) {
            Ok(Self(text.to_owned()))
        } else {
            Err(String::new())
        }
    }
}

section! {
    /// Security headers of answers.
    Headers in "headers" {
        /// Whether `Strict-Transport-Security` asks for a place in browsers' own lists.
        hsts_preload: bool = "HSTS_PRELOAD", Text("false"), "true";
        /// Whether a widget without allowed domains may be framed by nobody (rather than anybody).
        widget_require_allowed_domains: bool = "WIDGET_REQUIRE_ALLOWED_DOMAINS", Text("false"),
            "true";
        /// Whether pages that are cross-origin isolated can embed the widget.
        widget_coep: WidgetCoep = "WIDGET_COEP", Text("off"), "credentialless";
        /// What browsers do about the Content Security Policy of pages.
        csp_mode: CspMode = "CSP_MODE", Text("enforce"), "report-only";
        /// Whether scripts of pages may compile text; Chatwoot's dashboard needs it.
        csp_unsafe_eval: bool = "CSP_UNSAFE_EVAL", Text("true"), "false";
        /// Whether pages may have inline styles; Chatwoot's dashboard needs it.
        csp_inline_styles: bool = "CSP_INLINE_STYLES", Text("true"), "false";
        /// Where uploads are stored and sent to, when that is not this server.
        csp_storage_origins: Vec<CspSource> = "CSP_STORAGE_ORIGINS", Absent,
            "https://files.example.com";
        /// The proxy that remote images are shown through.
        csp_image_proxy: Option<BaseUrl> = "CSP_IMAGE_PROXY", Absent, "https://images.example.com";
        /// Further sources of scripts, and of what they connect to.
        csp_script_sources: Vec<CspSource> = "CSP_SCRIPT_SOURCES", Absent,
            "https://scripts.example.com";
        /// What the dashboard may frame besides this server: dashboard apps.
        csp_frame_sources: Vec<CspSource> = "CSP_FRAME_SOURCES", Text("https:"),
            "https://apps.example.com";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_cannot_write_the_policy() {
        for (text, sound) in [
            ("https:", true),
            ("https://a.example:8443", true),
            ("*.example.com", true),
            ("a.example; script-src *", false),
            ("a.example b.example", false),
            ("a.example\nx", false),
            ("example", false),
            ("bücher.example", false),
        ] {
            assert_eq!(CspSource::parse(text).is_ok(), sound, "{text:?}");
        }
    }
}
