//! `storage`: whether files can be stored and read back.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chatwarden_telemetry::health::{Check, Outcome};
use tokio::fs;

/// From here on storing is called slow.
const SLOW: Duration = Duration::from_secs(1);
/// What is stored.
const CANARY: &[u8] = b"chatwarden";

/// Stores a file, reads it back and removes it.
pub struct Storage {
    path: PathBuf,
}

impl Storage {
    /// A check of the folder for files, by the name of this process.
    pub fn new(folder: PathBuf, instance: &str) -> Self {
        Self { path: folder.join(format!(".canary-{instance}")) }
    }

    async fn ask(&self) -> io::Result<()> {
        fs::write(&self.path, CANARY).await?;
        let found = fs::read(&self.path).await;
        fs::remove_file(&self.path).await?;
        if found? == CANARY {
            Ok(())
        } else {
            Err(io::Error::other("what is read is not what was stored"))
        }
    }
}

#[async_trait]
impl Check for Storage {
    fn id(&self) -> &'static str {
        "storage"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn groups(&self) -> &'static [&'static str] {
        &["deploy"]
    }

    async fn check(&mut self) -> Outcome {
        let began = Instant::now();
        let found = self.ask().await;
        let took = began.elapsed();
        let outcome = match found {
            Err(error) => Outcome::down(error.to_string()),
            Ok(()) if took > SLOW => Outcome::degraded("slow"),
            Ok(()) => Outcome::up(),
        };
        outcome.with("service", "local").with("latencyMs", took.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use chatwarden_telemetry::health::Status;

    use super::*;

    #[tokio::test]
    async fn a_folder_that_takes_nothing_is_down() {
        let folder = tempfile::tempdir().unwrap();
        let mut storage = Storage::new(folder.path().to_owned(), "test");
        assert_eq!(storage.check().await.status(), Status::Up);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        folder.close().unwrap();
        assert_eq!(storage.check().await.status(), Status::Down);
    }
}
