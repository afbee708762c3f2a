//! `[[tokens]]`: the words that callers over TCP may have, each with a name, a role, and where it may come from.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnetwork::IpNetwork;
use partition_agent_proto::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::secret::Reader;
use crate::token::{Token, TokenError};

/// The name of the one that `token_file` holds.
const OF_TOKEN_FILE: &str = "token";
/// Longer ones do not fit on a line of the history.
const LONGEST_NAME: usize = 64;

/// An entry of `[[tokens]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// Who this is, for the history and the log: 1 to 64 letters, digits, `.`, `_`, `@` and `-`.
    #[schema(pattern = "^[A-Za-z0-9._@-]{1,64}$")]
    pub name: String,
    /// The file with the token.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// What whoever has it may do.
    pub role: Role,
    /// Where it may come from; anywhere without it.
    #[schema(value_type = Vec<String>, required = false, examples("10.1.0.0/16"))]
    pub from: Option<Vec<IpNetwork>>,
}

/// Why there are no such tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(
        "`{}` is no name for a token: 1 to {LONGEST_NAME} letters, digits, `.`, `_`, `@` and `-`",
        .0.escape_debug()
    )]
    Name(String),
    #[error("two tokens have the name `{0}`: callers are told apart by it, so give each a name of its own")]
    SameName(String),
    #[error(
        "the tokens `{0}` and `{1}` are the same word: make one of them anew with `openssl rand -hex 32`"
    )]
    SameWord(String, String),
    #[error(
        "`from` of the token `{0}` is empty, so it could come from nowhere: name networks, or leave it out"
    )]
    Nowhere(String),
}

#[derive(Debug, Clone)]
struct Entry {
    token: Token,
    name: String,
    role: Role,
    from: Option<Vec<IpNetwork>>,
}

/// All that there are.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<Entry>);

/// What a token that is right allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allows<'a> {
    pub name: &'a str,
    pub role: Role,
    /// Whether it may come from where it came from.
    pub here: bool,
}

