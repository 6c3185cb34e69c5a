//! Lists of conversations and their counts (`behaviours.md §6`, §7).

use axum::Json;
use axum::extract::State;
use chatwarden_core::Error;
use chatwarden_core::accounts::features::Features;
use chatwarden_core::conversations::{
    self, Assigned, Counts, Filter, Kind, Sort, Status, counts, lists,
};
use chatwarden_core::ids::{InboxId, TeamId};
use chatwarden_core::messages::Sent;
use serde_json::{Map, Value, json};

use super::conversation_json;
use crate::actors::Agent;
use crate::app::App;
use crate::error::{Answer, ApiError};
use crate::params::Params;

/// The seconds of ten years: who asks for more asks for all.
const TEN_YEARS: i64 = 315_360_000;

/// What a list is narrowed to, but for what depends on the time. What is sent and names nothing narrows to nothing.
fn filter(params: &Params) -> Filter {
    // A blank text is looked for, too: everything that was said holds it.
    let text = params.text("q");
    let of = |names: &[String]| -> Vec<Status> {
        let is = |one: Status, name: &str| one.name() == name || one.integer().to_string() == name;
        let all = Status::ALL.iter().copied();
        all.filter(|one| names.iter().any(|name| is(*one, name))).collect()
    };
    let statuses = match (params.texts("status"), params.text("status")) {
        _ if text.is_some() => Status::ALL.to_vec(),
        (Some(names), _) => of(&names),
        (_, None) => vec![Status::Open],
        (_, Some(name)) if name == "all" => Status::ALL.to_vec(),
        (_, Some(name)) => of(&[name]),
    };
    let sent = |key: &str| params.get(key).is_some_and(|value| !value.is_null());
    // No record has the id 0.
    let id = |key: &str| params.integer(key).or_else(|| sent(key).then_some(0));
    let kind = match params.text("conversation_type").as_deref() {
        Some("mention") => Kind::Mention,
        Some("participating") => Kind::Participating,
        Some("unattended") => Kind::Unattended,
        _ => Kind::Any,
    };
    Filter {
        statuses,
        // What a member follows is listed whatever the inbox.
        inboxes: params
            .integers("inbox_id")
            .or_else(|| id("inbox_id").map(|inbox| vec![inbox]))
            .filter(|_| kind != Kind::Participating)
            .map(|inboxes| inboxes.into_iter().map(InboxId).collect()),
        team: id("team_id").map(TeamId),
        labels: params.one_or_more("labels").filter(|_| sent("labels")).map(|texts| {
            let titles = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
            titles.filter(|title| !title.is_empty()).map(str::to_owned).collect()
        }),
        kind,
        text,
        source_id: params.text("source_id"),
        changed_since: None,
        assignee: match params.text("assignee_type").as_deref() {
            Some("me") => Assigned::Me,
            Some("unassigned") => Assigned::Unassigned,
            Some("assigned") => Assigned::Assigned,
            _ => Assigned::All,
        },
        sort: Sort::named(&params.text("sort_by").unwrap_or_default()),
    }
}

/// How many seconds ago a conversation may have changed last; what is no number is none.
fn within(params: &Params) -> Option<i64> {
    let seconds = params.integer("updated_within").unwrap_or_default();
    params.present("updated_within").map(|_| seconds.clamp(0, TEN_YEARS))
}

/// The conditions of a filter. An empty list finds everything; it must be said.
pub(crate) fn conditions(params: &Params) -> Answer<Vec<Value>> {
    match params.get("payload") {
        None | Some(Value::Null) => Err(ApiError::missing("payload")),
        Some(_) => params
            .list("payload")
            .ok_or_else(|| ApiError::unprocessable("payload must be a list of conditions")),
    }
}

fn counts_json(counts: Counts, with_assigned: bool) -> Value {
    let mut out = json!({
        "mine_count": counts.mine,
        "unassigned_count": counts.unassigned,
        "all_count": counts.all,
    });
    if let (true, Some(object)) = (with_assigned, out.as_object_mut()) {
        object.insert("assigned_count".to_owned(), json!(counts.all - counts.unassigned));
    }
    out
}

