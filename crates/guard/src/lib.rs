//! The security edge as tower layers.
