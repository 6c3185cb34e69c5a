//! The bounded buffer between those who log and the sink, and the thread that
//! empties it: a slow terminal or a full pipe never stops a request.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How many lines are written at once.
const BATCH: usize = 1024;
/// How long an ordinary line waits for others: to wake a thread and to write costs more than the line itself.
const GATHERS: Duration = Duration::from_millis(40);

/// The buffer of what is to be lines; a clone is the same buffer.
pub(super) struct Writer<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Writer<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    /// Something came, or the buffer was closed.
    work: Condvar,
    /// A batch was written.
    progress: Condvar,
    capacity: usize,
}

struct Queue<T> {
    /// Lines that may be dropped, with their place in the order.
    ordinary: VecDeque<(u64, T)>,
    /// Warnings, errors and audit entries.
    important: VecDeque<(u64, T)>,
    accepted: u64,
    written: u64,
    closed: bool,
}

impl<T> Queue<T> {
    fn new() -> Self {
        Self {
            ordinary: VecDeque::new(),
            important: VecDeque::new(),
            accepted: 0,
            written: 0,
            closed: false,
        }
    }

    fn len(&self) -> usize {
        self.ordinary.len() + self.important.len()
    }

    /// Takes a line in; true when one was lost for it.
    fn push(&mut self, line: T, important: bool, capacity: usize) -> bool {
        let full = self.len() >= capacity;
        if full && self.ordinary.pop_front().is_some() {
            self.written += 1;
        } else if full {
            return true;
        }
        let place = (self.accepted, line);
        self.accepted += 1;
        if important {
            self.important.push_back(place);
        } else {
            self.ordinary.push_back(place);
        }
        full
    }

    /// The oldest line.
    fn pop(&mut self) -> Option<T> {
        let ordinary = self.ordinary.front().map(|(place, _)| *place);
        let important = self.important.front().map(|(place, _)| *place);
        let from = match (ordinary, important) {
            (Some(a), Some(b)) if a < b => &mut self.ordinary,
            (Some(_), None) => &mut self.ordinary,
            _ => &mut self.important,
        };
        from.pop_front().map(|(_, line)| line)
    }
}

impl<T: Send + 'static> Writer<T> {
    /// `write` adds a line to a page, in the thread that empties the buffer.
    pub(super) fn start(
        sink: Box<dyn Write + Send>,
        capacity: usize,
        write: impl Fn(&T, &mut String) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new()),
            work: Condvar::new(),
            progress: Condvar::new(),
            capacity: capacity.max(1),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log-writer".to_owned());
        thread.spawn(move || own.run(sink, write))?;
        Ok(Self { shared })
    }

    /// Takes a line in. A full buffer drops its oldest ordinary line; only
    /// when it holds nothing but important ones, the new line is lost.
    pub(super) fn push(&self, line: T, important: bool) {
        let (lost, wakes) = {
            let mut queue = self.shared.queue.lock();
            let lost = queue.push(line, important, self.shared.capacity);
            (lost, important || queue.len() == 1 || queue.len() == self.shared.capacity / 2)
        };
        if wakes {
            self.shared.work.notify_one();
        }
        if lost {
            dropped("full", 1);
        }
    }

    pub(super) fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut queue = self.shared.queue.lock();
        let target = queue.accepted;
        self.shared.work.notify_one();
        while queue.written < target {
            if self.shared.progress.wait_until(&mut queue, deadline).timed_out() {
                return queue.written >= target;
            }
        }
        true
    }

    pub(super) fn close(&self, limit: Duration) {
        self.flush(limit);
        self.shared.queue.lock().closed = true;
        self.shared.work.notify_one();
    }
}

impl<T> Shared<T> {
    fn run(&self, mut sink: Box<dyn Write + Send>, write: impl Fn(&T, &mut String)) {
        let mut batch = Vec::new();
        let mut page = String::new();
        loop {
            {
                let mut queue = self.queue.lock();
                while queue.len() == 0 {
                    if queue.closed {
                        return;
                    }
                    self.work.wait(&mut queue);
                }
                let hurries = queue.closed || !queue.important.is_empty();
                if !hurries && queue.len() < self.capacity / 2 {
                    self.work.wait_for(&mut queue, GATHERS);
                }
                batch.extend(std::iter::from_fn(|| queue.pop()).take(BATCH));
            }
            let lines = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            page.clear();
            for line in batch.drain(..) {
                write(&line, &mut page);
            }
            if sink.write_all(page.as_bytes()).and_then(|()| sink.flush()).is_err() {
                dropped("sink", lines);
            }
            self.queue.lock().written += lines;
            self.progress.notify_all();
        }
    }
}

fn dropped(reason: &'static str, lines: u64) {
    metrics::counter!("telemetry.dropped", "signal" => "log", "reason" => reason).increment(lines);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_loses_what_matters_least() {
        let mut queue = Queue::new();
        let push = |queue: &mut Queue<String>, line: &str, important| {
            queue.push(line.to_owned(), important, 3)
        };
        assert!(!push(&mut queue, "info 1", false));
        assert!(!push(&mut queue, "error 1", true));
        assert!(!push(&mut queue, "info 2", false));
        assert!(push(&mut queue, "info 3", false));
        assert!(push(&mut queue, "error 2", true));
        assert!(push(&mut queue, "error 3", true));
        assert!(push(&mut queue, "info 4", false));
        assert!(push(&mut queue, "error 4", true));
        let mut left = Vec::new();
        while let Some(line) = queue.pop() {
            left.push(line);
        }
        assert_eq!(left, ["error 1", "error 2", "error 3"]);
    }

    #[test]
    fn lines_leave_in_the_order_they_came() {
        let mut queue = Queue::new();
        for (line, important) in [("a", true), ("b", false), ("c", false), ("d", true)] {
            queue.push(line.to_owned(), important, 10);
        }
        let left: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(left, ["a", "b", "c", "d"]);
    }

    fn as_it_is(line: &impl AsRef<str>, page: &mut String) {
        page.push_str(line.as_ref());
    }

    /// A sink that blocks until its lock is free.
    struct Gate(Arc<Mutex<Vec<u8>>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_ordinary_line_is_written_unasked() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer::start(Box::new(Gate(Arc::clone(&written))), 10, as_it_is).unwrap();
        writer.push("one\n".to_owned(), false);
        let mut queue = writer.shared.queue.lock();
        let progress = &writer.shared.progress;
        let until = Instant::now() + Duration::from_secs(60);
        while queue.written == 0 && !progress.wait_until(&mut queue, until).timed_out() {}
        assert_eq!(written.lock().as_slice(), b"one\n");
    }

    #[test]
    fn a_stuck_sink_stops_nobody() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer::start(Box::new(Gate(Arc::clone(&written))), 10, as_it_is).unwrap();
        let stuck = written.lock();
        for number in 0..5000 {
            writer.push(format!("{number}\n"), false);
        }
        assert!(!writer.flush(Duration::from_millis(1)));
        drop(stuck);
        assert!(writer.flush(Duration::from_secs(60)));
        let text = String::from_utf8(written.lock().clone()).unwrap();
        assert!(text.ends_with("4998\n4999\n"), "{text}");
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broken_sink_does_not_keep_lines_waiting() {
        let writer = Writer::start(Box::new(Broken), 10, as_it_is).unwrap();
        writer.push("lost\n".to_owned(), true);
        assert!(writer.flush(Duration::from_secs(60)));
    }
}
