//! Definitions of custom attributes: what an account keeps of its conversations and contacts besides the columns
//! that all have (`resources.md §11`). Values are kept as they come, defined or not.

pub mod sql;

use chatwarden_db::{Json, OnConflict as _, Timestamp, Tx, WriteTx, args};
use serde_json::{Value, json};

use crate::error::{Error, Invalid, Result, TAKEN};
use crate::ids::CustomAttributeDefinitionId;
use crate::letters::is_letter_or_digit;
use crate::scope::{Admin, Scope};

/// The longest name, key, pattern and cue.
const SHORT: usize = 255;
/// The longest description.
const LONG: usize = 20_000;

/// How a value is shown, and with it what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisplayType {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// An amount of money.
    Currency,
    /// A percentage.
    Percent,
    /// An address.
    Link,
    /// A day.
    Date,
    /// One of several texts.
    List,
    /// Yes or no.
    Checkbox,
}

/// What has the attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Conversations.
    Conversation,
    /// Contacts.
    Contact,
    /// Companies.
    Company,
}

crate::integer_enum! { DisplayType {
    Text = 0 "text", Number = 1 "number", Currency = 2 "currency", Percent = 3 "percent", Link = 4 "link",
    Date = 5 "date", List = 6 "list", Checkbox = 7 "checkbox",
} }
crate::integer_enum! { Model {
    Conversation = 0 "conversation_attribute", Contact = 1 "contact_attribute", Company = 2 "company_attribute",
} }

chatwarden_db::row! {
    /// A definition.
    pub struct Definition {
        pub id: CustomAttributeDefinitionId,
        pub attribute_display_name: String,
        pub attribute_display_type: DisplayType,
        pub attribute_description: Option<String>,
        pub attribute_key: String,
        pub attribute_model: Model,
        pub attribute_values: Json<Value>,
        pub regex_pattern: Option<String>,
        pub regex_cue: Option<String>,
        pub default_value: Option<i64>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

/// What is said of a definition; what is not said stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The name.
    pub display_name: Option<String>,
    /// How it is shown; none within where nothing was said.
    pub display_type: Option<Option<DisplayType>>,
    /// What it is for.
    pub description: Option<Option<String>>,
    /// What values are kept under.
    pub key: Option<String>,
    /// What has it; none within where nothing was said.
    pub model: Option<Option<Model>>,
    /// What a list offers.
    pub values: Option<Vec<Value>>,
    /// What a text must look like.
    pub regex_pattern: Option<Option<String>>,
    /// What to say of one that doesn't.
    pub regex_cue: Option<Option<String>>,
}

/// Keys that a new definition may not have: they would be mistaken for columns (`behaviours.md §18`).
fn is_built_in(model: Model, key: &str) -> bool {
    let own: &[&str] = match model {
        Model::Conversation => &[
            "status",
            "priority",
            "assignee_id",
            "inbox_id",
            "team_id",
            "display_id",
            "campaign_id",
            "labels",
            "browser_language",
            "country_code",
            "referer",
            "created_at",
            "last_activity_at",
        ],
        Model::Contact => &[
            "name",
            "email",
            "phone_number",
            "identifier",
            "country_code",
            "city",
            "company_name",
            "created_at",
            "last_activity_at",
            "referer",
            "blocked",
        ],
        Model::Company => &[
            "name",
            "domain",
            "description",
            "contacts_count",
            "created_at",
            "updated_at",
            "last_activity_at",
        ],
    };
    own.contains(&key)
}

fn taken() -> Error {
    Error::invalid("attribute_key", TAKEN)
}

impl Draft {
    async fn apply(self, tx: &mut Tx<'_>, scope: &Scope, of: &mut Definition) -> Result<()> {
        let is_new = of.id.0 == 0;
        let mut faults = Invalid::default();
        if let Some(name) = self.display_name {
            name.trim().clone_into(&mut of.attribute_display_name);
        }
        if let Some(key) = self.key {
            key.trim().clone_into(&mut of.attribute_key);
        }
        if let Some(Some(model)) = self.model {
            of.attribute_model = model;
        }
        if let Some(description) = self.description {
            of.attribute_description = description;
        }
        if let Some(values) = self.values {
            of.attribute_values = Json(Value::Array(values));
        }
        if let Some(pattern) = self.regex_pattern {
            of.regex_pattern = pattern;
        }
        if let Some(cue) = self.regex_cue {
            of.regex_cue = cue;
        }
        let mut limit = |field: &'static str, text: Option<&str>, most: usize| {
            faults.limit(field, text.unwrap_or_default(), most);
        };
        limit("attribute_display_name", Some(&of.attribute_display_name), SHORT);
        limit("attribute_key", Some(&of.attribute_key), SHORT);
        limit("attribute_description", of.attribute_description.as_deref(), LONG);
        limit("regex_pattern", of.regex_pattern.as_deref(), SHORT);
        limit("regex_cue", of.regex_cue.as_deref(), SHORT);
        if of.attribute_display_name.is_empty() {
            faults.add("attribute_display_name", "can't be blank");
        }
        let key = &of.attribute_key;
        if key.is_empty() {
            faults.add("attribute_key", "can't be blank");
        }
        let held = args![scope.account_id(), of.attribute_model, key, of.id];
        if tx.opt(&sql::HOLDER, held).await?.is_some() {
            faults.add("attribute_key", TAKEN);
        }
        let allowed = |c: char| is_letter_or_digit(c) || matches!(c, '_' | '-' | '.');
        if key.is_empty() || !key.chars().all(allowed) {
            let fault = "must only contain letters, numbers, underscores, hyphens, and dots";
            faults.add("attribute_key", fault);
        }
        match self.display_type {
            Some(Some(kind)) => of.attribute_display_type = kind,
            Some(None) => faults.add("attribute_display_type", "can't be blank"),
            None => {}
        }
        if self.model == Some(None) {
            faults.add("attribute_model", "can't be blank");
        }
        if is_new && is_built_in(of.attribute_model, key) {
            let fault =
                "The provided key is not allowed as it might conflict with default attributes.";
            faults.add("attribute_key", fault);
        }
        faults.check()
    }
}

