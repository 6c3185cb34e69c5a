//! Agent bots of an account (`resources.md §13`).

use chatwarden_core::agent_bots::Draft;
use serde_json::Value;

use crate::params::Params;

/// What was sent of a bot.
pub(crate) fn draft(params: &Params) -> Draft {
    let text = |key: &str| params.has(key).then(|| params.text(key));
    Draft {
        name: params.has("name").then(|| params.text("name").unwrap_or_default()),
        description: text("description"),
        outgoing_url: text("outgoing_url"),
        bot_config: params.object("bot_config").map(Value::Object),
    }
}
