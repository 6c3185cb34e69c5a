//! The orders of a list, and the stretches along an index that each falls into.

/// The order of a list (`behaviours.md §5`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// The one that lay still for longest first.
    LastActivityAsc,
    /// The one that moved last first.
    #[default]
    LastActivityDesc,
    /// The oldest first.
    CreatedAsc,
    /// The newest first.
    CreatedDesc,
    /// The least urgent first, those without a priority last.
    PriorityAsc,
    /// The most urgent first.
    PriorityDesc,
    /// The most urgent first, and of those the oldest.
    PriorityDescCreatedAsc,
    /// Whose contact waits for longest first, where nobody waits last.
    WaitingAsc,
    /// Whose contact began to wait last first.
    WaitingDesc,
    /// The one with most to read first.
    Unread,
}

impl Sort {
    /// The order of a name, old names included; the ordinary one for what is none.
    pub fn named(name: &str) -> Self {
        match name {
            "last_activity_at_asc" => Self::LastActivityAsc,
            "created_at_asc" | "sort_on_created_at" => Self::CreatedAsc,
            "created_at_desc" => Self::CreatedDesc,
            "priority_asc" => Self::PriorityAsc,
            "priority_desc" | "sort_on_priority" => Self::PriorityDesc,
            "priority_desc_created_at_asc" => Self::PriorityDescCreatedAsc,
            "waiting_since_asc" | "sort_on_waiting_since" => Self::WaitingAsc,
            "waiting_since_desc" => Self::WaitingDesc,
            "unread" => Self::Unread,
            _ => Self::LastActivityDesc,
        }
    }

    /// The parts that the order falls into, each along an index.
    pub(super) fn parts(self) -> &'static [Part] {
        match self {
            Self::LastActivityAsc => ACTIVITY_ASC,
            Self::LastActivityDesc => ACTIVITY_DESC,
            Self::CreatedAsc => CREATED_ASC,
            Self::CreatedDesc => CREATED_DESC,
            Self::PriorityAsc => PRIORITY_ASC,
            Self::PriorityDesc => PRIORITY_DESC,
            Self::PriorityDescCreatedAsc => PRIORITY_DESC_CREATED_ASC,
            Self::WaitingAsc => WAITING_ASC,
            Self::WaitingDesc => WAITING_DESC,
            Self::Unread => UNREAD,
        }
    }

    /// Whether the indexes by inbox, assignee and team have this order too.
    pub(super) fn by_activity(self) -> bool {
        matches!(self, Self::LastActivityAsc | Self::LastActivityDesc)
    }
}

/// A stretch of an order: what belongs to it, the keys that put it among the others (smallest first), and its own
/// order. A column that the condition holds still is named in the order too where it may be null: PostgreSQL
/// knows the index by that.
pub(super) struct Part {
    pub(super) condition: &'static str,
    pub(super) keys: &'static str,
    pub(super) order: &'static str,
}

const ACTIVITY_ASC: &[Part] = &[Part {
    condition: "",
    keys: "0 as k0, c.last_activity_at as k1, c.id as k2",
    order: "c.last_activity_at, c.id",
}];
const ACTIVITY_DESC: &[Part] = &[Part {
    condition: "",
    keys: "0 as k0, - c.last_activity_at as k1, - c.id as k2",
    order: "c.last_activity_at desc, c.id desc",
}];
const CREATED_ASC: &[Part] = &[Part {
    condition: "",
    keys: "0 as k0, c.created_at as k1, c.id as k2",
    order: "c.created_at, c.id",
}];
const CREATED_DESC: &[Part] = &[Part {
    condition: "",
    keys: "0 as k0, - c.created_at as k1, - c.id as k2",
    order: "c.created_at desc, c.id desc",
}];
const UNREAD: &[Part] = &[Part {
    condition: "",
    keys: "- c.unread_count as k0, - c.last_activity_at as k1, - c.id as k2",
    order: "c.unread_count desc, c.last_activity_at desc, c.id desc",
}];

macro_rules! of_priority {
    ($rank:literal, $condition:literal) => {
        Part {
            condition: concat!(" and c.priority ", $condition),
            keys: concat!($rank, " as k0, - c.last_activity_at as k1, - c.id as k2"),
            order: "c.priority desc, c.last_activity_at desc, c.id desc",
        }
    };
}
const PRIORITY_ASC: &[Part] = &[
    of_priority!("0", "= 0"),
    of_priority!("1", "= 1"),
    of_priority!("2", "= 2"),
    of_priority!("3", "= 3"),
    of_priority!("4", "is null"),
];
const PRIORITY_DESC: &[Part] = &[
    of_priority!("0", "= 3"),
    of_priority!("1", "= 2"),
    of_priority!("2", "= 1"),
    of_priority!("3", "= 0"),
    of_priority!("4", "is null"),
];

macro_rules! oldest_of_priority {
    ($rank:literal, $condition:literal) => {
        Part {
            condition: concat!(" and c.priority ", $condition),
            keys: concat!($rank, " as k0, c.created_at as k1, c.id as k2"),
            order: "c.priority, c.created_at, c.id",
        }
    };
}
const PRIORITY_DESC_CREATED_ASC: &[Part] = &[
    oldest_of_priority!("0", "= 3"),
    oldest_of_priority!("1", "= 2"),
    oldest_of_priority!("2", "= 1"),
    oldest_of_priority!("3", "= 0"),
    oldest_of_priority!("4", "is null"),
];

const NOBODY_WAITS: Part = Part {
    condition: " and c.waiting_since is null",
    keys: "1 as k0, c.created_at as k1, c.id as k2",
    order: "c.waiting_since, c.created_at, c.id",
};
const WAITING_ASC: &[Part] = &[
    Part {
        condition: " and c.waiting_since is not null",
        keys: "0 as k0, c.waiting_since as k1, c.created_at as k2",
        order: "c.waiting_since, c.created_at, c.id",
    },
    NOBODY_WAITS,
];
const WAITING_DESC: &[Part] = &[
    Part {
        // Not "is not null": from the end, PostgreSQL's index begins with the nulls.
        condition: " and c.waiting_since > 0",
        keys: "0 as k0, - c.waiting_since as k1, - c.created_at as k2",
        order: "c.waiting_since desc, c.created_at desc, c.id desc",
    },
    NOBODY_WAITS,
];
