//! The Chatwarden server.

use std::process::ExitCode;

use chatwarden::commands::{self, Arguments};
use clap::Parser as _;

// Here and not in the library: a test binary may link the library twice.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    commands::run(&Arguments::parse())
}

#[cfg(test)]
mod tests {
    use chatwarden::allocator::{self, AllocatorStats};
    use tikv_jemalloc_ctl::background_thread;

    #[test]
    fn an_allocation_shows() {
        let before = AllocatorStats::now().expect("statistics");
        let block = vec![1_u8; 8 << 20];
        let after = AllocatorStats::now().expect("statistics");
        assert!(after.allocated >= before.allocated + block.len() / 2, "{before:?} {after:?}");
        assert!(after.resident > 0 && after.metadata > 0);
    }

    #[test]
    fn memory_is_given_back_by_a_thread_of_the_allocator() {
        allocator::give_back_in_background().expect("a thread of the allocator");
        assert!(background_thread::read().expect("whether there is one"));
    }
}
