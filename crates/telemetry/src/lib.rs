//! Meters, logs and the request line.
