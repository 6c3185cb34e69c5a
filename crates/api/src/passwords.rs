//! Hashing of passwords beside the request's own thread, a few at a time.

use std::sync::Arc;
use std::time::Duration;

use chatwarden_core::passwords::{self, Hashed, Verdict};
use http::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::{Answer, ApiError};

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The seats at which passwords are hashed: each takes a core and 19 MiB.
#[derive(Debug)]
pub(crate) struct Passwords {
    seats: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { seats: Arc::new(Semaphore::new(cores)) }
    }
}

impl Passwords {
    /// Works at a seat; none where the work panicked. Who asked may go away while the work goes on: the seat is the
    /// work's, or there would be as many at once as somebody opens requests and drops them.
    async fn seated<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Answer<Option<R>> {
        let seat = match timeout(PATIENCE, self.seats.clone().acquire_owned()).await {
            Ok(Ok(seat)) => seat,
            _ => {
                return Err(ApiError::unavailable("Too many people sign in at once; try again", 5));
            }
        };
        let working = tokio::task::spawn_blocking(move || {
            let _seat = seat;
            work()
        });
        Ok(working.await.ok())
    }

    /// Hashes a password that was checked.
    pub(crate) async fn hash(&self, password: String, salt: [u8; 16]) -> Answer<Hashed> {
        let hashed = self.seated(move || passwords::hash(&password, &salt)).await?;
        hashed.flatten().ok_or_else(|| {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "The password could not be hashed")
        })
    }

    /// Compares a password with the stored hash, or with nobody's.
    pub(crate) async fn verify(&self, password: String, stored: Option<String>) -> Answer<Verdict> {
        let compared = self.seated(move || passwords::verify(&password, stored.as_deref())).await?;
        Ok(compared.unwrap_or(Verdict::Wrong))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_seat_is_taken_until_the_work_is_done_whoever_still_waits_for_it() {
        let passwords = Passwords { seats: Arc::new(Semaphore::new(1)) };
        let (go_on, told) = std::sync::mpsc::channel::<()>();
        let asked = passwords.seated(move || told.recv());
        assert!(asked.now_or_never().is_none(), "it is being worked on, and who asked is gone");
        assert_eq!(passwords.seats.available_permits(), 0);
        go_on.send(()).expect("the work goes on");
        assert_eq!(passwords.seated(|| 1).await.ok().flatten(), Some(1));
    }
}
