//! The settings themselves, one file a part.

mod accounts;
mod database;
mod edge;
mod logs;
mod mail;
mod management;
mod server;

pub use accounts::{Accounts, Locale, Signup};
pub use database::{Database, Redis, Synchronous};
pub use edge::{
    Ban, Edge, GuardCategories, GuardMode, Origin, ProxyRule, Quota, RateClasses, RateLimits,
    RateProfile, Window,
};
pub use logs::{LogAddresses, LogFormat, LogLevel, Logs};
pub use mail::{Mail, Mailbox, SmtpAuthentication, SmtpVerify};
pub use management::{BasePath, DegradedAs, Management, Show, TenantLabel};
pub use server::{Environment, KeyBase, Server};
