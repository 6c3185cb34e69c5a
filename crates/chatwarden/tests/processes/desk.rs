//! A small desk on a server, made through its own API, and what can be done there.

use anyhow::{Context as _, Result, ensure};
use chatwarden_testkit::services::{Connection, Server};
use serde_json::{Value, json};

/// The server's program, as built for these tests.
pub fn program() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_BIN_EXE_chatwarden"))
}

/// What every server of these tests is set to.
pub const SETTINGS: [(&str, &str); 4] = [
    ("RACK_ATTACK_ALLOWED_IPS", "127.0.0.1"),
    // The writers of these tests are a flood.
    ("CONVERSATION_MESSAGE_PER_MINUTE_LIMIT", "1000000"),
    ("LOG_LEVEL", "info"),
    ("DRAIN_TIMEOUT", "10s"),
];

/// An account with an agent, an inbox, and conversations in it.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The account.
    pub account: i64,
    /// The administrator.
    pub user: i64,
    /// The administrator's API token.
    pub token: String,
    /// The administrator's socket token.
    pub pubsub_token: String,
    /// The inbox as visitors name it.
    pub inbox: String,
    /// For each conversation, the visitor's source id and its number.
    pub conversations: Vec<(String, i64)>,
}

fn call(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Result<Value> {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let answer = server.call(method, path, &[("api_access_token", token)], &text)?;
    ensure!(
        (200..300).contains(&answer.status),
        "{method} {path}: {} {}",
        answer.status,
        answer.body
    );
    Ok(serde_json::from_str(&answer.body).unwrap_or(Value::Null))
}

fn id(value: &Value, key: &str) -> Result<i64> {
    value[key].as_i64().with_context(|| format!("no {key} in {value}"))
}

fn text(value: &Value, key: &str) -> Result<String> {
    value[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in {value}"))
}

impl Desk {
    /// Makes one with as many conversations.
    pub fn make(server: &Server, conversations: usize) -> Result<Self> {
        let platform = server.platform_token()?;
        let p = platform.as_str();
        let account = id(
            &call(server, p, "POST", "/platform/api/v1/accounts", &json!({"name": "Acme"}))?,
            "id",
        )?;
        let person = json!({"name": "Ada", "email": "ada@example.com", "password": "Passw0rd!23"});
        let user = id(&call(server, p, "POST", "/platform/api/v1/users", &person)?, "id")?;
        let member = json!({"user_id": user, "role": "administrator"});
        call(
            server,
            p,
            "POST",
            &format!("/platform/api/v1/accounts/{account}/account_users"),
            &member,
        )?;
        let token =
            call(server, p, "POST", &format!("/platform/api/v1/users/{user}/token"), &json!({}))?;
        let token = text(&token, "access_token")?;
        let pubsub_token =
            text(&call(server, &token, "GET", "/api/v1/profile", &Value::Null)?, "pubsub_token")?;
        let channel = json!({"name": "Desk", "channel": {"type": "api", "webhook_url": ""}});
        let inbox =
            call(server, &token, "POST", &format!("/api/v1/accounts/{account}/inboxes"), &channel)?;
        let mut desk = Self {
            account,
            user,
            token,
            pubsub_token,
            inbox: text(&inbox, "inbox_identifier")?,
            conversations: Vec::new(),
        };
        for index in 0..conversations {
            let contacts = format!("/public/api/v1/inboxes/{}/contacts", desk.inbox);
            let visitor =
                call(server, "", "POST", &contacts, &json!({"name": format!("Vera {index}")}))?;
            let source = text(&visitor, "source_id")?;
            let opened = call(
                server,
                "",
                "POST",
                &format!("{contacts}/{source}/conversations"),
                &json!({}),
            )?;
            desk.conversations.push((source, id(&opened, "id")?));
        }
        Ok(desk)
    }

    /// A visitor writes; whether the server acknowledged it.
    pub fn write(&self, server_port: u16, conversation: usize, content: &str) -> bool {
        let (path, body) = self.message(conversation, content);
        chatwarden_testkit::services::call(server_port, "POST", &path, &[], &body)
            .is_ok_and(|answer| answer.status == 200)
    }

    /// Writes as a conversation's visitor on a connection that is kept; whether it was acknowledged, and whether
    /// the connection can be kept further.
    pub fn write_on(
        &self,
        connection: &mut Connection,
        conversation: usize,
        content: &str,
    ) -> (bool, bool) {
        let (path, body) = self.message(conversation, content);
        let answer = connection.call("POST", &path, &[], &body);
        answer.map_or((false, false), |answer| (answer.status == 200, !answer.last))
    }

    /// Where a conversation's visitor writes to, and what.
    fn message(&self, conversation: usize, content: &str) -> (String, String) {
        let (source, number) = &self.conversations[conversation];
        let path = format!(
            "/public/api/v1/inboxes/{}/contacts/{source}/conversations/{number}/messages",
            self.inbox
        );
        (path, json!({"content": content}).to_string())
    }

    /// What visitors wrote in a conversation, oldest first.
    pub fn written(&self, server: &Server, conversation: usize) -> Result<Vec<String>> {
        let (_, number) = self.conversations.get(conversation).context("a conversation")?;
        let mut out = Vec::new();
        let mut after = 0;
        loop {
            let path = format!(
                "/api/v1/accounts/{}/conversations/{number}/messages?after={after}",
                self.account
            );
            let answer = call(server, &self.token, "GET", &path, &Value::Null)?;
            let page = answer["payload"].as_array().context("no payload")?.clone();
            let Some(last) = page.last() else { return Ok(out) };
            after = id(last, "id")?;
            let incoming = page.iter().filter(|m| m["message_type"] == 0);
            out.extend(incoming.filter_map(|m| m["content"].as_str()).map(str::to_owned));
        }
    }
}
