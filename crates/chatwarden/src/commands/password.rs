//! Where a new person's password comes from.

use std::io::{self, IsTerminal as _, Read as _};

use anyhow::{Context as _, bail};
use clap::Args;
use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::config::Secret;

/// Options that say where the password comes from. Without any it is asked for, or made when
/// there is no terminal to ask on.
#[derive(Clone, Debug, Args)]
pub struct Password {
    /// The password; other users of this machine can see it while the command runs
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["password_stdin", "generate_password"])]
    password: Option<String>,
    /// Read the password from the standard input
    #[arg(long, conflicts_with = "generate_password")]
    password_stdin: bool,
    /// Make a password and print it
    #[arg(long)]
    generate_password: bool,
}

/// A password, and whether its owner has seen it.
#[derive(Debug)]
pub enum Chosen {
    /// Somebody typed it.
    Given(Secret),
    /// It was made here and has to be told.
    Made(Secret),
}

impl Password {
    /// Takes, asks for, or makes the password.
    ///
    /// # Errors
    /// When the terminal or the standard input fails, or the two answers differ.
    pub fn choose(&self) -> anyhow::Result<Chosen> {
        if let Some(text) = &self.password {
            return Ok(Chosen::Given(Secret::new(text)));
        }
        if self.password_stdin {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).context("reading the password")?;
            return Ok(Chosen::Given(Secret::new(text.trim_end_matches(['\r', '\n']))));
        }
        if self.generate_password || !io::stdin().is_terminal() {
            return generate().map(Chosen::Made);
        }
        let first = rpassword::prompt_password("Password: ").context("asking for the password")?;
        let again = rpassword::prompt_password("Once more: ").context("asking for the password")?;
        if first != again {
            bail!("the two passwords differ");
        }
        Ok(Chosen::Given(Secret::new(first)))
    }
}

/// The kinds of characters Chatwoot wants one of each from, without those that look alike.
const KINDS: [&[u8]; 4] =
    [b"ABCDEFGHJKLMNPQRSTUVWXYZ", b"abcdefghijkmnpqrstuvwxyz", b"23456789", b"!#%+-=?@_"];

/// 24 characters of all kinds, about 130 bits.
fn generate() -> anyhow::Result<Secret> {
    loop {
        let mut text = String::new();
        while text.len() < 24 {
            text.push(character()?);
        }
        let complete = KINDS.iter().all(|kind| text.bytes().any(|byte| kind.contains(&byte)));
        if complete {
            return Ok(Secret::new(text));
        }
    }
}

/// One character, each equally likely.
fn character() -> anyhow::Result<char> {
    loop {
        let mut byte = [0_u8; 1];
        SysRng.try_fill_bytes(&mut byte).context("the system gives no random bytes")?;
        // Seven bits, and another try beyond the end: a remainder would favour the first ones.
        let [byte] = byte;
        if let Some(character) = KINDS.concat().get(usize::from(byte & 0x7f)) {
            return Ok(char::from(*character));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_passwords_are_strong_and_differ() {
        let made: Vec<Secret> = (0..50).map(|_| generate().expect("random bytes")).collect();
        for password in &made {
            let text = password.expose();
            assert_eq!(text.len(), 24);
            for kind in KINDS {
                assert!(text.bytes().any(|byte| kind.contains(&byte)), "{text}");
            }
            assert_eq!(made.iter().filter(|other| *other == password).count(), 1);
        }
    }

    #[test]
    fn a_given_password_is_taken_as_it_is() {
        let password = Password {
            password: Some(" kept as typed ".into()),
            password_stdin: false,
            generate_password: false,
        };
        match password.choose().expect("given") {
            Chosen::Given(secret) => assert_eq!(secret.expose(), " kept as typed "),
            Chosen::Made(_) => panic!("made"),
        }
    }
}
