//! Who the visitor is.

use axum::Json;
use axum::extract::State;
use chatwarden_core::contacts::{self, Contact};
use chatwarden_core::inboxes::{self, API};
use chatwarden_core::visitors::{self, Identity, Manner, Visitor, some_name};
use chatwarden_core::{Error, storage};
use serde_json::{Value, json};

use super::{At, at, path};
use crate::actors::Anyone;
use crate::app::App;
use crate::contacts::new_contact;
use crate::error::Answer;
use crate::params::Params;
use crate::widget::{identity, proof, shown};

fn contact_inbox_json(visitor: &Visitor) -> Value {
    let (contact_inbox, contact) = (&visitor.contact_inbox, shown(visitor, &visitor.contact));
    json!({
        "source_id": contact_inbox.source_id,
        "pubsub_token": contact_inbox.pubsub_token,
        "id": contact.id,
        "name": contact.name,
        "email": contact.email,
        "phone_number": contact.phone_number,
    })
}

/// A visitor: the one with the source id where there is one, else the contact found by identifier, address or
/// number, else a new one. Their picture is fetched where that is who they are.
pub(super) async fn create(
    _: Anyone,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let identifier = path(&params, "inbox_identifier")?;
    let source_id = params.text("source_id");
    if source_id.as_ref().is_some_and(|id| id.trim().is_empty()) {
        return Err(Error::invalid("source_id", "can't be blank").into());
    }
    let mut new = new_contact(&params).tidy();
    let named = params.text("name").is_some();
    let avatar_url = params.present("avatar_url");
    let proof = proof(&params);
    app.write(async move |tx| {
        let door = inboxes::door(tx, API, &identifier).await?;
        let proved = proof.check(&door.channel)?;
        let scope = &door.scope;
        if let Some(source_id) = &source_id
            && let Some(found) =
                contacts::sql::contact_inbox_by_source(tx, scope, door.inbox.id, source_id).await?
        {
            let contact = contacts::sql::get(tx, scope, found.contact_id).await?;
            let contact = contact.ok_or(Error::NotFound)?;
            return Ok(Json(contact_inbox_json(&Visitor { door, contact_inbox: found, contact })));
        }
        let known = contacts::sql::by_identity(
            tx,
            scope,
            new.identifier.as_deref(),
            new.email.as_deref(),
            new.phone_number.as_deref(),
        )
        .await?;
        let is_proved = |contact: &Contact| {
            proved && proof.identifier.is_some() && proof.identifier == contact.identifier
        };
        let absorbed = known.as_ref().is_some_and(|contact| !is_proved(contact));
        let contact = match known {
            Some(contact) => contact,
            None => {
                if !named {
                    new.name = some_name(tx);
                }
                contacts::create(tx, scope, new).await?
            }
        };
        let mut contact_inbox =
            contacts::contact_inbox(tx, scope, contact.id, door.inbox.id, source_id).await?;
        if absorbed {
            contacts::sql::absorb(tx, scope, contact.id, Some(contact_inbox.id)).await?;
            contact_inbox.absorbed = true;
        } else if let Some(url) = avatar_url {
            storage::offer_avatar(tx, scope, &contact, &url).await?;
        }
        Ok(Json(contact_inbox_json(&Visitor { door, contact_inbox, contact })))
    })
    .await
}

/// The visitor. A proof that is shown is noted.
pub(super) async fn show(_: Anyone, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let (at, proof) = (at(&params)?, proof(&params));
    if proof.hash.is_none() {
        return app
            .read(async move |tx| {
                let visitor = at.visitor(tx).await?;
                proof.check(&visitor.door.channel)?;
                Ok(Json(contact_inbox_json(&visitor)))
            })
            .await;
    }
    app.write(async move |tx| {
        let mut visitor = at.visitor(tx).await?;
        visitor.prove_to_be(tx, &proof).await?;
        Ok(Json(contact_inbox_json(&visitor)))
    })
    .await
}

/// Takes over what the visitor says of themselves; who they are is proved, not said.
pub(super) async fn update(
    _: Anyone,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (at, proof): (At, _) = (at(&params)?, proof(&params));
    let given = Identity { identifier: None, ..identity(&params) };
    app.write(async move |tx| {
        let mut visitor = at.visitor(tx).await?;
        visitor.prove_to_be(tx, &proof).await?;
        visitors::identify(tx, &mut visitor, given, Manner::default()).await?;
        Ok(Json(contact_inbox_json(&visitor)))
    })
    .await
}
