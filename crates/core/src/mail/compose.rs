//! What a mail says, when it is about to be sent.

use std::sync::LazyLock;

use chatwarden_db::Tx;
use minijinja::Environment;
use serde_json::{Value, json};

use super::{Queued, Template, opened, transcript};
use crate::desk::desk;
use crate::error::{Error, Result};
use crate::ids::AccountId;
use crate::notifications;
use crate::scope::Scope;

/// A mail, ready to be handed over.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Who it is from: an address, or `Name <address>`.
    pub from: String,
    /// Where answers go, if not there.
    pub reply_to: Option<String>,
    /// Whom it is to.
    pub to: Vec<String>,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub html: String,
    /// Its id, the same however often it is sent.
    pub message_id: String,
}

/// A template with what it is filled with.
pub(crate) struct Filled {
    pub(crate) template: &'static str,
    pub(crate) from: Option<String>,
    pub(crate) reply_to: Option<String>,
    pub(crate) subject: String,
    pub(crate) context: Value,
}

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("templates/", $name)))),*]
    };
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    let all = templates![
        "layout.html",
        "messages.html",
        "confirmation.html",
        "invitation.html",
        "already_confirmed.html",
        "reset_password.html",
        "conversation_creation.html",
        "conversation_assignment.html",
        "conversation_mention.html",
        "new_message.html",
        "transcript.html",
    ];
    for (name, source) in all {
        // A broken one is missed when it is asked for, and by the tests.
        environment.add_template(name, source).ok();
    }
    environment
});

/// The address of a sender without its name.
pub(crate) fn bare(sender: &str) -> &str {
    match sender.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((_, address)) => address.trim(),
        None => sender.trim(),
    }
}

/// The name of a sender; `Chatwarden` where it has none.
fn name_of(sender: &str) -> String {
    let name = sender.rsplit_once('<').map_or("", |(name, _)| name.trim().trim_matches('"'));
    if name.is_empty() { "Chatwarden".to_owned() } else { name.to_owned() }
}

/// What a mail says; nothing where it is not to be sent any more, because what it tells of is gone or known.
///
/// # Errors
/// What the database says.
pub async fn compose(
    tx: &mut Tx<'_>,
    account: AccountId,
    queued: &Queued,
) -> Result<Option<Letter>> {
    let (mail, desk) = (&queued.mail, desk(tx));
    let of_link = |template, subject: &str| {
        let other_key = || Error::Unprocessable("SECRET_KEY_BASE was another one".to_owned());
        Ok::<_, Error>(Some(Filled {
            template,
            from: None,
            reply_to: Some(desk.sender_email.clone()),
            subject: subject.to_owned(),
            context: opened(tx, &mail.args).ok_or_else(other_key)?,
        }))
    };
    let scope = Scope::of_job(account);
    let filled = match mail.template {
        Template::Confirmation => of_link("confirmation.html", "Confirmation Instructions")?,
        Template::Invitation => of_link("invitation.html", "Confirmation Instructions")?,
        Template::AlreadyConfirmed => {
            of_link("already_confirmed.html", "Confirmation Instructions")?
        }
        Template::ResetPassword => of_link("reset_password.html", "Reset password instructions")?,
        Template::Notification => notifications::letter(tx, &scope, &mail.args).await?,
        Template::Transcript => transcript::fill(tx, &scope, &mail.args).await?,
    };
    let Some(Filled { template, from, reply_to, subject, mut context }) = filled else {
        return Ok(None);
    };
    if let Some(object) = context.as_object_mut() {
        object.insert("brand_name".to_owned(), json!(name_of(&desk.sender_email)));
        object.insert("brand_url".to_owned(), json!(desk.frontend_url));
    }
    let broken = |error: minijinja::Error| Error::Unprocessable(format!("{template}: {error}"));
    let html = TEMPLATES
        .get_template(template)
        .and_then(|t| t.render(minijinja::value::Serde(&context)))
        .map_err(broken)?;
    let domain = bare(&desk.sender_email).rsplit_once('@').map_or("localhost", |(_, d)| d);
    Ok(Some(Letter {
        from: from.unwrap_or_else(|| desk.sender_email.clone()),
        reply_to,
        to: vec![mail.to.clone()],
        subject,
        html,
        message_id: format!("<{}@{domain}>", queued.id),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_sound_and_escape() {
        let context = json!({
            "name": "<b>", "email": "a@b", "link": "https://x/?a=1&b=2", "inviter": "I", "account": "A",
            "inbox": "In", "contact": "C", "sender": "S", "note": "<p>n</p>", "brand_name": "B", "brand_url": "u",
            "messages": [{"who": "W", "html": "<p>h</p>", "files": [{"url": "f", "name": "n"}], "when": "now"}],
        });
        let mut count = 0;
        for (name, template) in TEMPLATES.templates() {
            let text = template
                .render(minijinja::value::Serde(&context))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!text.contains("<b>"), "{name}: {text}");
            count += 1;
        }
        assert_eq!(count, 11);
    }

    #[test]
    fn senders_have_an_address_and_perhaps_a_name() {
        assert_eq!(bare("Desk <a@b.c>"), "a@b.c");
        assert_eq!(bare("a@b.c"), "a@b.c");
        assert_eq!(name_of("\"Desk, Inc\" <a@b.c>"), "Desk, Inc");
        assert_eq!(name_of("a@b.c"), "Chatwarden");
    }
}
