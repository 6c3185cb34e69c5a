//! When SQLite's write-ahead log is written back into the file: on a thread of its own while it grows, so that the
//! writer only copies what came in meanwhile, and the log begins anew.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use crate::DbError;

/// Pages in the log before it is written back: 16 MiB. Pages that change often are then copied once for many changes.
const WRITE_BACK_AT: i32 = 4096;
/// A log that a reader still needs is not begun anew; this many pages later it is tried again.
const AGAIN_AFTER: i32 = WRITE_BACK_AT / 4;
/// Beyond this (256 MiB) the writer waits for readers.
const WAIT_AT: i32 = 65_536;

thread_local! {
    /// Pages in the log after the last commit of this thread's connection: the hook is a plain function, that
    /// carries nothing.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

/// What the writer knows of its log.
pub(crate) struct Checkpoints {
    wake: flume::Sender<()>,
    /// The copier has done what it was woken for.
    copied: Arc<AtomicBool>,
    /// The copier was woken for this log, and the writer has not yet copied the rest.
    copying: bool,
    /// Pages at which something is to be done next.
    due: i32,
    /// Pages after the commit before.
    last: i32,
}

/// The thread's part: it copies whenever it is woken, and ends with the writer.
pub(crate) struct Copier {
    woken: flume::Receiver<()>,
    copied: Arc<AtomicBool>,
}

/// Both parts, for a writer's connection.
pub(crate) fn of(conn: &mut Connection) -> Result<(Checkpoints, Copier), DbError> {
    conn.wal_hook(Some(|_: &mut _, pages| {
        PAGES.set(pages);
        Ok(())
    }))?;
    let (wake, woken) = flume::bounded(1);
    let copied = Arc::new(AtomicBool::new(false));
    let copier = Copier { woken, copied: copied.clone() };
    Ok((Checkpoints { wake, copied, copying: false, due: WRITE_BACK_AT, last: 0 }, copier))
}

impl Copier {
    pub(crate) fn run(self, conn: &Connection) {
        while self.woken.recv().is_ok() {
            self.copy(conn);
        }
    }

    fn copy(&self, conn: &Connection) {
        checkpoint(conn, "passive");
        self.copied.store(true, Ordering::Release);
    }
}

impl Checkpoints {
    /// To be called on the writer's thread when it committed.
    pub(crate) fn committed(&mut self, conn: &Connection) {
        let pages = PAGES.get();
        if pages < self.last {
            // The log began anew: all of it was copied.
            self.due = WRITE_BACK_AT;
            self.copying = false;
        }
        self.last = pages;
        if pages < self.due {
            return;
        }
        if pages >= WAIT_AT {
            checkpoint(conn, "truncate");
            self.due = pages + AGAIN_AFTER;
        } else if !self.copying {
            self.copied.store(false, Ordering::Release);
            self.copying = self.wake.try_send(()).is_ok();
        } else if self.copied.load(Ordering::Acquire) {
            checkpoint(conn, "passive");
            self.copying = false;
            self.due = pages + AGAIN_AFTER;
        }
    }
}

fn checkpoint(conn: &Connection, mode: &str) {
    if let Err(error) = conn.query_row(&format!("pragma wal_checkpoint({mode})"), [], |_| Ok(())) {
        tracing::warn!(%error, mode, "checkpoint failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database whose every commit fills some hundred pages of the log.
    struct Desk {
        _folder: tempfile::TempDir,
        writer: Connection,
        other: Connection,
        checkpoints: Checkpoints,
        copier: Copier,
        /// How often the copier was woken.
        woken: usize,
    }

    impl Desk {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let open = || {
                let conn = Connection::open(folder.path().join("desk.sqlite3")).unwrap();
                conn.execute_batch(
                    "pragma journal_mode = wal; pragma synchronous = off; pragma wal_autocheckpoint = 0",
                )
                .unwrap();
                conn
            };
            let (mut writer, other) = (open(), open());
            writer.execute_batch("create table notes (body blob)").unwrap();
            let (checkpoints, copier) = of(&mut writer).unwrap();
            Self { _folder: folder, writer, other, checkpoints, copier, woken: 0 }
        }

        /// Commits, and lets the copier do what it is woken for; the pages in the log.
        fn commit(&mut self) -> i32 {
            self.writer.execute("insert into notes values (zeroblob(1000000))", []).unwrap();
            self.checkpoints.committed(&self.writer);
            if self.copier.woken.try_recv().is_ok() {
                self.woken += 1;
                self.copier.copy(&self.other);
            }
            PAGES.get()
        }
    }

    #[test]
    fn the_log_begins_anew_again_and_again() {
        let mut desk = Desk::new();
        let lengths: Vec<i32> = (0..100).map(|_| desk.commit()).collect();
        let most = lengths.iter().max().unwrap();
        assert!((WRITE_BACK_AT..WRITE_BACK_AT + 1000).contains(most), "{most}");
        let anew = lengths.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!(anew >= 4, "{lengths:?}");
        assert!(desk.woken >= anew, "the writer copied some itself: {} of {anew}", desk.woken);
    }

    #[test]
    fn a_reader_puts_it_off_and_is_not_waited_for() {
        let mut desk = Desk::new();
        desk.commit();
        let reader = Connection::open(desk.writer.path().unwrap()).unwrap();
        reader.execute_batch("begin; select count(*) from notes").unwrap();
        let long = (0..60).map(|_| desk.commit()).last().unwrap();
        assert!(long > 2 * WRITE_BACK_AT, "{long}");
        reader.execute_batch("commit").unwrap();
        let after: Vec<i32> = (0..20).map(|_| desk.commit()).collect();
        assert!(after.iter().any(|pages| *pages < WRITE_BACK_AT), "{after:?}");
    }
}
