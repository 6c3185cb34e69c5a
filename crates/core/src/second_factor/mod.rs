//! The second factor of a sign-in: an authenticator's codes, and backup codes for when it is lost
//! (`behaviours.md §2.1`).
//!
//! Whoever changes one has [locked](crate::users::lock) the person before: of two requests with the
//! same code, the second one finds it used.

pub mod sql;
mod totp;

use chatwarden_db::{Json, Tx, WriteTx, args};
use data_encoding::BASE32_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::sealed;

/// Backup codes that are given at once.
const CODES: usize = 10;
/// Seconds between the password and the code.
const PATIENCE: i64 = 5 * 60;
/// What the authenticator's secret is sealed for.
const SECRET: &str = "second factor: secret";
/// What backup codes are hashed for: they are too short for a hash without a key.
const BACKUP: &str = "second factor: backup codes";
/// What the ticket between password and code is signed for.
const TICKET: &str = "second factor: ticket";

chatwarden_db::row! {
    /// A person's second factor.
    pub struct SecondFactor {
        pub user_id: UserId,
        pub secret: String,
        pub enabled: bool,
        pub backup_codes: Json<Vec<String>>,
        pub last_step: i64,
    }
}

/// What a person shows besides the password.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// A code of the authenticator.
    pub otp_code: Option<String>,
    /// One of the backup codes.
    pub backup_code: Option<String>,
}

/// What the ticket says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    user_id: i64,
    exp: i64,
}

fn wrong_code() -> Error {
    Error::Unprocessable("Invalid verification code".to_owned())
}

/// A person's second factor, where one was ever set up.
///
/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx<'_>, user: UserId) -> Result<Option<SecondFactor>> {
    Ok(tx.opt(&sql::GET, args![user]).await?)
}

/// A person's second factor that is on.
async fn enabled(tx: &mut Tx<'_>, user: UserId) -> Result<SecondFactor> {
    let found = get(tx, user).await?.filter(|factor| factor.enabled);
    found.ok_or_else(|| Error::Unprocessable("MFA is not enabled".to_owned()))
}

