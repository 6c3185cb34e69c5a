//! Who is present, answered from memory (`realtime.md §4`). With Redis the nodes share it: what was
//! seen here is told at once, what was seen elsewhere is fetched every other second, for all accounts
//! at once. So every node knows everybody, also in accounts that none of its own sockets belongs to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chatwarden_core::desk;
use chatwarden_core::ids::{AccountId, ContactId, UserId};
use chatwarden_core::rooms::Occupant;
use chatwarden_db::Timestamp;
use parking_lot::{Mutex, RwLock};

/// What was told longer than this before the last fetch was fetched then: as far as the nodes' clocks
/// may be apart.
const OVERLAP_MS: i64 = 10_000;

/// The names under which the nodes share who they saw.
const USERS: &str = "users";
const CONTACTS: &str = "contacts";

/// Users and contacts seen lately.
pub struct Board {
    seen: RwLock<HashMap<Group, HashMap<i64, i64>>>,
    shared: Option<Arc<dyn chatwarden_cable::Presence>>,
    /// When the others were last asked.
    fetched: Mutex<Option<i64>>,
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
    /// The name of a member, as the nodes share it.
    fn shared(self, member: i64) -> (&'static str, String) {
        match self {
            Self::Users(account) => (USERS, format!("{account}:{member}")),
            Self::Contacts(account) => (CONTACTS, format!("{account}:{member}")),
        }
    }
}

/// The account and the member of a shared name.
fn parsed(name: &str) -> Option<(AccountId, i64)> {
    let (account, member) = name.split_once(':')?;
    Some((AccountId(account.parse().ok()?), member.parse().ok()?))
}

fn millis(at: Timestamp) -> i64 {
    at.micros().div_euclid(1000)
}

impl Board {
    /// A board of this node alone, or one that is shared.
    pub fn new(windows: Windows, shared: Option<Arc<dyn chatwarden_cable::Presence>>) -> Self {
        Self { seen: RwLock::default(), shared, fetched: Mutex::new(None), windows }
    }

    fn window(&self, group: Group) -> i64 {
        let window = match group {
            Group::Users(_) => self.windows.users,
            Group::Contacts(_) => self.windows.contacts,
        };
        i64::try_from(window.as_millis()).unwrap_or(i64::MAX)
    }

    fn note(&self, noted: impl Iterator<Item = (Group, i64, i64)>) {
        let mut seen = self.seen.write();
        for (group, member, at) in noted {
            let last = seen.entry(group).or_default().entry(member).or_insert(at);
            *last = at.max(*last);
        }
    }

    /// Notes that somebody was seen; told to the other nodes at once.
    pub async fn touch(&self, occupant: Occupant, now: Timestamp) {
        let (group, member) = match occupant {
            Occupant::User(account, user) => (Group::Users(account), user.0),
            Occupant::Contact(account, contact) => (Group::Contacts(account), contact.0),
        };
        let at = millis(now);
        self.note(std::iter::once((group, member, at)));
        if let Some(shared) = &self.shared {
            let (group, member) = group.shared(member);
            shared.touch(group, &member, at).await;
        }
    }

    /// Drops who is gone and fetches whom the other nodes saw; to be called when a node starts and
    /// every other second.
    pub async fn refresh(&self, now: Timestamp) {
        let now = millis(now);
        self.seen.write().retain(|group, members| {
            let since = now.saturating_sub(self.window(*group));
            members.retain(|_, at| *at >= since);
            !members.is_empty()
        });
        let Some(shared) = &self.shared else { return };
        // Any account: the windows are those of the kinds.
        let nobody = AccountId(0);
        let last = self.fetched.lock().map_or(i64::MIN, |at| at.saturating_sub(OVERLAP_MS));
        let since = |group: Group| now.saturating_sub(self.window(group)).max(last);
        let groups =
            [(USERS, since(Group::Users(nobody))), (CONTACTS, since(Group::Contacts(nobody)))];
        let Some(found) = shared.seen(&groups, now).await else { return };
        let makers: [fn(AccountId) -> Group; 2] = [Group::Users, Group::Contacts];
        self.note(makers.iter().zip(found).flat_map(|(make, members)| {
            members.into_iter().filter_map(move |(name, at)| {
                let (account, member) = parsed(&name)?;
                Some((make(account), member, at))
            })
        }));
        *self.fetched.lock() = Some(now);
    }

    fn is_present(&self, group: Group, member: i64, now: Timestamp) -> bool {
        let since = millis(now).saturating_sub(self.window(group));
        self.seen
            .read()
            .get(&group)
            .and_then(|members| members.get(&member))
            .is_some_and(|at| *at >= since)
    }