/// The account's definitions, of one model or of all.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx<'_>, scope: &Scope, model: Option<Model>) -> Result<Vec<Definition>> {
    Ok(tx.all(&sql::LIST, args![scope.account_id(), model]).await?)
}

/// A definition of the account.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn find(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: CustomAttributeDefinitionId,
) -> Result<Definition> {
    tx.opt(&sql::FIND, args![scope.account_id(), id]).await?.ok_or(Error::NotFound)
}

/// Adds a definition.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn create(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    draft: Draft,
) -> Result<Definition> {
    let now = tx.now();
    let mut made = Definition {
        id: CustomAttributeDefinitionId(0),
        attribute_display_name: String::new(),
        attribute_display_type: DisplayType::Text,
        attribute_description: None,
        attribute_key: String::new(),
        attribute_model: Model::Conversation,
        attribute_values: Json(Value::Array(Vec::new())),
        regex_pattern: None,
        regex_cue: None,
        default_value: None,
        created_at: now,
        updated_at: now,
    };
    draft.apply(tx, scope, &mut made).await?;
    let args = args![
        scope.account_id(),
        made.attribute_display_name,
        made.attribute_display_type,
        made.attribute_description,
        made.attribute_key,
        made.attribute_model,
        made.attribute_values,
        made.regex_pattern,
        made.regex_cue,
        made.default_value,
        now
    ];
    let (id,) = tx
        .one(&sql::INSERT, args)
        .await
        .on_conflict::<Error>("custom_attribute_definitions_account_id_model_key_key", taken)?;
    made.id = CustomAttributeDefinitionId(id);
    Ok(made)
}

