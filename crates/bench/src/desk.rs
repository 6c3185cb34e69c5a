//! A small desk on a server, made through its own API.

use anyhow::{Context as _, Result, ensure};
use chatwarden_testkit::services::Server;
use serde_json::{Value, json};

/// A server with a platform app.
pub struct Desks<'a> {
    server: &'a Server,
    platform: String,
    made: u32,
}

/// An account with an agent, an API inbox and conversations in it.
pub struct Desk {
    /// The account.
    pub account: i64,
    /// Its API inbox.
    pub inbox: i64,
    /// The administrator.
    pub user: i64,
    /// The administrator's API token.
    pub token: String,
    /// The administrator's socket token.
    pub pubsub_token: String,
    /// The numbers of its conversations.
    pub conversations: Vec<i64>,
}

impl<'a> Desks<'a> {
    /// With a platform app of its own.
    pub fn new(server: &'a Server) -> Result<Self> {
        Ok(Self { server, platform: server.platform_token()?, made: 0 })
    }

    fn call(&self, token: &str, method: &str, path: &str, body: &Value) -> Result<Value> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.server.call(method, path, &[("api_access_token", token)], &text)?;
        ensure!(
            (200..300).contains(&answer.status),
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        Ok(serde_json::from_str(&answer.body).unwrap_or(Value::Null))
    }

    /// A new account with as many conversations.
    pub fn desk(&mut self, conversations: usize) -> Result<Desk> {
        self.made += 1;
        let id = |value: &Value, key: &str| {
            value.get(key).and_then(Value::as_i64).with_context(|| format!("no {key}"))
        };
        let text = |value: &Value, key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .with_context(|| format!("no {key}"))
        };
        let p = self.platform.clone();
        let account = id(
            &self.call(&p, "POST", "/platform/api/v1/accounts", &json!({"name": "Bench"}))?,
            "id",
        )?;
        let email = format!("bench.{}@example.com", self.made);
        let user = self.call(
            &p,
            "POST",
            "/platform/api/v1/users",
            &json!({"name": "Ada", "email": email, "password": "Passw0rd!23"}),
        )?;
        let user = id(&user, "id")?;
        let member = json!({"user_id": user, "role": "administrator"});
        self.call(
            &p,
            "POST",
            &format!("/platform/api/v1/accounts/{account}/account_users"),
            &member,
        )?;
        let token =
            self.call(&p, "POST", &format!("/platform/api/v1/users/{user}/token"), &json!({}))?;
        let token = text(&token, "access_token")?;
        let pubsub_token =
            text(&self.call(&token, "GET", "/api/v1/profile", &Value::Null)?, "pubsub_token")?;
        let api = format!("/api/v1/accounts/{account}");
        let channel = json!({"name": "Desk", "channel": {"type": "api", "webhook_url": ""}});
        let inbox = id(&self.call(&token, "POST", &format!("{api}/inboxes"), &channel)?, "id")?;
        let mut numbers = Vec::new();
        for index in 0..conversations {
            let contact = json!({"inbox_id": inbox, "name": format!("Visitor {index}")});
            let made = self.call(&token, "POST", &format!("{api}/contacts"), &contact)?;
            let payload = made.get("payload").context("no payload")?;
            let contact = id(payload.get("contact").context("no contact")?, "id")?;
            let source =
                text(payload.get("contact_inbox").context("no contact inbox")?, "source_id")?;
            let opened = json!({"source_id": source, "inbox_id": inbox, "contact_id": contact});
            numbers.push(id(
                &self.call(&token, "POST", &format!("{api}/conversations"), &opened)?,
                "id",
            )?);
        }
        Ok(Desk { account, inbox, user, token, pubsub_token, conversations: numbers })
    }
}

impl Desk {
    /// The bytes of a request that reads a path of the account.
    pub fn get(&self, path: &str) -> Vec<u8> {
        let path = format!("/api/v1/accounts/{}{path}", self.account);
        crate::client::request("GET", &path, &self.token, "")
    }

    /// The bytes of a request that sends a message in a conversation.
    pub fn message(&self, conversation: i64) -> Vec<u8> {
        let path =
            format!("/api/v1/accounts/{}/conversations/{conversation}/messages", self.account);
        crate::client::request(
            "POST",
            &path,
            &self.token,
            r#"{"content":"It left today, sorry for the delay."}"#,
        )
    }
}
