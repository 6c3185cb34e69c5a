//! How many files the process may have open. Every connection is one.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the hard one: the soft one is low (1,024 on most systems) for the sake of
/// programs that can't count further.
///
/// # Errors
/// The system's, which leaves the limit as it was.
pub fn raise_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_is_taken() {
        let before = getrlimit(Resource::Nofile);
        let low = Rlimit { current: Some(512), ..before };
        setrlimit(Resource::Nofile, low).unwrap();
        raise_limit().unwrap();
        let after = getrlimit(Resource::Nofile);
        assert_eq!((after.current, after.maximum), (before.maximum, before.maximum));
    }
}
