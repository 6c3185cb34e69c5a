//! Servers as processes: killed, doubled, drained. What was acknowledged must be there.

mod crash;
mod desk;
mod nodes;
mod socket;
