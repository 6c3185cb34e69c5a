//! Secrets nobody gave: made at the first start and kept in `DATA_DIR`, readable by the owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};

use crate::config::{Config, Secret};

/// The folder in `DATA_DIR`.
const FOLDER: &str = "secrets";

/// The secrets of an installation.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// What sessions and signed links rest on (`SECRET_KEY_BASE`).
    pub key_base: Secret,
    /// What operators show to read (`ACTUATOR_TOKEN`).
    pub actuator_token: Secret,
    /// The files that were made by this call.
    pub made: Vec<PathBuf>,
}

/// A secret can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file system refused.
    #[error("{path}: {doing} failed: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Others can read it, so it may not be secret any more.
    #[error(
        "{path} is accessible to others (mode {found:04o}): replace the secret if they may have \
         read it, then `chmod {wanted:o} {path}`"
    )]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        found: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// The file does not hold what was written to it.
    #[error(
        "{path} holds no secret made by this program: restore it, or remove it to have a new one"
    )]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The system has no randomness.
    #[error("the system gives no random bytes: {0}")]
    Entropy(String),
}

impl Secrets {
    /// Takes what the configuration gives, and reads or makes the rest.
    ///
    /// # Errors
    /// When a file can't be read or made, or when others can read it.
    pub fn load(config: &Config) -> Result<Self, SecretError> {
        let folder = config.server.data_dir.join(FOLDER);
        let mut made = Vec::new();
        let mut obtain = |given: Option<&Secret>, name: &str| match given {
            Some(given) => Ok(given.clone()),
            None => keep(&folder, name, &mut made),
        };
        let key_base = config.server.secret_key_base.as_ref().map(|given| &given.0);
        let key_base = obtain(key_base, "secret_key_base")?;
        let actuator_token = obtain(config.management.token.as_ref(), "actuator_token")?;
        Ok(Self { key_base, actuator_token, made })
    }

    /// What this installation's keys and channels in Redis begin with: publish and subscribe know no numbers of
    /// databases, and accounts of another installation have the same ids.
    pub fn namespace(&self) -> String {
        let digest =
            Sha256::digest([b"redis namespace:", self.key_base.expose().as_bytes()].concat());
        let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("chatwarden:{short}")
    }
}

/// Reads the secret `name`, or makes it.
fn keep(folder: &Path, name: &str, made: &mut Vec<PathBuf>) -> Result<Secret, SecretError> {
    private_folder(folder)?;
    let path = folder.join(name);
    if let Some(secret) = read(&path)? {
        return Ok(secret);
    }
    write(folder, &path, &generate()?)?;
    made.push(path.clone());
    // Read back: another process may have been first, and what counts is what a restart will find.
    read(&path)?.ok_or(SecretError::Content { path })
}

fn private_folder(folder: &Path) -> Result<(), SecretError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| failed(folder, "making the folder", source))?;
    let mode = fs::metadata(folder)
        .map_err(|source| failed(folder, "looking at the folder", source))?
        .permissions()
        .mode();
    closed(folder, mode, 0o700)
}

fn read(path: &Path) -> Result<Option<Secret>, SecretError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(path, "reading", source)),
    };
    let mode =
        file.metadata().map_err(|source| failed(path, "reading", source))?.permissions().mode();
    closed(path, mode, 0o600)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|source| failed(path, "reading", source))?;
    let text = text.trim();
    let sound = text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !sound {
        return Err(SecretError::Content { path: path.to_owned() });
    }
    Ok(Some(Secret::new(text)))
}

/// Writes beside the file and links it into place, so that no reader meets half a secret and the
/// first of two processes wins.
fn write(folder: &Path, path: &Path, text: &str) -> Result<(), SecretError> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(|source| failed(&draft, "making the file", source))?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .map_err(|source| failed(&draft, "writing", source));
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed(path, "making the file", source))
        }
        _ => Ok(()),
    });
    fs::remove_file(&draft).map_err(|source| failed(&draft, "removing the draft", source))?;
    linked?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| failed(folder, "writing", source))
}

const BYTES: usize = 64;

/// 64 random bytes in hexadecimal.
fn generate() -> Result<String, SecretError> {
    let mut bytes = [0_u8; BYTES];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| SecretError::Entropy(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn closed(path: &Path, mode: u32, wanted: u32) -> Result<(), SecretError> {
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(SecretError::Open { path: path.to_owned(), found: mode & 0o7777, wanted }),
    }
}

fn failed(path: &Path, doing: &'static str, source: io::Error) -> SecretError {
    SecretError::Io { path: path.to_owned(), doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").permissions().mode() & 0o7777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    }

    #[test]
    fn a_secret_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("data").join(FOLDER);
        let mut made = Vec::new();
        let first = keep(&folder, "key", &mut made).expect("made");
        let second = keep(&folder, "key", &mut made).expect("read");
        assert_eq!(first, second);
        assert_eq!(first.expose().len(), 128);
        assert_eq!(made, [folder.join("key")]);
        assert_eq!((mode(&folder), mode(&folder.join("key"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1, "no draft is left");
        let other = keep(&folder, "other", &mut made).expect("made");
        assert_ne!(first, other);
    }

    #[test]
    fn installations_on_one_redis_are_told_apart_by_their_secret() {
        let of = |key_base: &str| {
            let (key_base, actuator_token) = (Secret::new(key_base), Secret::new(""));
            Secrets { key_base, actuator_token, made: Vec::new() }.namespace()
        };
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
    }

    #[test]
    fn what_others_can_read_is_refused() {
        for (file, folder_mode, part) in [
            (0o640, 0o700, "key is accessible to others (mode 0640)"),
            (0o604, 0o700, "`chmod 600 "),
            (0o600, 0o750, "secrets is accessible to others (mode 0750)"),
        ] {
            let dir = tempfile::tempdir().expect("a folder");
            let folder = dir.path().join(FOLDER);
            keep(&folder, "key", &mut Vec::new()).expect("made");
            chmod(&folder.join("key"), file);
            chmod(&folder, folder_mode);
            let error = keep(&folder, "key", &mut Vec::new()).expect_err("refused").to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_damaged_secret_is_not_replaced_silently() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join(FOLDER);
        keep(&folder, "key", &mut Vec::new()).expect("made");
        for text in ["", "short", &"x".repeat(128)] {
            fs::write(folder.join("key"), text).expect("written");
            let error = keep(&folder, "key", &mut Vec::new()).expect_err("refused");
            assert!(matches!(error, SecretError::Content { .. }), "{error}");
        }
    }

    #[test]
    fn the_first_of_two_writers_wins() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join(FOLDER);
        let first = keep(&folder, "key", &mut Vec::new()).expect("made");
        write(&folder, &folder.join("key"), &"0".repeat(128)).expect("written");
        assert_eq!(keep(&folder, "key", &mut Vec::new()).expect("read"), first);
    }
}
