//! Names in certificates, which also become names of files.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use tokio_rustls::rustls::pki_types::DnsName;

/// X.520's limit for a common name (`ub-common-name`).
const LONGEST: usize = 64;

/// Of an agent or of somebody who asks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
        let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !begins_well || text.len() > LONGEST || !text.bytes().all(is_plain) {
            return Err(format!(
                "{text:?} cannot be a name: write at most {LONGEST} of a-z, A-Z, 0-9 and . _ - @ +, a letter or digit first"
            ));
        }
        // Its files would be those of the authority.
        if text.eq_ignore_ascii_case("ca") {
            return Err("the authority itself is called so: choose another name".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Of an authority, which is no name of a file.
pub fn common_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > LONGEST || text.chars().any(char::is_control) {
        return Err(format!("{text:?} cannot be a name: write at most {LONGEST} visible characters"));
    }
    Ok(text.to_owned())
}

/// By what an agent is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Dns(String),
    Ip(IpAddr),
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = plain.parse::<IpAddr>() {
            return Ok(Self::Ip(address.to_canonical()));
        }
        let name = DnsName::try_from(text.to_owned());
        let name = name.map_err(|_| {
            format!(
                "{text:?} is no host: write a name such as web-1.example.com or an address, without a port"
            )
        })?;
        Ok(Self::Dns(name.as_ref().to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_files_in_one_directory() {
        let longest = "a".repeat(LONGEST);
        for text in ["web-1", "alice@example.com", "ci+chaos", "7", "a..b", &longest] {
            assert_eq!(text.parse::<Name>().unwrap().as_str(), text);
        }
        let longer = "a".repeat(LONGEST + 1);
        for text in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/etc/x",
            "-x",
            ".x",
            "a\\b",
            "a b",
            "a\nb",
            "a\0b",
            "a\u{1b}[2J",
            "ä",
            &longer,
        ] {
            assert!(text.parse::<Name>().unwrap_err().contains("cannot be a name"), "{text:?}");
        }
        for text in ["ca", "CA"] {
            assert!(text.parse::<Name>().unwrap_err().contains("authority itself"), "{text}");
        }
    }

    #[test]
    fn an_authority_may_have_spaces_in_its_name() {
        assert_eq!(common_name("Example Chaos CA").as_deref(), Ok("Example Chaos CA"));
        for text in ["", " ", "a\nb", &"x".repeat(LONGEST + 1)] {
            assert!(common_name(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn hosts_are_names_and_addresses() {
        let host = |text: &str| text.parse::<Host>().map(|host| host.to_string());
        for (text, host_of_it) in [
            ("Web-1.Example.com", "web-1.example.com"),
            ("10.0.0.11", "10.0.0.11"),
            ("fd00::11", "fd00::11"),
            ("[fd00::11]", "fd00::11"),
            ("::ffff:10.0.0.11", "10.0.0.11"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(host_of_it));
        }
        for text in ["", "web-1:7433", "10.0.0.300", "http://a", "a b", "*.example.com", "[web]"] {
            assert!(host(text).unwrap_err().contains("is no host"), "{text}");
        }
    }
}
