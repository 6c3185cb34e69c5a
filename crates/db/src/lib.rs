//! The seam: one SQL text, two engines, transactions as async closures.