fn refuse_enabled(found: Option<&SecondFactor>) -> Result<()> {
    match found {
        Some(factor) if factor.enabled => {
            Err(Error::Unprocessable("MFA is already enabled".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Sets a second factor up: the secret for the authenticator, in base 32. It is not asked for until
/// a code of it was [shown](enable).
///
/// # Errors
/// [`Error::Unprocessable`] where one is on already.
pub async fn begin(tx: &mut WriteTx<'_>, user: UserId) -> Result<String> {
    refuse_enabled(get(tx, user).await?.as_ref())?;
    let secret = BASE32_NOPAD.encode(&tx.ambient().bytes::<20>());
    let (sealed, now) = (sealed::seal(tx, SECRET, user.0, &secret), tx.now());
    tx.run(&sql::BEGIN, args![user, sealed, false, now]).await?;
    Ok(secret)
}

/// Switches the second factor on by a code of it; the backup codes.
///
/// # Errors
/// [`Error::Unprocessable`] where the code is wrong, or one is on already.
pub async fn enable(tx: &mut WriteTx<'_>, user: UserId, code: &str) -> Result<Vec<String>> {
    let factor = get(tx, user).await?;
    refuse_enabled(factor.as_ref())?;
    let mut factor = factor.ok_or_else(wrong_code)?;
    factor.last_step = step(tx, &factor, code).ok_or_else(wrong_code)?;
    factor.enabled = true;
    let codes = fresh_codes(tx, &mut factor);
    save(tx, &factor).await?;
    Ok(codes)
}

/// Switches the second factor off.
///
/// # Errors
/// [`Error::Unprocessable`] where the answer is wrong, or none is on.
pub async fn disable(tx: &mut WriteTx<'_>, user: UserId, answer: &Answer) -> Result<()> {
    let mut factor = enabled(tx, user).await?;
    take(tx, &mut factor, answer)?;
    tx.run(&sql::DELETE, args![user]).await?;
    Ok(())
}

/// Gives new backup codes; the old ones are void.
///
/// # Errors
/// [`Error::Unprocessable`] where the answer is wrong, or none is on.
pub async fn renew_codes(
    tx: &mut WriteTx<'_>,
    user: UserId,
    answer: &Answer,
) -> Result<Vec<String>> {
    let mut factor = enabled(tx, user).await?;
    take(tx, &mut factor, answer)?;
    let codes = fresh_codes(tx, &mut factor);
    save(tx, &factor).await?;
    Ok(codes)
}

/// Checks what a person shows when signing in; it is good for nothing afterwards.
///
/// # Errors
/// [`Error::Unprocessable`] where it is wrong, or none is asked for.
pub async fn check(tx: &mut WriteTx<'_>, user: UserId, answer: &Answer) -> Result<()> {
    let mut factor = enabled(tx, user).await.map_err(|_| wrong_code())?;
    take(tx, &mut factor, answer)?;
    save(tx, &factor).await
}

/// Whether one is asked for.
///
/// # Errors
/// What the database says.
pub async fn is_on(tx: &mut Tx<'_>, user: UserId) -> Result<bool> {
    Ok(get(tx, user).await?.is_some_and(|factor| factor.enabled))
}

/// Refuses unless one is on: before a password is asked for in vain.
///
/// # Errors
/// [`Error::Unprocessable`] where none is on.
pub async fn require(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    enabled(tx, user).await.map(drop)
}

fn step(tx: &Tx<'_>, factor: &SecondFactor, code: &str) -> Option<i64> {
    let secret = sealed::open(tx, SECRET, factor.user_id.0, &factor.secret)?;
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).ok()?;
    totp::step_of(&secret, code, tx.now().unix(), factor.last_step)
}

/// Uses up what was shown.
fn take(tx: &Tx<'_>, factor: &mut SecondFactor, answer: &Answer) -> Result<()> {
    if let Some(code) = &answer.otp_code {
        factor.last_step = step(tx, factor, code).ok_or_else(wrong_code)?;
        return Ok(());
    }
    let shown = answer.backup_code.as_deref().map(|code| code.trim().to_ascii_uppercase());
    let hash = hashed(tx, factor.user_id, &shown.ok_or_else(wrong_code)?);
    let before = factor.backup_codes.0.len();
    factor.backup_codes.0.retain(|kept| *kept != hash);
    if factor.backup_codes.0.len() == before { Err(wrong_code()) } else { Ok(()) }
}

/// The hash of a backup code: keyed, and bound to the person.
fn hashed(tx: &Tx<'_>, user: UserId, code: &str) -> String {
    let key = sealed::key(tx, BACKUP);
    data_encoding::HEXLOWER.encode(&sealed::mac(&key, format!("{user}:{code}").as_bytes()))
}

fn fresh_codes(tx: &Tx<'_>, factor: &mut SecondFactor) -> Vec<String> {
    let codes: Vec<String> = (0..CODES).map(|_| tx.ambient().hex(4).to_ascii_uppercase()).collect();
    factor.backup_codes = Json(codes.iter().map(|code| hashed(tx, factor.user_id, code)).collect());
    codes
}

async fn save(tx: &mut WriteTx<'_>, factor: &SecondFactor) -> Result<()> {
    let now = tx.now();
    tx.run(
        &sql::UPDATE,
        args![factor.user_id, factor.enabled, factor.backup_codes, factor.last_step, now],
    )
    .await?;
    Ok(())
}

/// What a person shows who gave the right password, together with a code.
pub fn ticket(tx: &Tx<'_>, user: UserId) -> String {
    let claims = Claims { user_id: user.0, exp: tx.now().plus_seconds(PATIENCE).unix() };
    let key = EncodingKey::from_secret(&sealed::key(tx, TICKET));
    // Claims of two numbers can be written down.
    jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap_or_default()
}

/// Whose ticket it is, where it is still good.
pub fn holder(tx: &Tx<'_>, ticket: &str) -> Option<UserId> {
    let mut validation = Validation::new(Algorithm::HS256);
    // The expiry is judged by the transaction's clock.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(&sealed::key(tx, TICKET));
    let claims = jsonwebtoken::decode::<Claims>(ticket, &key, &validation).ok()?.claims;
    (claims.exp > tx.now().unix()).then_some(UserId(claims.user_id))
}
