//! The folder of stored files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use md5::{Digest as _, Md5};
use tempfile::TempPath;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;

use crate::facts::{self, Facts};
use crate::picture::{self, Unfit};

/// How much of the beginning is kept to tell what a file is.
const HEAD: usize = 8 << 10;
/// Pictures scaled at the same time: each takes a core, and memory for its pixels.
const SCALED_AT_ONCE: usize = 2;
/// Where files are while they are received.
const INCOMING: &str = "incoming";
/// Where smaller forms of pictures are.
const FORMS: &str = "forms";

/// Why a file was not received.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is larger than files may be.
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    /// There is no room for it.
    #[error("the disk is full")]
    Full,
    /// The disk fails.
    #[error("the disk fails: {0}")]
    Disk(io::Error),
    /// Whoever sent it broke off.
    #[error("{0}")]
    Sender(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Disk(error),
        }
    }
}

/// A file that was received and has no key yet; dropped, it is gone.
#[derive(Debug)]
pub struct Incoming {
    path: TempPath,
    size: u64,
    md5: String,
    head: Vec<u8>,
}

impl Incoming {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its MD5 in base64, as Active Storage knows files.
    pub fn md5(&self) -> &str {
        &self.md5
    }

    /// What it is, given its name and what the sender said it is.
    pub async fn facts(&self, name: &str, said: Option<&str>) -> Facts {
        let content_type = facts::content_type(&self.head, name, said);
        let path = self.path.to_path_buf();
        let size = if content_type.starts_with("image/") {
            tokio::task::spawn_blocking(move || picture::size(&path)).await.ok().flatten()
        } else {
            None
        };
        Facts { content_type, size }
    }

    /// Its content, for files that are to be read, not kept.
    ///
    /// # Errors
    /// Where the disk fails.
    pub async fn bytes(&self) -> io::Result<Bytes> {
        tokio::fs::read(&self.path).await.map(Bytes::from)
    }
}

/// A file on the disk, ready to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it is.
    pub path: PathBuf,
    /// Its type, where it is a form of a picture.
    pub content_type: Option<&'static str>,
}

/// The folder. Clones share it.
#[derive(Debug, Clone)]
pub struct Disk {
    root: Arc<Path>,
    limit: u64,
    scaling: Arc<Semaphore>,
}

/// Which folders a key's file is in: never more than some hundred files in one.
fn folders(key: &str) -> Option<(&str, &str)> {
    // Keys are ours, letters and digits; whatever else was asked for is nowhere.
    let sane = key.len() > 4 && key.bytes().all(|b| b.is_ascii_alphanumeric());
    sane.then(|| Some((key.get(..2)?, key.get(2..4)?))).flatten()
}

impl Disk {
    /// The folder `root`, made where it is missing, for files of `limit` bytes at most.
    ///
    /// # Errors
    /// Where the folder can't be made.
    pub fn open(root: impl Into<PathBuf>, limit: u64) -> io::Result<Self> {
        let root: PathBuf = root.into();
        std::fs::create_dir_all(root.join(INCOMING))?;
        Ok(Self { root: root.into(), limit, scaling: Arc::new(Semaphore::new(SCALED_AT_ONCE)) })
    }

