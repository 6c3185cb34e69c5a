//! What is done to a conversation (`behaviours.md §8`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::conversations::{self, Conversation, Priority, Status, drafts, participants};
use chatwarden_core::ids::{AgentBotId, DisplayId, TeamId, UserId};
use chatwarden_core::rooms::typing::{self, Typist};
use chatwarden_core::users::Member;
use chatwarden_core::{Error, agent_bots, mail, teams, users, values};
use chatwarden_db::{Timestamp, Tx, WriteTx};
use serde_json::{Value, json};

use super::{agent_json, conversation_json, display_id, slim_bot_json};
use crate::actors::{Admin, Agent, AgentOrBot, performer};
use crate::app::App;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::teams::raw_team_json;

/// A conversation that the caller may see.
pub(crate) async fn find(
    tx: &mut Tx<'_>,
    who: &AgentOrBot,
    id: DisplayId,
) -> Result<Conversation, Error> {
    match who {
        AgentOrBot::Agent(scope, _) => conversations::find(tx, scope, id).await,
        AgentOrBot::Bot(scope) => conversations::find_for_bot(tx, scope, id).await,
    }
}

/// The same, locked.
pub(crate) async fn lock(
    tx: &mut WriteTx<'_>,
    who: &AgentOrBot,
    id: DisplayId,
) -> Result<Conversation, Error> {
    match who {
        AgentOrBot::Agent(scope, _) => conversations::lock(tx, scope, id).await,
        AgentOrBot::Bot(scope) => conversations::lock_for_bot(tx, scope, id).await,
    }
}

/// The priority that the parameters say; none where they say nothing.
fn priority(params: &Params) -> Answer<Option<Priority>> {
    params.one_of("priority", Priority::ALL, Priority::name, Priority::integer)
}

/// Refuses a list or an object where one value is meant, and nothing would mean another thing.
fn check_one(params: &Params, key: &str) -> Answer<()> {
    match params.get(key) {
        Some(sent) if !values::is_scalar(sent) => {
            Err(ApiError::unprocessable(format!("{key} must be a single value")))
        }
        _ => Ok(()),
    }
}

/// Changes a conversation: its priority, and nothing else.
pub(super) async fn update(
    who: AgentOrBot,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    let wanted = if params.has("priority") { Some(priority(&params)?) } else { None };
    app.write(async move |tx| {
        let mut c = lock(tx, &who, id).await?;
        let by = who.performer(tx);
        if let Some(priority) = wanted {
            conversations::set_priority(tx, who.tenant(), &mut c, priority, &by).await?;
        }
        let page = conversations::show(tx, who.tenant(), c).await?;
        Ok(Json(conversation_json(tx, &page)))
    })
    .await
}

/// Deletes a conversation.
pub(super) async fn destroy(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = display_id(&params)?;
    app.write(async move |tx| conversations::destroy(tx, &scope, id).await).await?;
    Ok(done())
}

/// Until when to snooze, in unix seconds.
fn until(params: &Params) -> Answer<Option<Timestamp>> {
    let seconds = match params.get("snoozed_until") {
        None | Some(Value::Null | Value::Bool(false)) => return Ok(None),
        Some(sent) => values::text(sent).and_then(|text| text.trim().parse().ok()),
    };
    let seconds: i64 = seconds
        .ok_or_else(|| ApiError::unprocessable("snoozed_until must be a number of unix seconds"))?;
    Ok(Some(seconds).filter(|seconds| *seconds > 0).map(Timestamp::from_unix))
}

/// Moves a conversation to a status; without one, open and resolved change places.
pub(super) async fn toggle_status(
    who: AgentOrBot,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    let until = until(&params)?;
    check_one(&params, "status")?;
    let wanted = super::status(&params)?;
    app.write(async move |tx| {
        let mut c = lock(tx, &who, id).await?;
        let by = who.performer(tx);
        let status = wanted.unwrap_or(match c.row.status {
            Status::Open => Status::Resolved,
            _ => Status::Open,
        });
        let by_bot = matches!(who, AgentOrBot::Bot(_));
        let handed_off = by_bot && c.row.status == Status::Pending && status == Status::Open;
        if handed_off {
            conversations::hand_off(tx, who.tenant(), &mut c, &by).await?;
        } else {
            conversations::set_status(tx, who.tenant(), &mut c, status, until, &by).await?;
        }
        // Whoever opens a conversation as an agent takes it.
        if let AgentOrBot::Agent(scope, _) = &who
            && status == Status::Open
            && !scope.is_admin()
            && c.row.assignee_id != Some(scope.user_id())
        {
            conversations::assign(tx, scope, &mut c, Some(scope.member()), &by).await?;
        }
        Ok(Json(json!({"payload": {
            "success": if handed_off { Value::Null } else { Value::Bool(true) },
            "conversation_id": c.row.display_id,
            "current_status": c.row.status,
            "snoozed_until": c.row.snoozed_until.map(Timestamp::iso),
        }})))
    })
    .await
}

