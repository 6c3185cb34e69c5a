//! What can be filtered by.

use super::Operator::{
    Contains, DaysBefore, DoesNotContain, EqualTo, IsGreaterThan, IsLessThan, IsNotPresent,
    IsPresent, NotEqualTo, StartsWith,
};
use super::{Attribute, Kept, Model, Operator};
use crate::conversations::{Priority, Status};

const SAME: &[Operator] = &[EqualTo, NotEqualTo];
const HELD: &[Operator] = &[EqualTo, NotEqualTo, IsPresent, IsNotPresent];
const READ: &[Operator] = &[EqualTo, NotEqualTo, Contains, DoesNotContain];
const DIALLED: &[Operator] = &[EqualTo, NotEqualTo, Contains, DoesNotContain, StartsWith];
const TIMED: &[Operator] = &[IsGreaterThan, IsLessThan, DaysBefore];

const fn of(key: &'static str, operators: &'static [Operator], kept: Kept) -> Attribute {
    Attribute { key, operators, kept }
}

fn status(name: &str) -> Option<i64> {
    Status::named(name).map(Status::integer)
}

fn priority(name: &str) -> Option<i64> {
    Priority::named(name).map(Priority::integer)
}

/// A text of a document.
macro_rules! within {
    ($document:literal, $key:literal) => {
        Kept::Text(concat!("cast(", $document, ".additional_attributes ->> '", $key, "' as text)"))
    };
}

/// A column of integers.
macro_rules! integer {
    ($column:literal) => {
        Kept::Integer($column, concat!("cast(", $column, " as text)"))
    };
}

/// Conversations, as `c`.
pub static CONVERSATIONS: Model = Model {
    attributes: &[
        of("status", SAME, Kept::Named("c.status", status)),
        of("assignee_id", HELD, integer!("c.assignee_id")),
        of("inbox_id", HELD, integer!("c.inbox_id")),
        of("team_id", HELD, integer!("c.team_id")),
        of("contact_id", SAME, integer!("c.contact_id")),
        of("priority", SAME, Kept::Named("c.priority", priority)),
        of("display_id", READ, integer!("c.display_id")),
        of("campaign_id", HELD, integer!("c.campaign_id")),
        of("labels", HELD, Kept::Labels("c.labels")),
        of("browser_language", SAME, within!("c", "browser_language")),
        of("conversation_language", SAME, within!("c", "conversation_language")),
        of("referer", READ, within!("c", "referer")),
        of("created_at", TIMED, Kept::Moment("c.created_at")),
        of("last_activity_at", TIMED, Kept::Moment("c.last_activity_at")),
        of("mail_subject", READ, within!("c", "mail_subject")),
    ],
    custom: "c.custom_attributes",
    first_value_alone: false,
    lower_labels: false,
};

/// Contacts, as `ct`.
pub static CONTACTS: Model = Model {
    attributes: &[
        of("name", READ, Kept::Text("ct.name")),
        of("phone_number", DIALLED, Kept::Phone("ct.phone_number")),
        of("email", READ, Kept::Text("ct.email")),
        of("identifier", SAME, Kept::Text("ct.identifier")),
        of("country_code", SAME, within!("ct", "country_code")),
        of("city", READ, within!("ct", "city")),
        of("company_name", READ, within!("ct", "company_name")),
        of("labels", HELD, Kept::Labels("ct.labels")),
        of("created_at", TIMED, Kept::Moment("ct.created_at")),
        of("last_activity_at", TIMED, Kept::Moment("ct.last_activity_at")),
        of("blocked", SAME, Kept::Flag("ct.blocked")),
    ],
    custom: "ct.custom_attributes",
    first_value_alone: true,
    lower_labels: true,
};
