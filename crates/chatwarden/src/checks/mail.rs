//! `mail`: whether the mail server lets us in. Nothing is sent.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chatwarden_mail::Mailer;
use chatwarden_telemetry::health::{Check, Outcome};

/// Greets the mail server, signs in, and takes leave.
pub struct Mail(pub Mailer);

impl Mail {
    /// Letters wait in the queue: nothing is lost while it is away.
    fn away(&self, reason: String) -> Outcome {
        Outcome::degraded(reason).with("location", self.0.location())
    }
}

#[async_trait]
impl Check for Mail {
    fn id(&self) -> &'static str {
        "mail"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn gates_readiness(&self) -> bool {
        false
    }

    fn when_failing(&self, reason: String) -> Outcome {
        self.away(reason)
    }

    async fn check(&mut self) -> Outcome {
        let began = Instant::now();
        match self.0.check().await {
            Err(error) => self.away(error.to_string()),
            Ok(()) => Outcome::up()
                .with("location", self.0.location())
                .with("latencyMs", began.elapsed().as_secs_f64() * 1e3),
        }
    }
}
