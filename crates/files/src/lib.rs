//! Stored files on the disk: received, recognised, scaled, removed.
//!
//! A file is received into a folder of its own and moved to its key in one step once it is whole and on the
//! disk: a key has all of its content or none. What the files mean, and which there are, is known elsewhere.
//!
//! | what fails | what is left |
//! |---|---|
//! | the sender, half-way | nothing: what was received goes away |
//! | the process, half-way | a piece among the incoming, which [`Disk::sweep`] removes |
//! | the disk is full | [`Fault::Full`], and nothing |

mod disk;
mod facts;
mod name;
mod picture;

pub use disk::{Disk, Fault, Incoming, Stored};
pub use facts::Facts;
pub use name::tidy;
pub use picture::Unfit;
