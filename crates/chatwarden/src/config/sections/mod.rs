//! The settings themselves, one file a part.

mod accounts;
mod database;
mod edge;
mod groups;
mod headers;
mod logs;
mod mail;
mod management;
mod server;

pub use accounts::{Accounts, Locale, Signup};
pub use database::{Database, Redis, Synchronous};
pub use edge::{Edge, Limits, Quotas, RateClasses, RateLimits};
pub use groups::{Group, Groups};
pub use headers::{CspSource, Headers, WidgetCoep};
pub use logs::{LogLevels, Logs};
pub use mail::{Mail, Mailbox, SmtpAuthentication, SmtpVerify};
pub use management::{BasePath, DegradedAs, Exposed, Management, Role, Show, TenantLabel};
pub use server::{Environment, KeyBase, Server};
