//! `LOG_FILE`: a file that is set aside when it is full or its day is over.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

use crate::clock::SharedClock;

/// When a file is set aside, and what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// A file is set aside before it grows beyond this many bytes.
    pub file_size: u64,
    /// Files set aside longer ago than this are deleted.
    pub keep_for: Duration,
    /// The oldest files are deleted when all together are larger than this.
    pub total_size: u64,
}

impl Default for Rotation {
    /// 100 MiB a file, 30 days, 1 GiB together.
    fn default() -> Self {
        Self {
            file_size: 100 << 20,
            keep_for: Duration::from_secs(30 * 24 * 60 * 60),
            total_size: 1 << 30,
        }
    }
}

/// A log file that rotates. Files set aside have the time in their name:
/// `server.log` becomes `server.log.20260710T120000.000000000Z`.
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    clock: SharedClock,
    file: File,
    size: u64,
    day: u64,
}

impl RotatingFile {
    /// Opens `path` to append to it.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(path: PathBuf, rotation: Rotation, clock: SharedClock) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let metadata = file.metadata()?;
        let day = day(metadata.modified().unwrap_or_else(|_| clock.wall()));
        Ok(Self { path, rotation, clock, file, size: metadata.len(), day })
    }

    fn rotate(&mut self) -> io::Result<()> {
        let now = self.clock.wall();
        let stamp = DateTime::<Utc>::from(now).format("%Y%m%dT%H%M%S%.9fZ");
        let mut aside = self.path.clone().into_os_string();
        aside.push(format!(".{stamp}"));
        std::fs::rename(&self.path, &aside)?;
        self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.size = 0;
        self.day = day(now);
        self.prune(now)
    }

    fn prune(&self, now: SystemTime) -> io::Result<()> {
        let mut kept = self.size;
        for (path, metadata) in self.set_aside()?.into_iter().rev() {
            let age = metadata.modified().ok().and_then(|time| now.duration_since(time).ok());
            kept += metadata.len();
            let old = age.is_some_and(|age| age > self.rotation.keep_for);
            if old || kept > self.rotation.total_size {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The files set aside, oldest first.
    fn set_aside(&self) -> io::Result<Vec<(PathBuf, std::fs::Metadata)>> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let other = entry.file_name().to_string_lossy().into_owned();
            let ours = other
                .strip_prefix(&name)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|rest| rest.len() == 26 && rest.ends_with('Z'));
            if ours {
                files.push((entry.path(), entry.metadata()?));
            }
        }
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(files)
    }
}

impl Write for RotatingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let full = self.size + length > self.rotation.file_size;
        if self.size > 0 && (full || day(self.clock.wall()) != self.day) {
            self.rotate()?;
        }
        self.file.write_all(bytes)?;
        self.size += length;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn day(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() / (24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, SystemClock};

    fn files(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let text = std::fs::read_to_string(entry.path()).unwrap();
                (entry.file_name().into_string().unwrap(), text)
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn a_full_file_is_set_aside_and_the_oldest_deleted() {
        let folder = tempfile::tempdir().unwrap();
        // Files get the machine's time, so the clock has to start there.
        let clock = ManualClock::at(SystemClock::shared().wall());
        let rotation = Rotation { file_size: 10, total_size: 20, ..Rotation::default() };
        let path = folder.path().join("s.log");
        std::fs::write(folder.path().join("s.log.notes"), "mine").unwrap();
        let mut file = RotatingFile::open(path.clone(), rotation, clock.clone()).unwrap();
        for text in ["aaaaaaaa\n", "b\n", "c\n", "dddddddd\n", "eeeeeeee\n"] {
            clock.advance(Duration::from_nanos(1));
            file.write_all(text.as_bytes()).unwrap();
        }
        let texts: Vec<_> = files(folder.path()).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["eeeeeeee\n", "b\nc\n", "dddddddd\n", "mine"]);
    }

    #[test]
    fn a_new_day_begins_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(SystemClock::shared().wall());
        let path = folder.path().join("s.log");
        let mut file = RotatingFile::open(path, Rotation::default(), clock.clone()).unwrap();
        file.write_all(b"one\n").unwrap();
        clock.advance(Duration::from_secs(24 * 60 * 60));
        file.write_all(b"two\n").unwrap();
        file.write_all(b"three\n").unwrap();
        assert_eq!(files(folder.path()).len(), 2);
        clock.advance(Duration::from_secs(40 * 24 * 60 * 60));
        file.write_all(b"four\n").unwrap();
        assert_eq!(files(folder.path()), [("s.log".to_owned(), "four\n".to_owned())]);
    }
}
