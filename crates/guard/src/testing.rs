//! What the tests of this crate share.

use axum::body::Body;
use axum::response::Response;
use http_body_util::BodyExt;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

/// Counters recorded by this thread while the value lives.
pub(crate) struct Recorded {
    snapshotter: Snapshotter,
    _guard: metrics::LocalRecorderGuard<'static>,
}

impl Recorded {
    pub(crate) fn start() -> Self {
        // Leaked: the guard wants to outlive every borrow, and a test process is short.
        let recorder: &'static DebuggingRecorder = Box::leak(Box::new(DebuggingRecorder::new()));
        Self {
            snapshotter: recorder.snapshotter(),
            _guard: metrics::set_default_local_recorder(recorder),
        }
    }

    /// Sum of the counter over the series that carry all the labels. Empties the counters.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.snapshotter
            .snapshot()
            .into_vec()
            .into_iter()
            .filter(|(key, ..)| {
                key.key().name() == name
                    && labels.iter().all(|(name, value)| {
                        key.key()
                            .labels()
                            .any(|label| label.key() == *name && label.value() == *value)
                    })
            })
            .map(|(.., value)| match value {
                DebugValue::Counter(count) => count,
                _ => 0,
            })
            .sum()
    }
}

pub(crate) async fn body_text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