    /// The largest file.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let (first, second) = folders(key)?;
        Some(self.root.join(first).join(second).join(key))
    }

    fn forms(&self, key: &str) -> Option<PathBuf> {
        let (first, second) = folders(key)?;
        Some(self.root.join(FORMS).join(first).join(second).join(key))
    }

    /// Receives a file, piece by piece; it is on the disk when this is done.
    ///
    /// # Errors
    /// [`Fault`]; nothing is left of it then.
    pub async fn receive<S, E>(&self, pieces: S) -> Result<Incoming, Fault>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        let (file, path) = tempfile::NamedTempFile::new_in(self.root.join(INCOMING))?.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        let (mut size, mut md5, mut head) = (0_u64, Md5::new(), Vec::new());
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| Fault::Sender(error.to_string()))?;
            size = size.saturating_add(piece.len() as u64);
            if size > self.limit {
                return Err(Fault::TooLarge(self.limit));
            }
            md5.update(&piece);
            let wanted = HEAD.saturating_sub(head.len()).min(piece.len());
            head.extend_from_slice(piece.get(..wanted).unwrap_or_default());
            file.write_all(&piece).await?;
        }
        file.flush().await?;
        file.sync_all().await?;
        Ok(Incoming { path, size, md5: STANDARD.encode(md5.finalize()), head })
    }

    /// Gives a received file its key.
    ///
    /// # Errors
    /// Where the disk fails.
    pub async fn place(&self, incoming: &Incoming, key: &str) -> Result<(), Fault> {
        let to = self.path(key).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let from = incoming.path.to_path_buf();
        let moved = tokio::task::spawn_blocking(move || {
            let folder = to.parent().unwrap_or(&to);
            std::fs::create_dir_all(folder)?;
            std::fs::rename(from, &to)?;
            // The entry is in the folder, and the folder is to be on the disk too.
            std::fs::File::open(folder)?.sync_all()
        });
        Ok(moved.await.map_err(io::Error::other)??)
    }

    /// A stored file; `None` where there is none.
    pub async fn find(&self, key: &str) -> Option<Stored> {
        let path = self.path(key)?;
        tokio::fs::try_exists(&path).await.ok()?.then_some(Stored { path, content_type: None })
    }

    /// A picture brought to a width, made where it was not asked for before; `None` where there is
    /// no such file.
    ///
    /// # Errors
    /// [`Unfit`] for what can't be scaled.
    pub async fn form(&self, key: &str, width: u32) -> Result<Option<Stored>, Unfit> {
        const KINDS: [(&str, &str); 2] = [("png", "image/png"), ("jpg", "image/jpeg")];
        let (Some(whole), Some(folder)) = (self.path(key), self.forms(key)) else {
            return Ok(None);
        };
        let made = move |folder: &Path| {
            KINDS.into_iter().find_map(|(extension, kind)| {
                let path = folder.join(format!("{width}.{extension}"));
                path.exists().then_some(Stored { path, content_type: Some(kind) })
            })
        };
        if let Some(stored) = made(&folder) {
            return Ok(Some(stored));
        }
        // Never closed. The thread has the turn: it goes on where the caller hangs up.
        let turn = self.scaling.clone().acquire_owned().await.map_err(io::Error::other)?;
        let incoming = self.root.join(INCOMING);
        let scaled = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            // Whoever waited may find it made.
            if let Some(stored) = made(&folder) {
                return Ok(Some(stored));
            }
            if !whole.exists() {
                return Ok(None);
            }
            let (bytes, kind) = picture::scaled(&whole, width)?;
            let extension =
                KINDS.into_iter().find(|(_, it)| *it == kind).map_or("png", |(it, _)| it);
            std::fs::create_dir_all(&folder)?;
            let mut file = tempfile::NamedTempFile::new_in(incoming)?;
            io::Write::write_all(&mut file, &bytes)?;
            let path = folder.join(format!("{width}.{extension}"));
            file.persist(&path).map_err(|error| error.error)?;
            Ok(Some(Stored { path, content_type: Some(kind) }))
        });
        scaled.await.map_err(io::Error::other)?
    }

    /// Removes a file and its forms; one that is not there is removed.
    ///
    /// # Errors
    /// Where the disk fails.
    pub async fn remove(&self, key: &str) -> io::Result<()> {
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let (Some(path), Some(forms)) = (self.path(key), self.forms(key)) else { return Ok(()) };
        gone(tokio::fs::remove_file(path).await)?;
        gone(tokio::fs::remove_dir_all(forms).await)
    }

    /// Removes what was received in part by a process that ended: pieces that nobody wrote to for
    /// `age` before `now`, which counts from the epoch.
    ///
    /// # Errors
    /// Where the disk fails.
    pub async fn sweep(&self, now: Duration, age: Duration) -> io::Result<()> {
        let mut entries = tokio::fs::read_dir(self.root.join(INCOMING)).await?;
        while let Some(entry) = entries.next_entry().await? {
            let written = entry.metadata().await.and_then(|it| it.modified());
            let written = written.ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
            if written.is_some_and(|written| written + age < now) {
                tokio::fs::remove_file(entry.path()).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn disk(limit: u64) -> (Disk, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Disk::open(folder.path(), limit).unwrap(), folder)
    }

    fn pieces(of: &[&'static str]) -> impl Stream<Item = Result<Bytes, String>> + use<> {
        stream::iter(of.iter().map(|it| Ok(Bytes::from_static(it.as_bytes()))).collect::<Vec<_>>())
    }

    fn incoming(folder: &tempfile::TempDir) -> usize {
        std::fs::read_dir(folder.path().join(INCOMING)).unwrap().count()
    }

    const KEY: &str = "wazb4854ua3mhtjjocca2sodqlf8";

    #[tokio::test]
    async fn receives_places_and_removes() {
        let (disk, folder) = disk(100);
        let got = disk.receive(pieces(&["Left at ", "the door.\n"])).await.unwrap();
        assert_eq!((got.size(), got.md5()), (18, "7ZIpVFtJp/tot2snpFBUDQ=="));
        assert_eq!(got.facts("note.txt", None).await.content_type, "text/plain");
        assert_eq!(disk.find(KEY).await, None);
        disk.place(&got, KEY).await.unwrap();
        drop(got);
        let stored = disk.find(KEY).await.unwrap();
        assert_eq!(std::fs::read(&stored.path).unwrap(), b"Left at the door.\n");
        assert!(stored.path.ends_with(format!("wa/zb/{KEY}")));
        assert_eq!(incoming(&folder), 0);
        disk.remove(KEY).await.unwrap();
        disk.remove(KEY).await.unwrap();
        assert_eq!(disk.find(KEY).await, None);
    }

    #[tokio::test]
    async fn what_fails_leaves_nothing() {
        let (disk, folder) = disk(10);
        let large = disk.receive(pieces(&["12345", "67890", "1"])).await;
        assert!(matches!(large, Err(Fault::TooLarge(10))));
        let broken = stream::iter([Ok(Bytes::from_static(b"1")), Err("gone")]);
        assert!(matches!(disk.receive(broken).await, Err(Fault::Sender(_))));
        drop(disk.receive(pieces(&["dropped"])).await.unwrap());
        assert_eq!(incoming(&folder), 0);
    }

    #[tokio::test]
    async fn keys_do_not_leave_the_folder() {
        let (disk, _folder) = disk(10);
        let got = disk.receive(pieces(&["x"])).await.unwrap();
        for key in ["", "abc", "../../etc/passwd", "ab/cd/efgh", "abcd\0efgh"] {
            assert!(disk.place(&got, key).await.is_err(), "{key:?}");
            assert_eq!(disk.find(key).await, None, "{key:?}");
            disk.remove(key).await.unwrap();
        }
    }

    #[tokio::test]
    async fn sweeps_what_was_left_behind() {
        let (disk, folder) = disk(10);
        std::fs::write(folder.path().join(INCOMING).join("piece"), b"x").unwrap();
        let written = std::fs::metadata(folder.path().join(INCOMING).join("piece")).unwrap();
        let written = written.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        let age = Duration::from_secs(60);
        disk.sweep(written + age, age).await.unwrap();
        assert_eq!(incoming(&folder), 1);
        disk.sweep(written + age * 2, age).await.unwrap();
        assert_eq!(incoming(&folder), 0);
    }
}