/// Changes a definition; the fields of websites' forms that ask for it follow.
///
/// # Errors
/// [`Error::NotFound`] where there is none, [`Error::Invalid`] where a rule is broken.
pub async fn update(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    id: CustomAttributeDefinitionId,
    draft: Draft,
) -> Result<Definition> {
    let account = scope.account_id();
    let mut found = tx.opt(&sql::LOCK, args![account, id]).await?.ok_or(Error::NotFound)?;
    draft.apply(tx, scope, &mut found).await?;
    found.updated_at = tx.now();
    let args = args![
        account,
        id,
        found.attribute_display_name,
        found.attribute_display_type,
        found.attribute_description,
        found.attribute_key,
        found.attribute_model,
        found.attribute_values,
        found.regex_pattern,
        found.regex_cue,
        found.default_value,
        found.updated_at
    ];
    tx.run(&sql::UPDATE, args)
        .await
        .on_conflict::<Error>("custom_attribute_definitions_account_id_model_key_key", taken)?;
    change_forms(tx, scope, &found, |form| rename_field(form, &found)).await?;
    Ok(found)
}

/// Removes a definition; the values stay. Websites don't ask for it any more before a chat.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn delete(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    id: CustomAttributeDefinitionId,
) -> Result<()> {
    let account = scope.account_id();
    let found = tx.opt(&sql::LOCK, args![account, id]).await?.ok_or(Error::NotFound)?;
    tx.run(&sql::DELETE, args![account, id]).await?;
    change_forms(tx, scope, &found, |form| forget_field(form, &found)).await
}

/// Changes the forms of the account's websites for an attribute; `change` says whether there was anything to.
/// No form asks for what companies have.
async fn change_forms(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    of: &Definition,
    change: impl Fn(&mut Vec<Value>) -> bool,
) -> Result<()> {
    if of.attribute_model == Model::Company {
        return Ok(());
    }
    let (account, now) = (scope.account_id(), tx.now());
    for (channel, mut settings) in
        tx.all(&sql::SETTINGS, args![account, "Channel::WebWidget"]).await?
    {
        let fields = settings
            .0
            .get_mut("pre_chat_form_options")
            .and_then(|options| options.get_mut("pre_chat_fields"))
            .and_then(Value::as_array_mut);
        // Websites that ask for one attribute are few: those alone are written.
        if fields.is_some_and(&change) {
            tx.run(&sql::SET_SETTINGS, args![account, channel, settings, now]).await?;
            crate::inboxes::doors::forget(tx);
        }
    }
    Ok(())
}

/// Whether a form's field asks for an attribute: by its name alone, whatever the field says of itself.
fn asks_for(field: &Value, of: &Definition) -> bool {
    field.get("name").and_then(Value::as_str) == Some(&of.attribute_key)
}

/// Takes an attribute's fields out of a form; whether there were any.
fn forget_field(fields: &mut Vec<Value>, of: &Definition) -> bool {
    let before = fields.len();
    fields.retain(|field| !asks_for(field, of));
    fields.len() < before
}

/// Has a form's fields for an attribute say what its definition says; whether any said something else.
fn rename_field(fields: &mut [Value], of: &Definition) -> bool {
    let said = json!({
        "label": of.attribute_display_name,
        "placeholder": of.attribute_display_name,
        "values": of.attribute_values.0,
        "regex_pattern": of.regex_pattern,
        "regex_cue": of.regex_cue,
    });
    let mut changed = false;
    for field in fields.iter_mut().filter(|field| asks_for(field, of)) {
        let before = field.clone();
        if let (Some(field), Value::Object(said)) = (field.as_object_mut(), &said) {
            field.extend(said.clone());
        }
        changed |= *field != before;
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_keys_of_columns() {
        assert!(is_built_in(Model::Contact, "company_name"));
        assert!(is_built_in(Model::Conversation, "status"));
        assert!(is_built_in(Model::Company, "domain"));
        assert!(!is_built_in(Model::Contact, "status"));
        for free in ["contact_id", "conversation_language", "mail_subject"] {
            assert!(!is_built_in(Model::Conversation, free), "{free}");
        }
        assert!(is_built_in(Model::Conversation, "labels"));
        assert!(!is_built_in(Model::Contact, "labels"));
    }
}
