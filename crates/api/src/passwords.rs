//! Hashing of passwords beside the request's own thread, a few at a time.

use std::time::Duration;

use chatwarden_core::passwords::{self, Hashed, Verdict};
use http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::error::{Answer, ApiError};

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The seats at which passwords are hashed: each takes a core and 19 MiB.
#[derive(Debug)]
pub(crate) struct Passwords {
    seats: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { seats: Semaphore::new(cores) }
    }
}

impl Passwords {
    async fn seat(&self) -> Answer<SemaphorePermit<'_>> {
        match timeout(PATIENCE, self.seats.acquire()).await {
            Ok(Ok(seat)) => Ok(seat),
            _ => Err(ApiError::unavailable("Too many people sign in at once; try again", 5)),
        }
    }

    /// Hashes a password that was checked.
    pub(crate) async fn hash(&self, password: String, salt: [u8; 16]) -> Answer<Hashed> {
        let _seat = self.seat().await?;
        let hashed = tokio::task::spawn_blocking(move || passwords::hash(&password, &salt)).await;
        hashed.ok().flatten().ok_or_else(|| {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "The password could not be hashed")
        })
    }

    /// Compares a password with the stored hash, or with nobody's.
    pub(crate) async fn verify(&self, password: String, stored: Option<String>) -> Answer<Verdict> {
        let _seat = self.seat().await?;
        let compared =
            tokio::task::spawn_blocking(move || passwords::verify(&password, stored.as_deref()));
        Ok(compared.await.unwrap_or(Verdict::Wrong))
    }
}