/// Gives a conversation a priority, or takes it away.
pub(super) async fn toggle_priority(
    who: AgentOrBot,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = display_id(&params)?;
    check_one(&params, "priority")?;
    let priority = priority(&params)?;
    app.write(async move |tx| {
        let mut c = lock(tx, &who, id).await?;
        let by = who.performer(tx);
        conversations::set_priority(tx, who.tenant(), &mut c, priority, &by).await
    })
    .await?;
    Ok(done())
}

/// Resolves a conversation and blocks its contact.
pub(super) async fn mute(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = display_id(&params)?;
    app.write(async move |tx| {
        let mut c = conversations::lock(tx, &scope, id).await?;
        let by = performer(tx, &scope);
        conversations::mute(tx, &scope, &mut c, &by).await
    })
    .await?;
    Ok(done())
}

/// Lets the contact of a conversation be heard again.
pub(super) async fn unmute(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = display_id(&params)?;
    app.write(async move |tx| {
        let mut c = conversations::lock(tx, &scope, id).await?;
        let by = performer(tx, &scope);
        conversations::unmute(tx, &scope, &mut c, &by).await
    })
    .await?;
    Ok(done())
}

/// Tells the others that the caller began or stopped typing; what is neither is told nobody.
pub(super) async fn toggle_typing_status(
    who: AgentOrBot,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = display_id(&params)?;
    let on = match params.text("typing_status").as_deref() {
        Some("on") => Some(true),
        Some("off") => Some(false),
        _ => None,
    };
    let private = params.flag("is_private").unwrap_or(false);
    app.write(async move |tx| {
        let c = find(tx, &who, id).await?;
        let Some(on) = on else { return Ok(()) };
        let by = who.performer(tx);
        match &who {
            AgentOrBot::Agent(scope, _) => {
                let typist = Typist::User(scope.member());
                typing::tell(tx, scope, &c, on, typist, private, &by).await
            }
            AgentOrBot::Bot(scope) => {
                let push = scope.bot().push(tx);
                typing::tell(tx, scope, &c, on, Typist::Bot(&push), private, &by).await
            }
        }
    })
    .await?;
    Ok(done())
}

/// Whom a conversation is to be given to.
enum Target {
    User(Option<UserId>),
    Bot(AgentBotId),
    Team(Option<TeamId>),
    /// Nothing was said.
    Stay,
}

fn target(params: &Params) -> Target {
    let assignee = params.integer("assignee_id").filter(|id| *id > 0);
    if params.text("assignee_type").as_deref() == Some("AgentBot") {
        assignee.map_or(Target::Stay, |id| Target::Bot(AgentBotId(id)))
    } else if params.has("assignee_id") {
        Target::User(assignee.map(UserId))
    } else if params.has("team_id") {
        Target::Team(params.integer("team_id").map(TeamId))
    } else {
        Target::Stay
    }
}

/// Gives a conversation to a member or a bot, or to nobody; where no assignee is named, to a team or none.
pub(super) async fn assign(
    who: AgentOrBot,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    let target = target(&params);
    app.write(async move |tx| {
        let mut c = lock(tx, &who, id).await?;
        let (scope, by) = (who.tenant(), who.performer(tx));
        Ok(Json(match target {
            Target::Stay => Value::Null,
            Target::Team(team) => {
                let team = match team {
                    Some(team) => teams::get(tx, scope, team).await?,
                    None => None,
                };
                conversations::assign_team(tx, scope, &mut c, team, &by).await?;
                c.team.as_ref().map_or(Value::Null, raw_team_json)
            }
            Target::Bot(bot) => match agent_bots::find(tx, scope, bot).await {
                Ok(bot) => {
                    conversations::assign_bot(tx, scope, &mut c, &bot, &by).await?;
                    slim_bot_json(tx, &(&bot).into())
                }
                // There is none: the conversation stays whose it is.
                Err(Error::NotFound) => Value::Null,
                Err(error) => return Err(error.into()),
            },
            Target::User(user) => {
                let member = match user {
                    Some(user) => users::sql::member(tx, scope, user).await.map_err(Error::from)?,
                    None => None,
                };
                conversations::assign(tx, scope, &mut c, member.as_ref(), &by).await?;
                member.map_or(Value::Null, |member| agent_json(tx, &member))
            }
        }))
    })
    .await
}

