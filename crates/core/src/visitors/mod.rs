//! Visitors, who come without a credential of ours.

mod proof;

pub use proof::Proof;
