//! `tenants`: whether accounts are apart (operations.md §3.3).

use std::time::Duration;

use async_trait::async_trait;
use chatwarden_core::accounts::walls::{self, Walls};
use chatwarden_db::Db;
use chatwarden_telemetry::health::{Check, Outcome};

/// Looks for what is one account's as another.
pub struct Tenants(pub Db);

#[async_trait]
impl Check for Tenants {
    fn id(&self) -> &'static str {
        "tenants"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn groups(&self) -> &'static [&'static str] {
        &["deploy"]
    }

    fn failures_to_down(&self) -> u32 {
        1
    }

    fn when_failing(&self, reason: String) -> Outcome {
        Outcome::unknown(reason)
    }

    async fn check(&mut self) -> Outcome {
        // That the database is away is its own check's to say.
        match self.0.read(async |tx| walls::look(tx).await).await {
            Err(error) => Outcome::unknown(error.to_string()),
            Ok(walls) => judge(walls),
        }
    }
}

fn judge(Walls { compared, breached }: Walls) -> Outcome {
    let outcome =
        if breached { Outcome::down("an account sees what is another's") } else { Outcome::up() };
    outcome.with("compared", compared)
}

#[cfg(test)]
mod tests {
    use chatwarden_telemetry::health::Status;

    use super::*;

    #[test]
    fn a_hole_in_the_wall_is_down() {
        for (compared, breached, expected) in
            [(false, false, Status::Up), (true, false, Status::Up), (true, true, Status::Down)]
        {
            let walls = Walls { compared, breached };
            assert_eq!(judge(walls).status(), expected, "{walls:?}");
        }
    }
}
