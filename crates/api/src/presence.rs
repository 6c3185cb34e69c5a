//! Who is present, answered from memory (`realtime.md §4`). With Redis the nodes share it: what was
//! seen here is told at once, what was seen elsewhere is fetched every other second.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chatwarden_core::desk;
use chatwarden_core::ids::{AccountId, ContactId, UserId};
use chatwarden_core::rooms::Occupant;
use chatwarden_db::Timestamp;
use parking_lot::RwLock;

/// Users and contacts seen lately.
pub struct Board {
    seen: RwLock<HashMap<Group, HashMap<i64, i64>>>,
    shared: Option<Arc<dyn chatwarden_cable::Presence>>,
    windows: Windows,
}

/// How long somebody counts as present after having been seen.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    /// Users (`PRESENCE_DURATION`).
    pub users: Duration,
    /// Contacts (`CONTACT_PRESENCE_DURATION`).
    pub contacts: Duration,
}

impl Default for Windows {
    fn default() -> Self {
        Self { users: Duration::from_secs(20), contacts: Duration::from_secs(90) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Group {
    Users(AccountId),
    Contacts(AccountId),
}

impl Group {
    /// The name under which the nodes share it.
    fn name(self) -> String {
        match self {
            Self::Users(account) => format!("users:{account}"),
            Self::Contacts(account) => format!("contacts:{account}"),
        }
    }
}

fn millis(at: Timestamp) -> i64 {
    at.micros().div_euclid(1000)
}

impl Board {
    /// A board of this node alone, or one that is shared.
    pub fn new(windows: Windows, shared: Option<Arc<dyn chatwarden_cable::Presence>>) -> Self {
        Self { seen: RwLock::default(), shared, windows }
    }

    fn window(&self, group: Group) -> i64 {
        let window = match group {
            Group::Users(_) => self.windows.users,
            Group::Contacts(_) => self.windows.contacts,
        };
        i64::try_from(window.as_millis()).unwrap_or(i64::MAX)
    }

    fn note(&self, group: Group, member: i64, at: i64) {
        let mut seen = self.seen.write();
        let last = seen.entry(group).or_default().entry(member).or_insert(at);
        *last = at.max(*last);
    }

    /// Notes that somebody was seen; shared at once.
    pub async fn touch(&self, occupant: Occupant, now: Timestamp) {
        let (group, member) = match occupant {
            Occupant::User(account, user) => (Group::Users(account), user.0),
            Occupant::Contact(account, contact) => (Group::Contacts(account), contact.0),
        };
        let at = millis(now);
        self.note(group, member, at);
        if let Some(shared) = &self.shared {
            shared.touch(&group.name(), &member.to_string(), at).await;
            let account = occupant.account();
            for group in [Group::Users(account), Group::Contacts(account)] {
                self.fetch(shared.as_ref(), group, at).await;
            }
        }
    }

    /// Takes over what other nodes saw. How long ago is not told: it counts from now, and is asked again
    /// well before the window closes.
    async fn fetch(&self, shared: &dyn chatwarden_cable::Presence, group: Group, now: i64) {
        let window = self.window(group);
        let present = shared.present(&group.name(), now.saturating_sub(window), now).await;
        let mut seen = self.seen.write();
        let members = seen.entry(group).or_default();
        let present: Vec<i64> = present.iter().filter_map(|member| member.parse().ok()).collect();
        members.retain(|member, _| present.contains(member));
        for member in present {
            members.entry(member).or_insert(now);
        }
    }

    /// Drops who is gone and fetches what the other nodes saw; to be called every other second.
    pub async fn refresh(&self, now: Timestamp) {
        let now = millis(now);
        let groups: Vec<Group> = {
            let mut seen = self.seen.write();
            for (group, members) in seen.iter_mut() {
                let since = now.saturating_sub(self.window(*group));
                members.retain(|_, at| *at >= since);
            }
            if self.shared.is_none() {
                seen.retain(|_, members| !members.is_empty());
            }
            seen.keys().copied().collect()
        };
        if let Some(shared) = &self.shared {
            for group in groups {
                self.fetch(shared.as_ref(), group, now).await;
            }
        }
    }

    fn is_present(&self, group: Group, member: i64, now: Timestamp) -> bool {
        let since = millis(now).saturating_sub(self.window(group));
        self.seen
            .read()
            .get(&group)
            .and_then(|members| members.get(&member))
            .is_some_and(|at| *at >= since)
    }

    fn present(&self, group: Group, now: Timestamp) -> Vec<i64> {
        let since = millis(now).saturating_sub(self.window(group));
        let seen = self.seen.read();
        let members = seen.get(&group).into_iter().flatten();
        members.filter(|(_, at)| **at >= since).map(|(member, _)| *member).collect()
    }
}

impl desk::Presence for Board {
    fn user_online(&self, account: AccountId, user: UserId, now: Timestamp) -> bool {
        self.is_present(Group::Users(account), user.0, now)
    }

    fn contact_online(&self, account: AccountId, contact: ContactId, now: Timestamp) -> bool {
        self.is_present(Group::Contacts(account), contact.0, now)
    }

    fn users(&self, account: AccountId, now: Timestamp) -> Vec<UserId> {
        self.present(Group::Users(account), now).into_iter().map(UserId).collect()
    }

    fn contacts(&self, account: AccountId, now: Timestamp) -> Vec<ContactId> {
        self.present(Group::Contacts(account), now).into_iter().map(ContactId).collect()
    }
}

#[cfg(test)]
mod tests {
    use chatwarden_core::desk::Presence as _;

    use super::*;

    #[tokio::test]
    async fn forgets_who_was_not_seen_for_the_window() {
        let board = Board::new(Windows::default(), None);
        let (account, noon) = (AccountId(1), Timestamp::from_unix(1_767_614_400));
        board.touch(Occupant::User(account, UserId(7)), noon).await;
        board.touch(Occupant::Contact(account, ContactId(7)), noon).await;
        let check = |seconds: i64, user: bool, contact: bool| {
            let now = noon.plus_seconds(seconds);
            assert_eq!(board.user_online(account, UserId(7), now), user, "user after {seconds} s");
            assert_eq!(
                board.contact_online(account, ContactId(7), now),
                contact,
                "contact after {seconds} s"
            );
        };
        check(0, true, true);
        check(20, true, true);
        check(21, false, true);
        check(90, false, true);
        check(91, false, false);
        assert!(!board.user_online(AccountId(2), UserId(7), noon), "of another account");
        board.refresh(noon.plus_seconds(50)).await;
        assert_eq!(board.users(account, noon), []);
        assert_eq!(board.contacts(account, noon), [ContactId(7)]);
    }
}
