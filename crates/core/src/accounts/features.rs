//! Feature flags: two integers of bits, in Chatwoot's order (`behaviours.md §19`).

use serde_json::{Map, Value};

use super::Account;

/// Names of the bits of `feature_flags`.
const FLAGS: [&str; 63] = [
    "inbound_emails",
    "channel_email",
    "channel_facebook",
    "conversation_unread_counts",
    "ip_lookup",
    "disable_branding",
    "email_continuity_on_api_channel",
    "help_center",
    "agent_bots",
    "macros",
    "agent_management",
    "team_management",
    "inbox_management",
    "labels",
    "custom_attributes",
    "automations",
    "canned_responses",
    "integrations",
    "voice_recorder",
    "report_rollup",
    "channel_website",
    "campaigns",
    "reports",
    "crm",
    "auto_resolve_conversations",
    "custom_reply_email",
    "custom_reply_domain",
    "audit_logs",
    "custom_tools",
    "message_reply_to",
    "branded_email_templates",
    "inbox_view",
    "sla",
    "help_center_embedding_search",
    "linear_integration",
    "captain_integration",
    "custom_roles",
    "chatwoot_v4",
    "captain_v1_action_classifier",
    "contact_chatwoot_support_team",
    "shopify_integration",
    "search_with_gin",
    "channel_instagram",
    "crm_integration",
    "channel_voice",
    "notion_integration",
    "captain_integration_v2",
    "whatsapp_embedded_signup",
    "whatsapp_campaign",
    "crm_v2",
    "assignment_v2",
    "captain_document_auto_sync",
    "advanced_search",
    "saml",
    "advanced_search_indexing",
    "reply_mailer_migration",
    "unread_count_for_filters",
    "companies",
    "channel_tiktok",
    "csat_review_notes",
    "captain_tasks",
    "conversation_required_attributes",
    "advanced_assignment",
];

/// Names of the bits of `feature_flags_ext_1`.
const FLAGS_EXT_1: [&str; 5] = [
    "whatsapp_manual_transfer",
    "data_import",
    "api_and_webhooks",
    "whatsapp_reconfigure",
    "whatsapp_embedded_signup_inbox_creation",
];

/// On in a new account.
const DEFAULT: [&str; 27] = [
    "inbound_emails",
    "channel_email",
    "channel_facebook",
    "help_center",
    "agent_bots",
    "macros",
    "agent_management",
    "team_management",
    "inbox_management",
    "labels",
    "custom_attributes",
    "automations",
    "canned_responses",
    "integrations",
    "voice_recorder",
    "channel_website",
    "campaigns",
    "reports",
    "crm",
    "auto_resolve_conversations",
    "chatwoot_v4",
    "contact_chatwoot_support_team",
    "channel_instagram",
    "assignment_v2",
    "channel_tiktok",
    "captain_tasks",
    "api_and_webhooks",
];

/// The flags of an account: (`feature_flags`, `feature_flags_ext_1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features(pub i64, pub i64);

impl Default for Features {
    fn default() -> Self {
        let mut flags = Self(0, 0);
        for name in DEFAULT {
            flags.set(name, true);
        }
        flags
    }
}

impl Features {
    /// Of an account.
    pub fn of(account: &Account) -> Self {
        Self(account.feature_flags, account.feature_flags_ext_1)
    }

    /// Whether the flag `name` is on; unknown flags are off.
    pub fn has(self, name: &str) -> bool {
        let bit = |names: &[&str], flags: i64| {
            names.iter().position(|n| *n == name).is_some_and(|i| flags >> i & 1 == 1)
        };
        bit(&FLAGS, self.0) || bit(&FLAGS_EXT_1, self.1)
    }

    /// Whether there is a flag of that name.
    pub fn is_known(name: &str) -> bool {
        FLAGS.contains(&name) || FLAGS_EXT_1.contains(&name)
    }

    /// Switches a flag; unknown ones are ignored.
    pub fn set(&mut self, name: &str, on: bool) {
        for (names, flags) in [(&FLAGS as &[&str], &mut self.0), (&FLAGS_EXT_1, &mut self.1)] {
            if let Some(index) = names.iter().position(|n| *n == name) {
                let bit = 1 << index;
                *flags = if on { *flags | bit } else { *flags & !bit };
            }
        }
    }

    /// The flags that are on: `{"labels": true}`.
    pub fn to_json(self) -> Map<String, Value> {
        FLAGS
            .iter()
            .chain(&FLAGS_EXT_1)
            .filter(|name| self.has(name))
            .map(|name| ((*name).to_owned(), Value::Bool(true)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_flags_in_both_columns() {
        let mut flags = Features::default();
        assert!(flags.has("labels") && flags.has("api_and_webhooks") && !flags.has("sla"));
        flags.set("labels", false);
        flags.set("data_import", true);
        flags.set("no_such_flag", true);
        assert!(Features::is_known("sla") && Features::is_known("data_import"));
        assert!(!Features::is_known("no_such_flag"));
        assert!(!flags.has("labels") && flags.has("data_import") && !flags.has("no_such_flag"));
        assert_eq!(Features::default().to_json().len(), 27);
    }
}
