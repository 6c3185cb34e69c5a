//! Servers as processes: killed, doubled, drained. What was acknowledged must be there.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail by panicking, and say by hand what they counted"
)]

mod clients;
mod crash;
mod desk;
mod nodes;
mod pair;
mod prometheus;
mod rolling;
mod secrets;
mod socket;