    /// How many users, each once, and how many contacts are present in all accounts.
    pub fn present_everywhere(&self, now: Timestamp) -> (usize, usize) {
        let now = millis(now);
        let seen = self.seen.read();
        let (mut users, mut contacts) = (HashSet::new(), 0);
        for (group, members) in &*seen {
            let since = now.saturating_sub(self.window(*group));
            let present = members.iter().filter(|(_, at)| **at >= since);
            match group {
                Group::Users(_) => users.extend(present.map(|(member, _)| *member)),
                Group::Contacts(_) => contacts += present.count(),
            }
        }
        (users.len(), contacts)
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
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use chatwarden_core::desk::Presence as _;

    use super::*;

    const ACCOUNT: AccountId = AccountId(1);
    const NOON: Timestamp = Timestamp::from_unix(1_767_614_400);

    /// What nodes share, in memory; counts what it costs.
    #[derive(Default)]
    struct Shared {
        groups: Mutex<HashMap<String, HashMap<String, i64>>>,
        round_trips: AtomicUsize,
        away: AtomicBool,
    }

    #[async_trait::async_trait]
    impl chatwarden_cable::Presence for Shared {
        async fn touch(&self, group: &str, member: &str, now_ms: i64) {
            self.round_trips.fetch_add(1, Ordering::SeqCst);
            if !self.away.load(Ordering::SeqCst) {
                let mut groups = self.groups.lock();
                groups.entry(group.to_owned()).or_default().insert(member.to_owned(), now_ms);
            }
        }

        async fn seen(&self, groups: &[(&str, i64)], _: i64) -> Option<Vec<Vec<(String, i64)>>> {
            self.round_trips.fetch_add(1, Ordering::SeqCst);
            if self.away.load(Ordering::SeqCst) {
                return None;
            }
            let known = self.groups.lock();
            let of = |(group, since): &(&str, i64)| {
                let members = known.get(*group).into_iter().flatten();
                let members = members.filter(|(_, at)| *at >= since);
                members.map(|(member, at)| (member.clone(), *at)).collect()
            };
            Some(groups.iter().map(of).collect())
        }
    }

    fn two_nodes() -> (Arc<Shared>, Board, Board) {
        let shared = Arc::new(Shared::default());
        let node = || Board::new(Windows::default(), Some(shared.clone()));
        let (here, there) = (node(), node());
        (shared, here, there)
    }

    #[tokio::test]
    async fn forgets_who_was_not_seen_for_the_window() {
        let board = Board::new(Windows::default(), None);
        board.touch(Occupant::User(ACCOUNT, UserId(7)), NOON).await;
        board.touch(Occupant::Contact(ACCOUNT, ContactId(7)), NOON).await;
        let check = |seconds: i64, user: bool, contact: bool| {
            let now = NOON.plus_seconds(seconds);
            assert_eq!(board.user_online(ACCOUNT, UserId(7), now), user, "user after {seconds} s");
            assert_eq!(
                board.contact_online(ACCOUNT, ContactId(7), now),
                contact,
                "contact after {seconds} s"
            );
        };
        check(0, true, true);
        check(20, true, true);
        check(21, false, true);
        check(90, false, true);
        check(91, false, false);
        assert!(!board.user_online(AccountId(2), UserId(7), NOON), "of another account");
        board.refresh(NOON.plus_seconds(50)).await;
        assert_eq!(board.users(ACCOUNT, NOON), []);
        assert_eq!(board.contacts(ACCOUNT, NOON), [ContactId(7)]);
    }

    #[tokio::test]
    async fn who_is_present_in_several_accounts_is_one_person() {
        let board = Board::new(Windows::default(), None);
        for account in [AccountId(1), AccountId(2)] {
            board.touch(Occupant::User(account, UserId(7)), NOON).await;
            board.touch(Occupant::Contact(account, ContactId(7)), NOON).await;
        }
        assert_eq!(board.present_everywhere(NOON), (1, 2));
        assert_eq!(board.present_everywhere(NOON.plus_seconds(21)), (0, 2));
        assert_eq!(board.present_everywhere(NOON.plus_seconds(91)), (0, 0));
    }

    #[tokio::test]
    async fn a_node_without_sockets_knows_who_is_at_the_others() {
        let (shared, here, there) = two_nodes();
        here.touch(Occupant::User(ACCOUNT, UserId(7)), NOON).await;
        here.touch(Occupant::Contact(ACCOUNT, ContactId(9)), NOON).await;
        assert_eq!(shared.round_trips.load(Ordering::SeqCst), 2, "one a touch");
        there.refresh(NOON).await;
        assert_eq!(shared.round_trips.load(Ordering::SeqCst), 3, "one for everybody");
        assert!(there.user_online(ACCOUNT, UserId(7), NOON.plus_seconds(20)));
        assert!(!there.user_online(ACCOUNT, UserId(7), NOON.plus_seconds(21)), "seen at noon");
        assert_eq!(there.contacts(ACCOUNT, NOON), [ContactId(9)]);
        assert!(!there.user_online(AccountId(2), UserId(7), NOON), "of another account");
    }

    #[tokio::test]
    async fn what_was_missed_while_the_others_could_not_be_asked_is_caught_up() {
        let (shared, here, there) = two_nodes();
        there.refresh(NOON).await;
        here.touch(Occupant::Contact(ACCOUNT, ContactId(9)), NOON).await;
        shared.away.store(true, Ordering::SeqCst);
        there.refresh(NOON.plus_seconds(30)).await;
        assert_eq!(there.contacts(ACCOUNT, NOON.plus_seconds(30)), []);
        shared.away.store(false, Ordering::SeqCst);
        there.refresh(NOON.plus_seconds(60)).await;
        assert_eq!(there.contacts(ACCOUNT, NOON.plus_seconds(60)), [ContactId(9)]);
    }
}
