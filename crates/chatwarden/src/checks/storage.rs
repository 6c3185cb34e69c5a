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
/// What the names of such files begin with.
const PREFIX: &str = ".canary-";
/// One that is older is of a process that ended before it could remove it.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Stores a file, reads it back and removes it.
pub struct Storage {
    folder: PathBuf,
    path: PathBuf,
    /// Whether what others left was removed.
    swept: bool,
}

impl Storage {
    /// A check of the folder for files, by the name of this process.
    pub fn new(folder: PathBuf, instance: &str) -> Self {
        Self { path: folder.join(format!("{PREFIX}{instance}")), folder, swept: false }
    }

    /// Removes what processes left that ended in the middle of their check.
    async fn sweep(&self) -> io::Result<()> {
        let mut entries = fs::read_dir(&self.folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
            if !ours {
                continue;
            }
            let age = entry.metadata().await?.modified()?.elapsed().unwrap_or_default();
            if age > ABANDONED {
                fs::remove_file(entry.path()).await?;
            }
        }
        Ok(())
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
        if !std::mem::replace(&mut self.swept, true)
            && let Err(error) = self.sweep().await
        {
            tracing::debug!(%error, "what was left of earlier checks can't be removed");
        }
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

    #[tokio::test]
    async fn what_a_dead_process_left_goes_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        for (name, hours) in [(".canary-dead", 2), (".canary-other", 0), ("a-file", 2)] {
            let file = std::fs::File::create(folder.path().join(name)).unwrap();
            let modified = file.metadata().unwrap().modified().unwrap();
            file.set_modified(modified - Duration::from_secs(hours * 3600)).unwrap();
        }
        let mut storage = Storage::new(folder.path().to_owned(), "test");
        assert_eq!(storage.check().await.status(), Status::Up);
        let left = std::fs::read_dir(folder.path()).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".canary-other", "a-file"]);
    }
}