impl Tokens {
    /// `token_file`, which allows everything, and the entries of `[[tokens]]`.
    ///
    /// # Errors
    /// A file that holds none, or entries that cannot be told apart.
    pub fn read(token_file: Option<&Path>, entries: &[TokenEntry]) -> Result<Self, TokensError> {
        let mut all = Self::default();
        if let Some(file) = token_file {
            let (token, name) = (Token::read(file, Reader::Agent)?, OF_TOKEN_FILE.to_owned());
            all.0.push(Entry { token, name, role: Role::Admin, from: None });
        }
        let mut names = all.0.iter().map(|entry| entry.name.clone()).collect::<BTreeSet<_>>();
        for TokenEntry { name, file, role, from } in entries {
            if !is_name(name) {
                return Err(TokensError::Name(name.clone()));
            }
            if !names.insert(name.clone()) {
                return Err(TokensError::SameName(name.clone()));
            }
            if from.as_ref().is_some_and(Vec::is_empty) {
                return Err(TokensError::Nowhere(name.clone()));
            }
            let token = Token::read(file, Reader::Agent)?;
            if let Some(same) = all.0.iter().find(|entry| entry.token.is(&token)) {
                return Err(TokensError::SameWord(same.name.clone(), name.clone()));
            }
            all.0.push(Entry { token, name: name.clone(), role: *role, from: from.clone() });
        }
        Ok(all)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the token in the value of an `Authorization` header allows. All of them are compared, so that the time says neither
    /// whether one was right nor which.
    #[must_use]
    pub fn find(&self, authorization: &[u8], from: IpAddr) -> Option<Allows<'_>> {
        let mut found = None;
        for entry in &self.0 {
            if entry.token.is_in(authorization) {
                found = Some(entry);
            }
        }
        let entry = found?;
        let from = from.to_canonical();
        let here = entry.from.as_ref().is_none_or(|nets| nets.iter().any(|net| net.contains(from)));
        Some(Allows { name: &entry.name, role: entry.role, here })
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const WORDS: [&str; 3] = ["the-first-of-words", "the-second-of-words", "the-third-of-words"];

    fn file(word: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(word.as_bytes()).unwrap();
        file
    }

    fn entry(name: &str, file: &tempfile::NamedTempFile, role: Role, from: Option<&[&str]>) -> TokenEntry {
        let from = from.map(|nets| nets.iter().map(|net| net.parse().unwrap()).collect());
        TokenEntry { name: name.to_owned(), file: file.path().to_owned(), role, from }
    }

    #[test]
    fn a_token_is_known_by_its_name_its_role_and_where_it_comes_from() {
        let files = WORDS.map(file);
        let entries = [
            entry("grafana", &files[1], Role::Observe, None),
            entry("ci@build", &files[2], Role::Inject, Some(&["10.1.0.0/16", "fd00::/8", "127.0.0.1"])),
        ];
        let tokens = Tokens::read(Some(files[0].path()), &entries).unwrap();
        let find = |nth: usize, from: &str| {
            let found = tokens.find(format!("Bearer {}", WORDS[nth]).as_bytes(), from.parse().unwrap());
            found.map(|allows| (allows.name.to_owned(), allows.role, allows.here))
        };
        assert_eq!(find(0, "192.0.2.1"), Some(("token".to_owned(), Role::Admin, true)));
        assert_eq!(find(1, "192.0.2.1"), Some(("grafana".to_owned(), Role::Observe, true)));
        let ci = |here| Some(("ci@build".to_owned(), Role::Inject, here));
        for here in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "127.0.0.1"] {
            assert_eq!(find(2, here), ci(true), "{here}");
        }
        for elsewhere in ["10.2.0.1", "::ffff:10.2.0.1", "fe80::1", "127.0.0.2", "::1"] {
            assert_eq!(find(2, elsewhere), ci(false), "{elsewhere}");
        }
        for wrong in
            ["Bearer the-fourth-of-words", "Bearer ", "", "Basic the-first-of-words", "the-first-of-words"]
        {
            assert_eq!(tokens.find(wrong.as_bytes(), "192.0.2.1".parse().unwrap()), None, "{wrong}");
        }
    }

    #[test]
    fn tokens_that_cannot_be_told_apart_are_refused() {
        let files = WORDS.map(file);
        let one = |name: &str, nth: usize| entry(name, &files[nth], Role::Inject, None);
        for (token_file, entries, reason) in [
            (None, vec![one("a", 0), one("a", 1)], "two tokens have the name `a`"),
            (Some(0), vec![one("token", 1)], "two tokens have the name `token`"),
            (Some(0), vec![one("a", 0)], "`token` and `a` are the same word"),
            (None, vec![one("a", 1), one("b", 1)], "`a` and `b` are the same word"),
            (None, vec![one("", 0)], "`` is no name"),
            (None, vec![one("a\nb", 0)], "`a\\nb` is no name"),
            (None, vec![one("x from 10.0.0.1", 0)], "is no name"),
            (None, vec![one(&"a".repeat(65), 0)], "is no name"),
            (None, vec![entry("a", &files[0], Role::Inject, Some(&[]))], "`from` of the token `a` is empty"),
        ] {
            let token_file = token_file.map(|nth: usize| files[nth].path());
            let error = Tokens::read(token_file, &entries).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(WORDS.iter().all(|word| !error.contains(word)), "{error}");
        }
    }

    #[test]
    fn an_entry_names_its_role_and_nothing_unknown() {
        let read = |text: &str| toml::from_str::<TokenEntry>(text).map_err(|error| error.to_string());
        let whole = "name = 'a'\nfile = '/f'\nrole = 'observe'\nfrom = ['10.0.0.0/8', '::1']";
        assert_eq!(read(whole).unwrap().from.unwrap().len(), 2);
        assert!(read("name = 'a'\nfile = '/f'").unwrap_err().contains("role"));
        assert!(read("name = 'a'\nfile = '/f'\nrole = 'root'").unwrap_err().contains("observe"));
        assert!(read(&format!("{whole}\nuntil = '1h'")).unwrap_err().contains("until"));
    }
}
