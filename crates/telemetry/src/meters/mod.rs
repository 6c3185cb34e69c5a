//! The one registry of meters of the process.
//!
//! Code emits through the `metrics` facade with dotted names
//! (`metrics::counter!("chatwoot.messages.total", "direction" => "incoming")`);
//! timers are histograms in seconds. The [`Registry`] is the facade's recorder
//! and feeds the Prometheus text, OpenMetrics and the actuator view, so that
//! they can't disagree. What may be emitted is declared in the [`catalogue`].
//!
//! A gauge set to NaN is withdrawn: that is how a source says "I can't measure
//! this (any more)".

mod actuator;
mod aliases;
pub mod catalogue;
mod cells;
mod exposition;
mod registry;
mod tenants;

pub use actuator::{AvailableTag, Measurement, MeterNames, MeterView, TagFilter, TagFilterError};
pub use cells::{LongTask, RunningTask};
pub use exposition::{Exposition, IncludedNames};
pub use registry::{InstallError, Registry, Settings};
pub use tenants::Tenants;
