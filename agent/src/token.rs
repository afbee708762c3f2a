//! The word that callers over TCP have to know.

use std::fmt;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

use crate::secret::{self, Holds, Reader, SecretError};

/// Shorter ones can be guessed.
const SHORTEST: usize = 16;
/// Far below what a header may hold.
const LONGEST: usize = 1_024;

/// What whoever has it may do, the agent's configuration says. It is never printed.
#[derive(Clone)]
pub struct Token(String);

/// Why a file holds no [`Token`].
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(transparent)]
    File(#[from] SecretError),
    #[error("the token file {path} is empty: `openssl rand -hex 32 > {path}` makes a token", path = path.display())]
    Empty { path: PathBuf },
    #[error("the token in {} has {length} bytes: at least {SHORTEST}, at most {LONGEST}", path.display())]
    Length { path: PathBuf, length: usize },
    #[error("what is in {} is no token: it is one word of visible ASCII characters", path.display())]
    Word { path: PathBuf },
}

impl Token {
    /// The one word in a file that others may neither read nor write.
    ///
    /// # Errors
    /// Says what is wrong with the file, and never what is in it.
    pub fn read(path: &Path, reader: Reader) -> Result<Self, TokenError> {
        let bytes = secret::read(path, Holds::Token, reader)?;
        let text = String::from_utf8(bytes).map_err(|_| TokenError::Word { path: path.to_owned() })?;
        Self::parse(text.trim(), path)
    }

    pub(crate) fn parse(word: &str, path: &Path) -> Result<Self, TokenError> {
        let path = path.to_owned();
        match word.len() {
            0 => Err(TokenError::Empty { path }),
            _ if !word.bytes().all(|byte| byte.is_ascii_graphic()) => Err(TokenError::Word { path }),
            length if !(SHORTEST..=LONGEST).contains(&length) => Err(TokenError::Length { path, length }),
            _ => Ok(Self(word.to_owned())),
        }
    }

    /// Whether the value of an `Authorization` header has this token: RFC 6750. How long it takes does not depend on how
    /// much of the token is right.
    #[must_use]
    pub fn is_in(&self, authorization: &[u8]) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        let Some((scheme, word)) = authorization.split_at_checked(SCHEME.len()) else { return false };
        scheme.eq_ignore_ascii_case(SCHEME) && self.0.as_bytes().ct_eq(word).into()
    }

    /// Whether the other one is the same word.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// Whether somebody who knows it has written it there.
    #[must_use]
    pub fn is_within(&self, text: &str) -> bool {
        text.contains(&self.0)
    }

    /// The value of an `Authorization` header.
    #[must_use]
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const WORD: &str = "0123456789abcdef";

    fn read(text: &[u8], mode: u32) -> Result<Token, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
        Token::read(file.path(), Reader::Command).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_is_one_word_and_white_space_around_it_is_none_of_it() {
        for text in [WORD.to_owned(), format!("{WORD}\n"), format!("\r\n {WORD}\t\n")] {
            assert_eq!(read(text.as_bytes(), 0o640).unwrap().authorization(), format!("Bearer {WORD}"));
        }
    }

    #[test]
    fn what_is_no_token_is_refused_with_its_reason_and_without_its_text() {
        let long = "a".repeat(LONGEST + 1);
        let endless = "a".repeat(100_000);
        for (text, reason) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("0123456789abcde", "has 15 bytes: at least 16"),
            (&long, "at most 1024"),
            (&endless, "has more than 2048 bytes"),
            ("0123456789 abcdef", "one word"),
            ("0123456789\nabcdef", "one word"),
            ("0123456789abcdéf", "one word"),
        ] {
            let error = read(text.as_bytes(), 0o600).unwrap_err();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("0123"), "{error}");
        }
        assert!(read(b"0123456789abcdef\xff", 0o600).unwrap_err().contains("one word"));
        let missing = Token::read(Path::new("/nonexistent"), Reader::Command).unwrap_err().to_string();
        assert!(missing.contains("cannot read the token file /nonexistent: No such file"), "{missing}");
    }

    #[test]
    fn only_the_whole_token_in_a_bearer_header_is_it() {
        let token = read(WORD.as_bytes(), 0o600).unwrap();
        assert!(token.is_in(token.authorization().as_bytes()));
        assert!(token.is_in(format!("bEARER {WORD}").as_bytes()), "schemes have no case: RFC 9110, 11.1");
        for wrong in [
            "",
            WORD,
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeg",
            "Bearer 0123456789abcdef0",
            "Bearer  0123456789abcdef",
            "Basic 0123456789abcdef",
            "Bearer\t0123456789abcdef",
            "Bearer 0123456789ABCDEF",
        ] {
            assert!(!token.is_in(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn it_is_not_printed() {
        let token = read(WORD.as_bytes(), 0o600).unwrap();
        assert_eq!(format!("{token:?} {:?}", Some(&token)), "Token Some(Token)");
    }
}
