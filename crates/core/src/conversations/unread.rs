//! Telling that the counts of unread conversations changed (`realtime.md §6.3`).

use chatwarden_db::WriteTx;
use serde_json::json;

use super::{Conversation, ConversationRow, Status};
use crate::events::{self, Audience, Event, Performer};
use crate::ids::{InboxId, TeamId, UserId};
use crate::scope::Scope;

/// What a conversation is counted under.
type Places<'a> = (InboxId, Option<TeamId>, Option<UserId>, &'a [String]);

/// Where an unread conversation is counted; nowhere one that is not open, or that was read.
fn counted(row: &ConversationRow) -> Option<Places<'_>> {
    let unread = row.status == Status::Open && row.unread_count > 0;
    unread.then_some((row.inbox_id, row.team_id, row.assignee_id, row.labels.0.as_slice()))
}

/// What else saved filters ask of a conversation, and lists of what a member has to do with.
fn filtered(row: &ConversationRow) -> impl PartialEq {
    (
        (row.priority, row.snoozed_until, row.waiting_since, row.first_reply_created_at),
        (&row.custom_attributes, &row.additional_attributes),
    )
}

/// Tells of a conversation that is counted otherwise than `before`, in accounts that have such counts shown.
pub(crate) fn tell_changed(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    before: &ConversationRow,
    by: &Performer,
) {
    let otherwise = c.inbox.counts_filters() && filtered(before) != filtered(&c.row);
    if otherwise || counted(before) != counted(&c.row) {
        tell(tx, scope, c, by);
    }
}

/// Tells of what the conversation's row doesn't say, in accounts that have saved filters counted: of a message, of who
/// follows.
pub(crate) fn tell_filtered(tx: &mut WriteTx<'_>, scope: &Scope, c: &Conversation) {
    if c.inbox.counts_filters() {
        tell(tx, scope, c, &Performer::System);
    }
}

/// Tells of a conversation that is no more.
pub(super) fn tell_gone(tx: &mut WriteTx<'_>, scope: &Scope, c: &Conversation, by: &Performer) {
    if counted(&c.row).is_some() {
        tell(tx, scope, c, by);
    }
}

fn tell(tx: &mut WriteTx<'_>, scope: &Scope, c: &Conversation, by: &Performer) {
    if c.inbox.counts_unread() {
        let audience = Audience::inbox(scope, c.row.inbox_id);
        let event = Event::new("conversation.unread_count_changed", audience).by(by);
        events::emit(tx, scope, &event, &json!({}));
    }
}
