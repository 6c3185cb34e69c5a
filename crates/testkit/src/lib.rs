//! Test harness: actors as values, throw-away databases, a clock of its own.
