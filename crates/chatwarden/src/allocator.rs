//! The allocator, and what it says about itself.

use tikv_jemalloc_ctl::{Access, AsName, arenas, background_thread, epoch, stats};

/// What the allocator holds, in bytes (operations.md §2.2, `memory.allocator`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocatorStats {
    /// In use by the program.
    pub allocated: usize,
    /// In pages that are in use.
    pub active: usize,
    /// In physical memory.
    pub resident: usize,
    /// Mapped from the system.
    pub mapped: usize,
    /// Mapped and given back, kept as address space.
    pub retained: usize,
    /// For its own books.
    pub metadata: usize,
    /// How often it gave unused pages back, since the start.
    pub purges: u64,
}

/// How often pages were given back, over all arenas (the number is the library's for "all").
const PURGES: [&str; 2] = ["stats.arenas.4096.dirty_npurge\0", "stats.arenas.4096.muzzy_npurge\0"];

impl AllocatorStats {
    /// The state of now. Costs a walk over the arenas: every few seconds, not every request.
    ///
    /// # Errors
    /// When the allocator refuses, e.g. built without statistics.
    pub fn now() -> Result<Self, tikv_jemalloc_ctl::Error> {
        // The numbers are those of the last epoch; this begins a new one.
        epoch::advance()?;
        Ok(Self {
            allocated: stats::allocated::read()?,
            active: stats::active::read()?,
            resident: stats::resident::read()?,
            mapped: stats::mapped::read()?,
            retained: stats::retained::read()?,
            metadata: stats::metadata::read()?,
            purges: PURGES.iter().try_fold(0, |sum, name| {
                let times: u64 = name.name().read()?;
                Ok::<_, tikv_jemalloc_ctl::Error>(sum + times)
            })?,
        })
    }
}

/// How long memory that the program gave back is kept at hand. The allocator's own 10 s are for programs that are
/// never idle.
const DECAY_MS: isize = 1000;

/// Lets a thread of the allocator give unused memory back to the system: without it only threads that allocate do,
/// and those of a server with nothing to do never.
///
/// # Errors
/// When the allocator has no such thread on this platform.
pub fn give_back_in_background() -> Result<(), tikv_jemalloc_ctl::Error> {
    "arenas.dirty_decay_ms\0".name().write(DECAY_MS)?;
    for arena in 0..arenas::narenas::read()? {
        // Those that no thread uses yet are not there, and are made with what was set above.
        let _ = format!("arena.{arena}.dirty_decay_ms\0").name().write(DECAY_MS);
    }
    background_thread::write(true)
}
