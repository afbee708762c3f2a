//! What a client's certificate says of its holder: the name is the CN of its subject, the role the OU. Whether to believe it
//! is decided before, by the TLS library.

use partition_agent_proto::{Problem, ProblemCode, Role};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::x509::AttributeTypeAndValue;

/// `ub-common-name` of RFC 5280.
const LONGEST_NAME: usize = 64;

/// Whoever holds the key of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub name: String,
    pub role: Role,
}

impl Holder {
    /// # Errors
    /// It says no role, or several, or no name that can stand in a log.
    pub fn of(der: &[u8]) -> Result<Self, Problem> {
        let refused = |detail: String| {
            Problem::new(ProblemCode::Forbidden, detail).hint(
                "a client's certificate says in its subject who it is, CN=NAME, and what it may do, OU=observe, OU=inject or \
                 OU=admin: issue another one",
            )
        };
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| refused(format!("the client's certificate cannot be read: {error}")))?;
        let subject = certificate.subject();
        let names = texts(subject.iter_common_name());
        let [name] = names.as_slice() else {
            return Err(refused(format!("the client's certificate has {} names (CN), not one", names.len())));
        };
        // It ends up in the history and in the log.
        let is_plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        if name.trim().is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_plain) {
            let detail = format!(
                "`{}` in the client's certificate is no name (CN): 1 to {LONGEST_NAME} visible ASCII characters",
                name.escape_debug()
            );
            return Err(refused(detail));
        }
        let units = texts(subject.iter_organizational_unit());
        let roles = units.iter().filter_map(|unit| unit.parse::<Role>().ok()).collect::<Vec<_>>();
        match roles.as_slice() {
            [role] => Ok(Self { name: (*name).to_owned(), role: *role }),
            [] => Err(refused(format!("the certificate of {name} has no role (OU)"))),
            [_, _, ..] => {
                Err(refused(format!("the certificate of {name} has {} roles (OU), not one", roles.len())))
            }
        }
    }
}

fn texts<'a>(attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Vec<&'a str> {
    attributes.filter_map(|attribute| attribute.as_str().ok()).collect()
}

/// The host names that a server's certificate is for. A pattern is none.
#[must_use]
pub fn host_names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) if !name.contains('*') => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}
