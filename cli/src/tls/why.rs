//! What an error of TLS means for an operator: which end has to be put right, and how. The words of rustls come along.

use jiff::Timestamp;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// What went wrong, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Why {
    pub why: String,
    pub hint: String,
}

/// Of an agent that was asked over TLS, by somebody who had a certificate to show or had none.
pub fn explain(error: &Error, has_certificate: bool) -> Option<Why> {
    let (what, hint) = match error {
        Error::InvalidCertificate(wrong) => distrusted(wrong),
        Error::AlertReceived(alert) => refused(*alert, has_certificate)?,
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => (
            "what answers there does not speak TLS".to_owned(),
            "write http:// for an agent without [tls], or give it one in its agent.toml and restart it",
        ),
        _ => return None,
    };
    Some(Why { why: format!("{what}: {error}"), hint: hint.to_owned() })
}

fn distrusted(wrong: &CertificateError) -> (String, &'static str) {
    match wrong {
        // With the same name and another key it is the signature that is wrong.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            "its certificate is from an authority that is not trusted here".to_owned(),
            "name the authority that issued it with --tls-ca, or as `ca` under [tls] of the fleet file. If that is the right \
             one, it is not the agent that answers there",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "its certificate is for other names".to_owned(),
            "ask for it by a name that the certificate has, or issue one with this name, too: `partition-agent ca issue NAME \
             --host HOST,HOST`",
        ),
        CertificateError::Expired => ("its certificate has expired".to_owned(), RENEW),
        CertificateError::ExpiredContext { not_after, .. } => {
            (format!("its certificate expired at {}", instant(*not_after)), RENEW)
        }
        CertificateError::NotValidYet => ("its certificate is not valid yet".to_owned(), CLOCK),
        CertificateError::NotValidYetContext { not_before, .. } => {
            (format!("its certificate is valid from {} on", instant(*not_before)), CLOCK)
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => (
            "its certificate is not one of an agent".to_owned(),
            "issue one for it: `partition-agent ca issue NAME --host HOST` makes certificates of agents, --role those of callers",
        ),
        _ => (
            "its certificate cannot be believed".to_owned(),
            "issue another one for it: `partition-agent ca issue NAME --host HOST`",
        ),
    }
}

const RENEW: &str = "issue another one (`partition-agent ca issue NAME --host HOST`), put it there and restart the agent; or, if \
                     the clock of this host is wrong, set that";

const CLOCK: &str = "is the clock of this host right?";

/// What the agent said before it hung up: RFC 8446, 6.2.
fn refused(alert: AlertDescription, has_certificate: bool) -> Option<(String, &'static str)> {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired => Some((WANTED.to_owned(), SHOW)),
        // As versions before 1.3 say it.
        Alert::HandshakeFailure | Alert::BadCertificate if !has_certificate => {
            Some((WANTED.to_owned(), SHOW))
        }
        Alert::CertificateExpired => Some((
            "it says that the certificate of this command has expired, or is not valid yet".to_owned(),
            "issue another one (`partition-agent ca issue NAME --role ROLE`); `openssl x509 -noout -dates -in FILE` shows its \
             time",
        )),
        Alert::UnknownCA | Alert::DecryptError => Some((
            "it does not trust the authority of the certificate of this command".to_owned(),
            "show one of the authority that is its `client_ca` with --tls-cert and --tls-key",
        )),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateUnknown
        | Alert::CertificateRevoked
        | Alert::AccessDenied => Some((
            "it refuses the certificate of this command".to_owned(),
            "show one that was made for callers: `partition-agent ca issue NAME --role ROLE`; the agent's log has its reason",
        )),
        _ => None,
    }
}

const WANTED: &str = "it wants a certificate of whoever asks, and none was shown";

const SHOW: &str = "show one with --tls-cert and --tls-key, or as `cert` and `key` under [tls] of the fleet file; \
                    `partition-agent ca issue NAME --role ROLE` makes it";

fn instant(at: UnixTime) -> String {
    let seconds = i64::try_from(at.as_secs()).ok();
    let at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
}

/// Of an agent that was asked without TLS: what comes back from one that speaks it is no HTTP, or nothing.
pub const PERHAPS_TLS: &str =
    "is it an agent? If it speaks TLS, write https:// and name its authority with --tls-ca";

/// Of one that hung up on somebody who showed no certificate.
pub const PERHAPS_WANTED: &str =
    "is it an agent? If it wants a certificate, show one with --tls-cert and --tls-key";

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: Error, has_certificate: bool) -> String {
        let Why { why, hint } = explain(&error, has_certificate).unwrap();
        assert!(why.ends_with(&format!(": {error}")), "the words of rustls are in {why}");
        format!("{why}\n{hint}")
    }

    #[test]
    fn a_certificate_that_is_not_believed_is_told_with_what_to_do() {
        let second = |second| UnixTime::since_unix_epoch(std::time::Duration::from_secs(second));
        for (wrong, what, hint) in [
            (CertificateError::UnknownIssuer, "authority that is not trusted here", "--tls-ca"),
            (CertificateError::BadSignature, "authority that is not trusted here", "--tls-ca"),
            (
                CertificateError::ExpiredContext {
                    time: second(1_800_000_000),
                    not_after: second(1_700_000_000),
                },
                "expired at 2023-11-14T22:13:20Z",
                "ca issue NAME --host",
            ),
            (
                CertificateError::NotValidYetContext { time: second(0), not_before: second(1_700_000_000) },
                "valid from 2023-11-14T22:13:20Z on",
                "clock",
            ),
            (CertificateError::InvalidPurpose, "not one of an agent", "--host HOST"),
            (CertificateError::BadEncoding, "cannot be believed", "issue another"),
        ] {
            let told = told(Error::InvalidCertificate(wrong), true);
            assert!(told.contains(what) && told.contains(hint), "{told}");
        }
    }

    #[test]
    fn a_refusal_goes_by_whether_a_certificate_was_shown() {
        use AlertDescription as Alert;
        for (alert, has_certificate, what) in [
            (Alert::CertificateRequired, false, "none was shown"),
            (Alert::HandshakeFailure, false, "none was shown"),
            (Alert::BadCertificate, false, "none was shown"),
            (Alert::BadCertificate, true, "refuses the certificate"),
            (Alert::UnknownCA, true, "does not trust the authority"),
            (Alert::CertificateExpired, true, "has expired"),
        ] {
            let told = told(Error::AlertReceived(alert), has_certificate);
            assert!(told.contains(what), "{told}");
        }
        // Other reasons than certificates.
        assert_eq!(explain(&Error::AlertReceived(Alert::HandshakeFailure), true), None);
        assert_eq!(explain(&Error::AlertReceived(Alert::ProtocolVersion), false), None);
    }
}
