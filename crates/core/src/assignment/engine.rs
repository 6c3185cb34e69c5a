//! Hands out what nobody has: to who sits at the inbox, is there, and waited the longest for a turn.
//!
//! Whose turn it is is a matter of rows, under the lock of the inbox's: nodes agree.

use std::collections::HashMap;

use chatwarden_db::{DbError, Timestamp, WriteTx, args};
use chatwarden_jobs::outbox::Stored;
use chatwarden_jobs::{Every, Job, JobError, NewJob, Schedule, enqueue_all};
use serde_json::{Value, json};

use super::{Priority, Ruled, sql};
use crate::Store;
use crate::conversations;
use crate::error::{Error, Result};
use crate::events::Performer;
use crate::ids::{AccountId, ConversationId, InboxId, UserId};
use crate::scope::Scope;
use crate::users::{Availability, Member};

/// The kind of the job that hands out the conversations of an inbox.
pub const JOB: &str = "assignment.run";
/// The kind of the job that looks for inboxes in which somebody waits.
pub const SWEEP: &str = "assignment.sweep";
/// Who waited for somebody to come is not forgotten.
pub const HOURLY: Schedule =
    Schedule { name: "assignment.sweep", every: Every::Seconds(30 * 60), kind: SWEEP };
/// The conversations that are handed out in one transaction.
const MOST: i64 = 10;
/// The turns of who goes by no policy: so many in so many seconds.
const FAIR: (i64, i64) = (5, 300);
/// The hours after which a conversation is left alone, where no policy says otherwise.
const OLD: i64 = 168;

fn job(account: i64, inbox: i64) -> NewJob {
    NewJob::new(account, JOB, json!({"inbox_id": inbox}))
}

/// The job of an event after which there may be something to hand out: a conversation opened, or an agent is done
/// with one.
pub fn jobs_for(stored: &Stored) -> Option<NewJob> {
    let context = &stored.entry.context;
    let matters = match stored.entry.event.as_str() {
        "conversation.created" => {
            context.get("status") == Some(&json!("open"))
                && context.get("assignee_id") == Some(&Value::Null)
        }
        "conversation.status_changed" => context.get("status") != Some(&json!("pending")),
        _ => false,
    };
    let inbox = context.get("hands_out").and_then(Value::as_i64).filter(|_| matters)?;
    Some(job(stored.entry.account_id, inbox).unique(format!("assign:{}", stored.id)))
}

fn again(error: Error) -> JobError {
    JobError::Retry(error.to_string())
}

/// Has the conversations of every inbox handed out in which somebody waits.
///
/// # Errors
/// [`JobError::Retry`] where the database is away.
pub async fn sweep(store: Store, _: Job) -> Result<(), JobError> {
    // The search may be long: it is not the writer's.
    let found = store
        .read(async move |tx| tx.all(&sql::WAITED_AT, args![]).await)
        .await
        .map_err(|error: DbError| JobError::Retry(error.to_string()))?;
    let jobs: Vec<NewJob> = found
        .into_iter()
        .map(|(account, inbox)| job(account, inbox).unique(format!("assign:at:{inbox}")))
        .collect();
    store.write(async move |tx| Ok(enqueue_all(tx, &jobs).await.map(drop)?)).await.map_err(again)
}

/// Hands out the conversations of the job's inbox.
///
/// # Errors
/// [`JobError::Retry`] where the database is away.
pub async fn run(store: Store, job: Job) -> Result<(), JobError> {
    let Some(inbox) = job.payload.get("inbox_id").and_then(Value::as_i64).map(InboxId) else {
        return Ok(());
    };
    let account = AccountId(job.account_id);
    loop {
        let more = store
            .write(async move |tx| hand_out(tx, &Scope::of_job(account), inbox).await)
            .await
            .map_err(again)?;
        if !more {
            return Ok(());
        }
    }
}

/// Who may be given something, and how much more.
struct Candidate {
    member: Member,
    /// How many more within the window.
    left: i64,
    /// The last turn: who had none comes first.
    last: i64,
}