/// The conversations that the member may see, a page at a time.
pub(super) async fn index(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (mut filter, within, page) = (filter(&params), within(&params), params.page());
    app.read(async move |tx| {
        filter.changed_since = within.map(|seconds| tx.now().plus_seconds(-seconds));
        let (found, counts) = conversations::page(tx, &scope, &filter, page).await?;
        let payload: Vec<Value> = found.iter().map(|page| conversation_json(tx, page)).collect();
        Ok(Json(json!({"data": {"meta": counts_json(counts, true), "payload": payload}})))
    })
    .await
}

/// The counts beside the list.
pub(super) async fn meta(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (mut filter, within) = (filter(&params), within(&params));
    app.read(async move |tx| {
        filter.changed_since = within.map(|seconds| tx.now().plus_seconds(-seconds));
        let counts = conversations::counts_of(tx, &scope, &filter).await?;
        Ok(Json(json!({"meta": counts_json(counts, true)})))
    })
    .await
}

fn hit_message_json(sent: &Sent) -> Value {
    let m = &sent.message;
    let mut out = json!({
        "content": m.content,
        "id": m.id,
        "message_type": m.message_type.integer(),
        "created_at": m.created_at.unix(),
    });
    let name = match (&sent.user, &sent.contact, &sent.bot) {
        (Some(user), ..) => Some(user.name.as_str()),
        (_, Some(contact), _) => Some(contact.name.as_str()),
        (.., Some(bot)) => Some(bot.name.as_str()),
        _ => None,
    };
    if let (Some(name), Some(object)) = (name, out.as_object_mut()) {
        object.insert("sender_name".to_owned(), json!(name));
    }
    out
}

/// The conversations in which a text was said (`resources.md §6.2`, search form).
pub(super) async fn search(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (mut filter, within, page) = (filter(&params), within(&params), params.page());
    app.read(async move |tx| {
        filter.changed_since = within.map(|seconds| tx.now().plus_seconds(-seconds));
        let (hits, counts) = lists::search(tx, &scope, &filter, page).await?;
        let hit = |hit: &lists::Hit| {
            let (c, row) = (&hit.conversation, &hit.conversation.row);
            json!({
                "id": row.display_id,
                "uuid": row.uuid,
                "created_at": row.created_at.unix(),
                "contact": {"id": c.contact.id, "name": c.contact.name},
                "inbox": {"id": c.inbox.id, "name": c.inbox.name, "channel_type": c.inbox.channel_type},
                "messages": hit.messages.iter().map(hit_message_json).collect::<Vec<_>>(),
                "account_id": row.account_id,
            })
        };
        let payload: Vec<Value> = hits.iter().map(hit).collect();
        Ok(Json(json!({"meta": counts_json(counts, false), "payload": payload})))
    })
    .await
}

/// The conversations that conditions find, a page at a time.
pub(super) async fn find(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (conditions, page) = (conditions(&params)?, params.page());
    app.read(async move |tx| {
        let (found, counts) = lists::filter(tx, &scope, &conditions, page).await?;
        let payload: Vec<Value> = found.iter().map(|page| conversation_json(tx, page)).collect();
        Ok(Json(json!({"meta": counts_json(counts, false), "payload": payload})))
    })
    .await
}

/// How many conversations the member has not read yet.
pub(super) async fn unread_counts(
    Agent(scope, account): Agent,
    State(app): State<App>,
) -> Answer<Json<Value>> {
    let features = Features::of(&account);
    if !features.has("conversation_unread_counts") {
        let text = "Conversation unread counts feature not enabled for this account";
        return Err(Error::Forbidden(text.to_owned()).into());
    }
    app.read(async move |tx| {
        let unread = counts::unread(tx, &scope).await?;
        let by = |counts: std::collections::BTreeMap<i64, i64>| -> Map<String, Value> {
            let present = counts.into_iter().filter(|(_, n)| *n != 0);
            present.map(|(id, n)| (id.to_string(), json!(n))).collect()
        };
        let mut payload = json!({
            "all_count": unread.all,
            "inboxes": by(unread.inboxes),
            "labels": by(unread.labels),
            "teams": by(unread.teams),
        });
        if let (true, Some(object)) =
            (features.has("unread_count_for_filters"), payload.as_object_mut())
        {
            let own = lists::unread(tx, &scope).await?;
            object.insert("mentions_count".to_owned(), json!(own.mentions));
            object.insert("participating_count".to_owned(), json!(own.participating));
            object.insert("unattended_count".to_owned(), json!(own.unattended));
            object.insert("folders".to_owned(), json!(by(own.folders)));
        }
        Ok(Json(json!({"payload": payload})))
    })
    .await
}
