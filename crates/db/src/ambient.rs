//! Time and randomness, as values somebody hands in: tests own both.

use std::fmt;
use std::sync::Arc;

use rand::TryRng as _;

/// A moment: microseconds since the Unix epoch, as every table stores it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the epoch; saturates.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch (`resources.md §0`, "unix").
    pub const fn unix(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Seconds since the epoch with their fraction (`resources.md §0`, "float").
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of this era fit the 53 bits of a double"
    )]
    pub fn unix_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// This moment and `micros` more; saturates.
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// This moment and `seconds` more; saturates.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_micros(seconds.saturating_mul(1_000_000))
    }

    /// From an ISO 8601 text with a zone; `None` for anything else.
    pub fn parse_iso(text: &str) -> Option<Self> {
        chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| Self(at.timestamp_micros()))
    }

    /// `YYYY-MM-DDTHH:MM:SS.mmmZ` (`resources.md §0`, "iso").
    pub fn iso(self) -> String {
        chrono::DateTime::from_timestamp_micros(self.0)
            .map(|t| t.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
            .unwrap_or_default()
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Makes randomness.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `buffer` with unpredictable bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's randomness.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        // The kernel's generator fails only before it was seeded at boot; wait for it.
        while rand::rngs::SysRng.try_fill_bytes(buffer).is_err() {
            std::thread::yield_now();
        }
    }
}

/// The clock, the randomness and the surroundings of one server (or of one test).
#[derive(Clone)]
pub struct Ambient {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What the product lends every transaction; the seam does not know what it is.
    pub lent: Arc<dyn std::any::Any + Send + Sync>,
}

impl Default for Ambient {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), lent: Arc::new(()) }
    }
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ambient")
            .field("clock", &self.clock)
            .field("entropy", &self.entropy)
            .finish_non_exhaustive()
    }
}

impl Ambient {
    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// `N` unpredictable bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.entropy.fill(&mut out);
        out
    }

    /// A token of `length` letters and digits without look-alikes (base 58, as Rails' `SecureRandom.base58`).
    pub fn token(&self, length: usize) -> String {
        const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
        let mut out = String::with_capacity(length);
        while out.len() < length {
            for byte in self.bytes::<32>() {
                // 232 = 4 × 58: what lies above would favour the first letters.
                let letter = (byte < 232).then(|| ALPHABET.get(usize::from(byte % 58))).flatten();
                if let (Some(letter), true) = (letter, out.len() < length) {
                    out.push(char::from(*letter));
                }
            }
        }
        out
    }

    /// `bytes` unpredictable bytes in lower-case hexadecimal.
    pub fn hex(&self, bytes: usize) -> String {
        use fmt::Write as _;
        let mut raw = vec![0; bytes];
        self.entropy.fill(&mut raw);
        raw.iter().fold(String::with_capacity(bytes * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
    }

    /// A random UUID (version 4, RFC 9562).
    pub fn uuid(&self) -> String {
        let mut b = self.bytes::<16>();
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut b;
        *version = (*version & 0x0f) | 0x40;
        *variant = (*variant & 0x3f) | 0x80;
        let h = b.iter().fold(String::with_capacity(32), |mut out, byte| {
            use fmt::Write as _;
            let _ = write!(out, "{byte:02x}");
            out
        });
        let part = |from: usize, to: usize| h.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_times_as_clients_expect() {
        let t = Timestamp::from_micros(1_795_627_080_438_999);
        assert_eq!(t.iso(), "2026-11-25T17:18:00.438Z");
        assert_eq!(t.unix(), 1_795_627_080);
        assert!((t.unix_f64() - 1_795_627_080.438_999).abs() < 1e-5);
        assert_eq!(Timestamp::from_micros(-1).unix(), -1);
    }

    #[test]
    fn makes_tokens_of_the_asked_length_and_alphabet() {
        let ambient = Ambient::default();
        let token = ambient.token(24);
        assert_eq!(token.len(), 24);
        assert!(token.chars().all(|c| c.is_ascii_alphanumeric() && !"0OIl".contains(c)), "{token}");
        assert_ne!(token, ambient.token(24));
        let uuid = ambient.uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&uuid.as_bytes()[19]));
    }
}