/// Hands out some of the conversations that wait at an inbox; whether there may be more to hand out.
async fn hand_out(tx: &mut WriteTx<'_>, scope: &Scope, inbox: InboxId) -> Result<bool> {
    let (account, now) = (scope.account_id(), tx.now());
    let Some(ruled) = tx.opt(&sql::RULED, args![account, inbox]).await? else { return Ok(false) };
    if !ruled.hands_out {
        return Ok(false);
    }
    let rules = Rules::of(ruled, now);
    let seated = tx.all(&sql::SEATED, args![account, inbox]).await?;
    let there: Vec<Member> = seated
        .into_iter()
        .map(Member::from)
        .filter(|member| member.availability_status(tx) == Availability::Online)
        .collect();
    if there.is_empty() {
        return Ok(false);
    }
    let since = now.plus_seconds(-rules.window);
    let turns = tx.all(&sql::TURNS, args![account, inbox, since]).await?;
    let turns: HashMap<i64, (i64, i64)> =
        turns.into_iter().map(|(user, count, last)| (user, (count, last))).collect();
    let mut candidates: Vec<Candidate> = there
        .into_iter()
        .map(|member| {
            let (count, last) = turns.get(&member.id.0).copied().unwrap_or_default();
            Candidate { member, left: rules.limit - count, last }
        })
        .filter(|candidate| candidate.left > 0)
        .collect();
    if candidates.is_empty() {
        return Ok(false);
    }
    let able: Vec<i64> = candidates.iter().map(|it| it.member.id.0).collect();
    let found = if rules.longest_first { &sql::WAITING_LONGEST } else { &sql::WAITING };
    let waiting = tx.all(found, args![account, inbox, rules.active_since, able, MOST]).await?;
    let teams: Vec<i64> = waiting.iter().filter_map(|(_, team)| *team).collect();
    let in_teams = if teams.is_empty() {
        Vec::new()
    } else {
        tx.all(&sql::TEAM_MEMBERS, args![account, teams]).await?
    };
    let by = Performer::Policy(rules.says);
    let full = i64::try_from(waiting.len()) == Ok(MOST);
    // Those that wait no longer: the next round finds others in their place.
    let mut off = 0;
    let mut turn = candidates.iter().map(|it| it.last).max().unwrap_or_default();
    for (id, team) in waiting {
        let in_team = |user: UserId| team.is_none_or(|team| in_teams.contains(&(team, user.0)));
        let next = candidates
            .iter_mut()
            .filter(|it| it.left > 0 && in_team(it.member.id))
            .min_by_key(|it| it.last);
        let Some(next) = next else { continue };
        if tx.opt(&sql::STILL_WAITING, args![account, id]).await?.is_none() {
            off += 1;
            continue;
        }
        let Some(mut c) = conversations::sql::get(tx, scope, ConversationId(id)).await? else {
            continue;
        };
        conversations::assign(tx, scope, &mut c, Some(&next.member), &by).await?;
        tx.run(&sql::TAKE_TURN, args![account, inbox, next.member.id, now]).await?;
        turn += 1;
        off += 1;
        (next.left, next.last) = (next.left - 1, turn);
    }
    tx.run(&sql::FORGET, args![account, inbox, since]).await?;
    Ok(full && off > 0)
}

/// The rules that an inbox goes by.
struct Rules {
    limit: i64,
    window: i64,
    longest_first: bool,
    active_since: Timestamp,
    /// By whom, in what is said of an assignment.
    says: String,
}

impl Rules {
    /// Those of its policy, where that counts.
    fn of(ruled: Ruled, now: Timestamp) -> Self {
        let hours_ago = |hours: i64| now.plus_seconds(-hours.saturating_mul(3600));
        match (ruled.enabled, ruled.name) {
            (Some(true), Some(name)) => Self {
                limit: ruled.fair_distribution_limit.unwrap_or(FAIR.0),
                window: ruled.fair_distribution_window.unwrap_or(FAIR.1),
                longest_first: ruled.conversation_priority == Some(Priority::LongestWaiting),
                active_since: ruled.exclude_older_than_hours.map_or(sql::EVER, hours_ago),
                says: format!("Automation System via {name}"),
            },
            _ => Self {
                limit: FAIR.0,
                window: FAIR.1,
                longest_first: false,
                active_since: hours_ago(OLD),
                says: "Default Policy".to_owned(),
            },
        }
    }
}
