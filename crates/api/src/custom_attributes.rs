//! Definitions of custom attributes (`resources.md §11`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::custom_attributes::{self, Definition, DisplayType, Draft, Model};
use chatwarden_core::ids::CustomAttributeDefinitionId;
use http::StatusCode;
use serde_json::{Value, json};

use crate::actors::{Admin, Agent};
use crate::app::App;
use crate::error::{Answer, sent_to};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/custom_attribute_definitions")
        .get("", index)
        .post("", create)
        .get("/{id}", show)
        .patch("/{id}", update)
        .delete("/{id}", destroy)
}

/// What may be sent without being wrapped in `custom_attribute_definition`.
const FIELDS: &[&str] = &[
    "attribute_display_name",
    "attribute_display_type",
    "attribute_description",
    "attribute_key",
    "attribute_model",
    "attribute_values",
    "regex_pattern",
    "regex_cue",
];

fn id(params: &Params) -> Answer<CustomAttributeDefinitionId> {
    params.id("id").map(CustomAttributeDefinitionId)
}

/// A model by its name or its number.
fn model_named(sent: &str) -> Option<Model> {
    let known = Model::ALL.iter().find(|model| model.integer().to_string() == sent);
    known.copied().or_else(|| Model::named(sent))
}

fn draft(params: &Params) -> Answer<Draft> {
    let sent = params.record("custom_attribute_definition", FIELDS)?;
    let text = |key: &str| sent.has(key).then(|| sent.text(key));
    let said = |key: &str| text(key).map(Option::unwrap_or_default);
    let display_type = sent.has("attribute_display_type").then(|| {
        let (all, name) = (DisplayType::ALL, DisplayType::name);
        sent.one_of("attribute_display_type", all, name, DisplayType::integer)
    });
    let model = sent
        .has("attribute_model")
        .then(|| sent.one_of("attribute_model", Model::ALL, Model::name, Model::integer));
    Ok(Draft {
        display_name: said("attribute_display_name"),
        display_type: display_type.transpose()?,
        description: text("attribute_description"),
        key: said("attribute_key"),
        model: model.transpose()?,
        values: sent.list("attribute_values"),
        regex_pattern: text("regex_pattern"),
        regex_cue: text("regex_cue"),
    })
}

fn definition_json(of: &Definition) -> Value {
    json!({
        "id": of.id,
        "attribute_display_name": of.attribute_display_name,
        "attribute_display_type": of.attribute_display_type,
        "attribute_description": of.attribute_description,
        "attribute_key": of.attribute_key,
        "regex_pattern": of.regex_pattern,
        "regex_cue": of.regex_cue,
        "attribute_values": of.attribute_values.0,
        "attribute_model": of.attribute_model,
        "default_value": of.default_value,
        "created_at": of.created_at.iso(),
        "updated_at": of.updated_at.iso(),
    })
}

/// All of them, or those of one model.
async fn index(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let asked = params.present("attribute_model");
    let model = asked.as_deref().and_then(model_named);
    if asked.is_some() && model.is_none() {
        // Nothing has an attribute of a model that there isn't.
        return Ok(Json(json!([])));
    }
    app.read(async move |tx| {
        let found = custom_attributes::list(tx, &scope, model).await?;
        Ok(Json(found.iter().map(definition_json).collect()))
    })
    .await
}

async fn show(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.read(async move |tx| {
        let found = custom_attributes::find(tx, &scope, id).await?;
        Ok(Json(definition_json(&found)))
    })
    .await
}

async fn create(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let draft = draft(&params)?;
    app.write(async move |tx| {
        let made = custom_attributes::create(tx, &scope, draft).await?;
        Ok(Json(definition_json(&made)))
    })
    .await
}

async fn update(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, draft) = (id(&params)?, draft(&params));
    app.write(async move |tx| {
        let draft = sent_to(draft, custom_attributes::find(tx, &scope, id)).await?;
        let changed = custom_attributes::update(tx, &scope, id, draft).await?;
        Ok(Json(definition_json(&changed)))
    })
    .await
}

async fn destroy(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<StatusCode> {
    let id = id(&params)?;
    app.write(async move |tx| custom_attributes::delete(tx, &scope, id).await).await?;
    Ok(StatusCode::NO_CONTENT)
}
