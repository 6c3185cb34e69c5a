//! `diskSpace`: room on the disks, and whether they can be written.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::clock::SharedClock;
use crate::health::{Check, Outcome, Status};
use crate::system::{Space, space};

/// Below this share of room the disk is filling up.
const SCARCE: f64 = 0.15;
/// How often the disks are written to.
const PROBE_EVERY: Duration = Duration::from_secs(60);

/// Looks at the file systems that hold some paths.
pub struct DiskSpace {
    paths: Vec<PathBuf>,
    threshold: u64,
    clock: SharedClock,
    probed: Option<(Duration, Vec<Option<String>>)>,
    /// A run that a hanging disk has not let come back.
    running: Option<JoinHandle<Vec<Report>>>,
}

/// What was found for one path.
struct Report {
    space: io::Result<Space>,
    /// Why it could not be written, if that was tried.
    probe: Option<io::Result<()>>,
}

impl DiskSpace {
    /// A check that needs `threshold` bytes to be free for each of `paths`.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>, threshold: u64, clock: SharedClock) -> Self {
        Self { paths, threshold, clock, probed: None, running: None }
    }

    fn judge(&mut self, reports: &[Report]) -> Outcome {
        if let Some(failures) = probe_failures(reports) {
            self.probed = Some((self.clock.monotonic(), failures));
        }
        let failures = self.probed.as_ref().map_or(&[][..], |(_, failures)| failures);
        let findings = self.paths.iter().zip(reports).enumerate();
        let paths: Vec<(Status, Value)> = findings
            .map(|(index, (path, report))| {
                let failure = failures.get(index).and_then(Option::as_deref);
                finding(path, &report.space, failure, self.threshold)
            })
            .collect();
        let mut outcome = Outcome::new(Status::worst(paths.iter().map(|(status, _)| *status)));
        // Boot shows one path, so the first stands alone.
        if let Some((_, Value::Object(first))) = paths.first() {
            outcome.details.extend(first.clone());
        }
        if paths.len() > 1 {
            let all: Vec<Value> = paths.into_iter().map(|(_, details)| details).collect();
            outcome = outcome.with("paths", all);
        }
        outcome
    }
}

#[async_trait]
impl Check for DiskSpace {
    fn id(&self) -> &'static str {
        "diskSpace"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn groups(&self) -> &'static [&'static str] {
        &["deploy"]
    }

    async fn check(&mut self) -> Outcome {
        let now = self.clock.monotonic();
        let due = self.probed.as_ref().is_none_or(|(at, _)| now.saturating_sub(*at) >= PROBE_EVERY);
        let running = self.running.get_or_insert_with(|| {
            let paths = self.paths.clone();
            tokio::task::spawn_blocking(move || paths.iter().map(|path| look(path, due)).collect())
        });
        // Dropped by a time-out, the handle stays: the next run waits for the
        // same thread instead of losing another one to the disk.
        let reports = running.await;
        self.running = None;
        match reports {
            Ok(reports) => self.judge(&reports),
            Err(error) => Outcome::down(error.to_string()),
        }
    }
}

fn look(path: &Path, probe: bool) -> Report {
    Report { space: space(path), probe: probe.then(|| write_and_delete(path)) }
}

/// Writes a file that survives a power cut, and deletes it.
fn write_and_delete(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".chatwarden-probe-{}", std::process::id()));
    let written = OpenOptions::new().create(true).truncate(true).write(true).open(&path).and_then(
        |mut file| {
            file.write_all(&[0; 4096])?;
            file.sync_all()
        },
    );
    let deleted = std::fs::remove_file(&path);
    written.and(deleted)
}

fn probe_failures(reports: &[Report]) -> Option<Vec<Option<String>>> {
    reports
        .iter()
        .map(|report| {
            let probe = report.probe.as_ref()?;
            Some(probe.as_ref().err().map(ToString::to_string))
        })
        .collect()
}

fn finding(
    path: &Path,
    space: &io::Result<Space>,
    failure: Option<&str>,
    threshold: u64,
) -> (Status, Value) {
    let path = path.display().to_string();
    let space = match space {
        Ok(space) => space,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            return (Status::Unknown, json!({"path": path, "reason": error.to_string()}));
        }
        Err(error) => {
            let details = json!({"path": path, "exists": false, "reason": error.to_string()});
            return (Status::Down, details);
        }
    };
    let mut details = json!({
        "total": space.total,
        "free": space.free,
        "threshold": threshold,
        "path": path,
        "exists": true,
    });
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
    let share = space.free as f64 / space.total.max(1) as f64;
    let (status, reason) = match failure {
        Some(failure) => (Status::Down, Some(failure)),
        None if space.free < threshold => (Status::Down, Some("below the threshold")),
        None if share < SCARCE => (Status::Degraded, Some("less than 15 % free")),
        None => (Status::Up, None),
    };
    if let (Some(reason), Some(details)) = (reason, details.as_object_mut()) {
        details.insert("reason".to_owned(), json!(reason));
    }
    (status, details)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn room_decides() {
        let mib = 1 << 20;
        let space = |free, total| Ok(Space { free: free * mib, total: total * mib });
        for (space, failure, expected) in [
            (space(800, 1000), None, Status::Up),
            (space(600, 10_000), None, Status::Degraded),
            (space(511, 1000), None, Status::Down),
            (space(0, 0), None, Status::Down),
            (space(800, 1000), Some("read-only"), Status::Down),
            (Err(io::ErrorKind::NotFound.into()), None, Status::Down),
            (Err(io::ErrorKind::Unsupported.into()), None, Status::Unknown),
        ] {
            let (status, details) = finding(Path::new("/data"), &space, failure, 512 * mib);
            assert_eq!(status, expected, "{details}");
            assert_eq!(details["path"], "/data");
        }
    }

    #[tokio::test]
    async fn a_folder_is_really_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let missing = folder.path().join("missing");
        let paths = vec![folder.path().to_owned(), missing];
        let mut check = DiskSpace::new(paths, 0, clock);
        let outcome = check.check().await;
        assert_eq!(outcome.status, Status::Down);
        let paths = outcome.details["paths"].as_array().unwrap();
        assert_eq!(paths[0]["exists"], true);
        assert_eq!(paths[1]["exists"], false);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_failed_probe_is_remembered_until_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let mut check = DiskSpace::new(vec![folder.path().to_owned()], 0, clock.clone());
        // A folder where the probe wants its file can't be opened to write.
        let obstacle = folder.path().join(format!(".chatwarden-probe-{}", std::process::id()));
        std::fs::create_dir(&obstacle).unwrap();
        assert_eq!(check.check().await.status, Status::Down);
        std::fs::remove_dir(&obstacle).unwrap();
        clock.advance(Duration::from_secs(59));
        assert_eq!(check.check().await.status, Status::Down);
        clock.advance(Duration::from_secs(1));
        assert_ne!(check.check().await.status, Status::Down);
    }
}
