use std::os::unix::fs::PermissionsExt;

use super::*;

fn files(ca: &str, cert: &str, key: &str) -> TlsFiles {
    let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    TlsFiles { ca: path(ca), cert: path(cert), key: path(key) }
}

#[test]
fn a_certificate_and_its_key_stay_together() {
    let file = files("ca", "cert", "key");
    assert_eq!(files("", "", "").or(file.clone()), file);
    assert_eq!(files("other", "", "").or(file.clone()), files("other", "cert", "key"));
    assert_eq!(files("", "mine", "").or(file.clone()), files("ca", "mine", ""));
    assert_eq!(files("", "mine", "own").or(file.clone()), files("ca", "mine", "own"));
    assert_eq!(file.beside(Path::new("/etc/x")), files("/etc/x/ca", "/etc/x/cert", "/etc/x/key"));
    assert!(
        !files("", "", "").is_named() && files("ca", "", "").is_named() && files("", "", "key").is_named()
    );
}

/// An authority and a key of another one.
struct Made {
    dir: tempfile::TempDir,
}

impl Made {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [ours, other] = [0, 1].map(|_| rcgen::KeyPair::generate().unwrap());
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let made = Self { dir };
        made.write("crt", &params.self_signed(&ours).unwrap().pem(), 0o644);
        made.write("key", &ours.serialize_pem(), 0o600);
        made.write("other.key", &other.serialize_pem(), 0o600);
        made.write("empty", "", 0o600);
        made
    }

    fn at(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        std::fs::write(self.at(name), text).unwrap();
        self.mode(name, mode);
    }

    fn mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.at(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn config(&self, [ca, cert, key]: [&str; 3]) -> Result<(), String> {
        let [ca, cert, key] =
            [ca, cert, key].map(|name| if name.is_empty() { String::new() } else { self.at(name) });
        files(&ca, &cert, &key).config().map(drop)
    }
}

#[test]
fn files_that_fit_make_a_client() {
    let made = Made::new();
    assert_eq!(made.config(["crt", "", ""]), Ok(()));
    assert_eq!(made.config(["crt", "crt", "key"]), Ok(()));
    // The group of an operator may read its key.
    made.mode("key", 0o640);
    assert_eq!(made.config(["crt", "crt", "key"]), Ok(()));
}

#[test]
fn files_that_do_not_are_refused_with_their_names() {
    let made = Made::new();
    for (names, reason) in [
        (["nosuch", "", ""], "nosuch: No such file"),
        (["key", "", ""], "there is none; a file of them begins with -----BEGIN CERTIFICATE-----"),
        (["empty", "", ""], "there is none"),
        (["crt", "crt", ""], "is of no use without its key: name that with --tls-key"),
        (["crt", "", "key"], "is of no use without its certificate: name that with --tls-cert"),
        (["crt", "crt", "other.key"], "other.key is not the key of the certificate"),
        (["crt", "crt", "empty"], "there is none; a file of them begins with -----BEGIN PRIVATE KEY-----"),
    ] {
        let error = made.config(names).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_key_that_every_user_may_read_or_write_is_refused() {
    let made = Made::new();
    for mode in [0o644, 0o604, 0o602, 0o666] {
        made.mode("key", mode);
        let error = made.config(["crt", "crt", "key"]).unwrap_err();
        assert!(error.contains(&format!("(its mode is {mode:04o}): `chmod o= ")), "{error}");
    }
}
