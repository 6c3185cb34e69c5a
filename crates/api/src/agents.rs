//! The people of an account (`resources.md §3`).

use chatwarden_core::users::{Availability, Role};

use crate::error::{Answer, ApiError};
use crate::params::Params;

/// The role that was sent, if any.
pub(crate) fn role(params: &Params) -> Answer<Option<Role>> {
    let Some(name) = params.present("role") else { return Ok(None) };
    let role = Role::named(&name);
    role.map(Some).ok_or_else(|| ApiError::unprocessable(format!("'{name}' is not a valid role")))
}

/// The availability that was sent, if any.
pub(crate) fn availability(params: &Params) -> Answer<Option<Availability>> {
    let Some(name) = params.present("availability") else { return Ok(None) };
    let availability = Availability::named(&name);
    availability
        .map(Some)
        .ok_or_else(|| ApiError::unprocessable(format!("'{name}' is not a valid availability")))
}