/// Notes that the member looked.
pub(super) async fn update_last_seen(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    app.write(async move |tx| {
        let mut c = conversations::lock(tx, &scope, id).await?;
        conversations::mark_seen(tx, &scope, &mut c, scope.member()).await?;
        let page = conversations::show(tx, &scope, c).await?;
        Ok(Json(conversation_json(tx, &page)))
    })
    .await
}

/// Leaves a conversation unread.
pub(super) async fn unread(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    app.write(async move |tx| {
        let mut c = conversations::lock(tx, &scope, id).await?;
        conversations::mark_unread(tx, &scope, &mut c).await?;
        let page = conversations::show(tx, &scope, c).await?;
        Ok(Json(conversation_json(tx, &page)))
    })
    .await
}

/// Replaces the account's own attributes of a conversation.
pub(super) async fn custom_attributes(
    who: AgentOrBot,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    let attributes = params.object("custom_attributes");
    app.write(async move |tx| {
        let mut c = lock(tx, &who, id).await?;
        let attributes = attributes.ok_or_else(|| ApiError::missing("custom_attributes"))?;
        let by = who.performer(tx);
        let scope = who.tenant();
        conversations::set_custom_attributes(tx, scope, &mut c, attributes, &by).await?;
        Ok(Json(json!({"custom_attributes": c.row.custom_attributes.0})))
    })
    .await
}

fn user_ids(params: &Params) -> Answer<Vec<UserId>> {
    Ok(params.ids("user_ids")?.into_iter().map(UserId).collect())
}

/// Sends what was said in a conversation to an address.
pub(super) async fn transcript(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let (id, email) = (display_id(&params)?, params.present("email"));
    app.write(async move |tx| {
        let c = conversations::find(tx, &scope, id).await?;
        let email = email.ok_or_else(|| ApiError::unprocessable("email param missing"))?;
        Ok::<_, ApiError>(mail::send_transcript(tx, &scope, &c, &email).await?)
    })
    .await?;
    Ok(done())
}

fn members_json(tx: &Tx<'_>, members: &[Member]) -> Json<Value> {
    Json(members.iter().map(|member| agent_json(tx, member)).collect())
}

/// Those who follow a conversation.
pub(super) async fn list_participants(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    app.read(async move |tx| {
        let c = conversations::find(tx, &scope, id).await?;
        let found = participants::list(tx, &scope, &c).await?;
        Ok(members_json(tx, &found))
    })
    .await
}

/// Has more members follow a conversation.
pub(super) async fn add_participants(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, users) = (display_id(&params)?, user_ids(&params));
    app.write(async move |tx| {
        let c = conversations::lock(tx, &scope, id).await?;
        let added = participants::invite(tx, &scope, &c, &users?).await?;
        Ok(members_json(tx, &added))
    })
    .await
}

/// Has exactly these members follow a conversation.
pub(super) async fn set_participants(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, users) = (display_id(&params)?, user_ids(&params));
    app.write(async move |tx| {
        let c = conversations::lock(tx, &scope, id).await?;
        let all = participants::set(tx, &scope, &c, &users?).await?;
        Ok(members_json(tx, &all))
    })
    .await
}

/// Has members follow a conversation no longer.
pub(super) async fn remove_participants(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let (id, users) = (display_id(&params)?, user_ids(&params));
    app.write(async move |tx| {
        let c = conversations::lock(tx, &scope, id).await?;
        Ok::<_, ApiError>(participants::remove(tx, &scope, &c, &users?).await?)
    })
    .await?;
    Ok(done())
}

/// What the agents of a conversation began to write.
pub(super) async fn show_draft(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    app.read(async move |tx| {
        let c = conversations::find(tx, &scope, id).await?;
        Ok(Json(match drafts::get(tx, &scope, &c).await? {
            Some(message) => json!({"has_draft": true, "message": message}),
            None => json!({"has_draft": false}),
        }))
    })
    .await
}

/// Keeps what was begun.
pub(super) async fn put_draft(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = display_id(&params)?;
    params.object_or_none("draft_message")?;
    let draft = params.record("draft_message", &["message"]).ok();
    let content = draft.and_then(|draft| draft.text("message"));
    app.write(async move |tx| {
        let c = conversations::find(tx, &scope, id).await?;
        drafts::put(tx, &scope, &c, &content.unwrap_or_default()).await
    })
    .await?;
    Ok(done())
}

/// Throws away what was begun.
pub(super) async fn delete_draft(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = display_id(&params)?;
    app.write(async move |tx| {
        let c = conversations::find(tx, &scope, id).await?;
        drafts::delete(tx, &scope, &c).await
    })
    .await?;
    Ok(done())
}
