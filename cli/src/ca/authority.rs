//! What is in certificates, and for how long they are good.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use partition_agent_core::secret::{self, Holds, Reader};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use x509_parser::parse_x509_certificate;

use super::name::{Host, Name};
use crate::args::Role;

/// Clocks of hosts differ: what is made now is good on one that is a little behind.
const BEFORE: Duration = Duration::from_secs(300);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Of agents and callers.
const USUAL_DAYS: u32 = 365;

/// Who a certificate is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Subject {
    /// Whom others ask, by these names and addresses.
    Agent(Vec<Host>),
    /// Who asks.
    Caller(Role),
}

/// A certificate and its key, as PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
    pub until: Timestamp,
}

/// What signs. It is good until then.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    until: Timestamp,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// No randomness, or a time beyond the calendar.
    pub fn make(name: &str, days: u32, now: Timestamp) -> Result<Issued, String> {
        let until = after(now, days)?;
        let mut params = params(name, now, until)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = new_key()?;
        let certificate = params.self_signed(&key).map_err(|error| error.to_string())?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem(), until })
    }

    /// That of these files.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, String> {
        let unusable =
            |why: &dyn std::fmt::Display| format!("{} is no authority: {why}", certificate.display());
        let der = CertificateDer::from_pem_slice(&read(certificate)?).map_err(|error| unusable(&error))?;
        let (_, parsed) = parse_x509_certificate(&der).map_err(|error| unusable(&error))?;
        if !parsed.is_ca() {
            return Err(unusable(&"its certificate may not sign others (basicConstraints CA:TRUE)"));
        }
        let pem = secret::read(key, Holds::Key, Reader::Command).map_err(|error| error.to_string())?;
        let pair = KeyPair::from_pem(&String::from_utf8_lossy(&pem)).map_err(|error| {
            let key = key.display();
            format!(
                "{key} is no key that can sign: {error}; `openssl pkcs8 -topk8 -nodes -in {key}` writes one in the form that can \
                 be read (PKCS #8, no passphrase)"
            )
        })?;
        if pair.subject_public_key_info() != parsed.public_key().raw {
            return Err(format!("{} is not the key of {}", key.display(), certificate.display()));
        }
        let until = Timestamp::from_second(parsed.validity().not_after.timestamp())
            .map_err(|error| unusable(&error))?;
        let issuer = Issuer::from_ca_cert_der(&der, pair).map_err(|error| unusable(&error))?;
        Ok(Self { issuer, until })
    }

    /// Good for so long, or else for a year or as long as the authority is.
    ///
    /// # Errors
    /// The authority ends first, or has ended.
    pub fn issue(
        &self,
        name: &Name,
        whose: &Subject,
        days: Option<u32>,
        now: Timestamp,
    ) -> Result<Issued, String> {
        if self.until <= now {
            return Err(format!(
                "the authority expired at {}: make another one with `partition-agent ca init --dir OTHER`, and issue all \
                 certificates anew from that",
                self.until
            ));
        }
        let until = match days {
            None => after(now, USUAL_DAYS)?.min(self.until),
            Some(days) => {
                let until = after(now, days)?;
                if until > self.until {
                    return Err(format!(
                        "{days} days from now is {until}, and the authority itself expires at {}: issue for fewer --days, or \
                         make another authority with `partition-agent ca init --dir OTHER`",
                        self.until
                    ));
                }
                until
            }
        };
        let mut params = params(name.as_str(), now, until)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        match whose {
            Subject::Agent(hosts) => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                params.subject_alt_names = hosts.iter().map(alternative).collect::<Result<_, _>>()?;
            }
            Subject::Caller(role) => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                params.distinguished_name.push(DnType::OrganizationalUnitName, role.name());
            }
        }
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|error| error.to_string())?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem(), until })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        format!(
            "cannot read {}: {error}; `partition-agent ca init` makes an authority, --dir names the directory of one",
            path.display()
        )
    })
}

fn new_key() -> Result<KeyPair, String> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| error.to_string())
}

/// The serial number is rcgen's: 159 bits of the SHA-256 of a key that nobody had before, so as random as that.
fn params(name: &str, now: Timestamp, until: Timestamp) -> Result<CertificateParams, String> {
    let instant = |at: Timestamp| {
        OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|error| error.to_string())
    };
    let mut params = CertificateParams::default();
    params.not_before = instant(now - BEFORE)?;
    params.not_after = instant(until)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn alternative(host: &Host) -> Result<SanType, String> {
    match host {
        Host::Dns(name) => {
            Ok(SanType::DnsName(name.as_str().try_into().map_err(|error: rcgen::Error| error.to_string())?))
        }
        Host::Ip(address) => Ok(SanType::IpAddress(*address)),
    }
}

/// To the second, as certificates have it.
fn after(now: Timestamp, days: u32) -> Result<Timestamp, String> {
    let at = now.checked_add(DAY * days).map_err(|error| error.to_string())?;
    Timestamp::from_second(at.as_second()).map_err(|error| error.to_string())
}
