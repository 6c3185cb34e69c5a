//! The checks that need nothing but the machine.

mod disk;
mod liveness;
mod load;

pub use disk::DiskSpace;
pub use liveness::{Liveness, LivenessState, WatchdogError};
pub use load::{Cpu, Memory};
