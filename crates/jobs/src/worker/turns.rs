//! Whose turn it is: tenants share a queue fairly, whatever one of them has put into it.
//!
//! A worker goes through the tenants in rounds. In a round each tenant with something ready gets one
//! job done, the longest waiting first; who comes during a round is still served in it. So a tenant waits
//! one round at most, and never behind another's ten thousand jobs. A round looks at 64 tenants
//! at a time, so its work is bounded in how many there are, too.

use std::collections::HashMap;

use chatwarden_db::{DbError, Engine, Timestamp, WriteTx, args};

use crate::queue::sql::{self, Claimed};

/// Below every account.
const START: i64 = i64::MIN;

/// How far a round has come.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    /// The round is at the tenants above this.
    after: i64,
    /// Those of them who were served.
    served: Vec<i64>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { after: START, served: Vec::new() }
    }
}

/// A request for jobs.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub queue: &'static str,
    pub holder: String,
    pub until: Timestamp,
    /// So many at most.
    pub limit: usize,
    /// How many of a tenant may run at once, with how many of each do.
    pub share: Share,
}

/// How much of a queue's workers one tenant may have: the others must find one free when they come.
#[derive(Debug, Clone, Default)]
pub(super) struct Share {
    pub most: usize,
    pub running: HashMap<i64, usize>,
}

impl Share {
    /// Of `slots` workers a tenant has three quarters at most, and one at least.
    pub(super) fn of(slots: usize) -> usize {
        slots.saturating_sub((slots / 4).max(1)).max(1)
    }

    fn taken(&self) -> impl Iterator<Item = i64> {
        self.running.iter().filter(|(_, n)| **n >= self.most).map(|(account, _)| *account)
    }
}

/// What a claim gave.
#[derive(Debug)]
pub(super) struct Claim {
    pub jobs: Vec<Claimed>,
    pub turns: Turns,
    /// Nothing was got although there is something: others were at it in the same moment.
    pub contended: bool,
}

impl Turns {
    /// Claims jobs: goes on with the round, and begins new ones until the wish is granted or nothing
    /// is ready.
    pub(super) async fn claim(
        mut self,
        tx: &mut WriteTx<'_>,
        wish: Wish,
    ) -> Result<Claim, DbError> {
        let Wish { queue, holder, until, limit, mut share } = wish;
        let now = tx.now();
        let mut jobs: Vec<Claimed> = Vec::new();
        loop {
            let left = limit.saturating_sub(jobs.len());
            let asked = i64::try_from(left).unwrap_or(i64::MAX);
            let passed: Vec<i64> = self.served.iter().copied().chain(share.taken()).collect();
            let args = args![queue, self.after, passed, now, holder, until, asked];
            let mut got = tx.all(&sql::CLAIM, args).await?;
            // The statement gives them in no order.
            got.sort_by_key(|job| (job.run_at, job.id));
            for job in &got {
                *share.running.entry(job.account_id).or_default() += 1;
            }
            let (found, fresh) = (got.len(), self.served.is_empty());
            self.served.extend(got.iter().map(|job| job.account_id));
            jobs.extend(got);
            if found >= left {
                break;
            }
            // All of these tenants had their turn.
            self.served.clear();
            if found == 0 && fresh {
                if self.after == START {
                    break;
                }
                self.after = START;
                continue;
            }
            let (end,) = tx.one(&sql::CLAIM_END, args![queue, self.after]).await?;
            self.after = end.unwrap_or(START);
        }
        // SQLite has one writer.
        let mut contended = false;
        if jobs.is_empty() && tx.engine() == Engine::Postgres {
            let passed: Vec<i64> = share.taken().collect();
            contended = tx.one(&sql::CLAIM_LEFT, args![queue, START, passed]).await?.0 > 0;
        }
        Ok(Claim { jobs, turns: self, contended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_leaves_a_worker_to_others() {
        let check = |slots, expected| assert_eq!(Share::of(slots), expected, "of {slots}");
        check(0, 1);
        check(1, 1);
        check(2, 1);
        check(3, 2);
        check(4, 3);
        check(8, 6);
        check(100, 75);
    }
}
