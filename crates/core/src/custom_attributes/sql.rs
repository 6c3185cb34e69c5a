//! Statements on the definitions of custom attributes.

use chatwarden_db::{Json, statements};
use serde_json::Value;

use super::Definition;
use crate::ids::{ChannelId, CustomAttributeDefinitionId};

macro_rules! definition_columns {
    () => {
        "d.id, d.attribute_display_name, d.attribute_display_type, d.attribute_description, d.key, \
         d.model, d.attribute_values, d.regex_pattern, d.regex_cue, d.default_value, d.created_at, \
         d.updated_at from custom_attribute_definitions d "
    };
}

statements! {
    /// $1 account, $2 model (null: all)
    LIST: Definition = "custom_attributes.list", (concat!("select ", definition_columns!(),
        "where d.account_id = $1 and (cast($2 as bigint) is null or d.model = $2) order by d.id"));
    /// $1 account, $2 definition
    FIND: Definition = "custom_attributes.find", (concat!("select ", definition_columns!(),
        "where d.account_id = $1 and d.id = $2"));
    /// $1 account, $2 definition
    LOCK: Definition = "custom_attributes.lock", (concat!("select ", definition_columns!(),
        "where d.account_id = $1 and d.id = $2 @lock(d)"));
    /// $1 account, $2 model, $3 key, $4 but this one: the definition that has the key
    HOLDER: (CustomAttributeDefinitionId,) = "custom_attributes.holder",
        "select id from custom_attribute_definitions where account_id = $1 and model = $2 and key = $3 and id <> $4";
    /// $1 account, $2 name, $3 kind, $4 description, $5 key, $6 model, $7 values, $8 pattern, $9 cue, $10 default, $11 now
    INSERT: (i64,) = "custom_attributes.insert",
        "insert into custom_attribute_definitions (account_id, attribute_display_name, attribute_display_type,
            attribute_description, key, model, attribute_values, regex_pattern, regex_cue,
            default_value, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) returning id";
    /// $1 account, $2 definition, then as the insert
    UPDATE: () = "custom_attributes.update",
        "update custom_attribute_definitions set attribute_display_name = $3, attribute_display_type = $4,
            attribute_description = $5, key = $6, model = $7, attribute_values = $8,
            regex_pattern = $9, regex_cue = $10, default_value = $11, updated_at = $12
         where account_id = $1 and id = $2";
    /// $1 account, $2 definition
    DELETE: () = "custom_attributes.delete",
        "delete from custom_attribute_definitions where account_id = $1 and id = $2";
    /// $1 account, $2 channel type: its channels' settings
    SETTINGS: (ChannelId, Json<Value>) = "custom_attributes.settings",
        "select ch.id, ch.settings from channels ch where ch.account_id = $1 and ch.channel_type = $2 @lock(ch)";
    /// $1 account, $2 channel, $3 settings, $4 now
    SET_SETTINGS: () = "custom_attributes.set_settings",
        "update channels set settings = $3, updated_at = $4 where account_id = $1 and id = $2";
}
