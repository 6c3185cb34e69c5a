//! The set-up page: the first account, by the one-time link that the server printed.

use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use chatwarden_core::error::{Error, Invalid};
use chatwarden_core::{passwords, setup};
use chatwarden_guard::{CspNonce, PageKind};
use http::StatusCode;
use minijinja::{Environment, context};

use crate::actors::Anyone;
use crate::app::App;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/setup").get("/{link}", show).post("/{link}", found)
}

fn page(status: StatusCode, values: minijinja::Value) -> Answer<Response> {
    let broken = |e: minijinja::Error| {
        tracing::error!(error = %e, "the set-up page can't be rendered");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    };
    let mut templates = Environment::new();
    templates
        .add_template("setup.html", include_str!("../templates/setup.html"))
        .map_err(broken)?;
    let html =
        templates.get_template("setup.html").and_then(|t| t.render(values)).map_err(broken)?;
    Ok((status, PageKind::Dashboard, Html(html)).into_response())
}

/// The form, while the link works.
async fn show(
    _: Anyone,
    State(app): State<App>,
    nonce: CspNonce,
    params: Params,
) -> Answer<Response> {
    let link = params.text("link").unwrap_or_default();
    if !app.read(async move |tx| setup::is_open(tx, &link).await).await? {
        return Err(ApiError::not_found());
    }
    page(StatusCode::OK, context! { nonce => nonce.value(), values => context! {} })
}

/// Makes the account and shows the token.
async fn found(
    _: Anyone,
    State(app): State<App>,
    nonce: CspNonce,
    params: Params,
) -> Answer<Response> {
    let text = |key: &str| params.text(key).unwrap_or_default();
    let (link, account, name, email) = (text("link"), text("account"), text("name"), text("email"));
    let nonce = nonce.value();
    let values = context! { account => &account, name => &name, email => &email };
    let again = |fault: String| {
        page(
            StatusCode::UNPROCESSABLE_ENTITY,
            context! { nonce => nonce, fault => fault, values => values },
        )
    };
    let mut faults = Invalid::default();
    let password = text("password");
    passwords::check(&mut faults, "password", &password);
    if let Err(Error::Invalid(faults)) = faults.check() {
        return again(faults.to_string());
    }
    // A guess at the link must not buy the work of hashing.
    let known = link.clone();
    if !app.read(async move |tx| setup::is_open(tx, &known).await).await? {
        return Err(ApiError::not_found());
    }
    let hashed = app.hash_password(password).await?;
    let made = app
        .write(async move |tx| setup::redeem(tx, &link, &account, &name, &email, hashed).await)
        .await;
    match made {
        Ok(made) => page(
            StatusCode::OK,
            context! {
                nonce => nonce, token => made.token, account => made.account.name, email => made.user.email,
                account_id => made.account.id.0, base => &app.desk().frontend_url,
            },
        ),
        Err(Error::Invalid(faults)) => again(faults.to_string()),
        Err(error) => Err(error.into()),
    }
}
