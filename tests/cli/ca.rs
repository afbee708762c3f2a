//! An authority and its certificates, judged by openssl.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{has_tool, text};
use serde_json::Value;

use crate::run::{Run, finish, program};

/// A directory with an authority in `ca`.
pub struct Made {
    dir: tempfile::TempDir,
}

impl Made {
    pub fn new() -> Self {
        Self::called("init")
    }

    pub fn called(init: &str) -> Self {
        let made = Self { dir: tempfile::tempdir().unwrap() };
        made.ca(init).done();
        made
    }

    /// `ca`, with these words and its directory.
    pub fn ca(&self, words: &str) -> Run {
        finish(program(&format!("ca {words} --dir {}", self.at("").display())).spawn().unwrap())
    }

    pub fn issued(self, words: &str) -> Self {
        self.ca(&format!("issue {words}")).done();
        self
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("ca").join(name)
    }

    /// With a shell in its directory.
    #[track_caller]
    pub fn shell(&self, script: &str) -> String {
        let done = Command::new("bash").args(["-ec", script]).current_dir(self.at("")).output().unwrap();
        assert!(done.status.success(), "{script}: {}{}", text(&done.stdout), text(&done.stderr));
        text(&done.stdout)
    }

    fn verifies(&self, purpose: &str, name: &str) -> bool {
        let verify = ["verify", "-x509_strict", "-CAfile", "ca.crt", "-purpose", purpose, name];
        Command::new("openssl").args(verify).current_dir(self.at("")).output().unwrap().status.success()
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn an_authority_is_one_to_openssl() {
    if !has_tool("openssl") {
        return;
    }
    let made = Made::new();
    let shown = made.shell(
        "openssl x509 -in ca.crt -noout -text; openssl x509 -in ca.crt -noout -checkend $((3649*86400))",
    );
    for part in [
        "Public Key Algorithm: id-ecPublicKey",
        "NIST CURVE: P-256",
        "Subject: CN = partition-agent CA",
        "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0",
        "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign",
        "Certificate will not expire",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(
        [mode(&made.at("")), mode(&made.at("ca.key")), mode(&made.at("ca.crt"))],
        [0o700, 0o600, 0o644]
    );
    // The key is the certificate's.
    let keys = made.shell("openssl pkey -in ca.key -pubout; echo; openssl x509 -in ca.crt -noout -pubkey");
    let (one, other) = keys.split_once("\n\n").unwrap();
    assert_eq!(one.trim(), other.trim());
}

#[test]
fn certificates_are_good_for_one_end_each() {
    if !has_tool("openssl") {
        return;
    }
    let made = Made::new()
        .issued("web-1 --host web-1.example.com,10.0.0.11,fd00::11")
        .issued("alice@example.com --role inject --days 30");
    assert!(made.verifies("sslserver", "web-1.crt") && !made.verifies("sslclient", "web-1.crt"));
    assert!(
        made.verifies("sslclient", "alice@example.com.crt")
            && !made.verifies("sslserver", "alice@example.com.crt")
    );
    let server = made.shell("openssl x509 -in web-1.crt -noout -text");
    for part in [
        "Subject: CN = web-1\n",
        "DNS:web-1.example.com, IP Address:10.0.0.11, IP Address:FD00:0:0:0:0:0:0:11\n",
        "X509v3 Extended Key Usage: \n                TLS Web Server Authentication\n",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "CA:FALSE",
        "NIST CURVE: P-256",
    ] {
        assert!(server.contains(part), "{part}: {server}");
    }
    let client = made.shell("openssl x509 -in alice@example.com.crt -noout -text");
    for part in [
        "Subject: CN = alice@example.com, OU = inject\n",
        "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n",
        "X509v3 Authority Key Identifier",
    ] {
        assert!(client.contains(part), "{part}: {client}");
    }
    assert!(!client.contains("Subject Alternative Name"), "{client}");
    // Good already for a clock that is minutes behind, and for as long as was said.
    made.shell("openssl verify -CAfile ca.crt -attime $(($(date +%s)-240)) web-1.crt alice@example.com.crt");
    made.shell("openssl x509 -in web-1.crt -noout -checkend $((364*86400)); ! openssl x509 -in web-1.crt -noout -checkend $((366*86400))");
    made.shell("openssl x509 -in alice@example.com.crt -noout -checkend $((29*86400)); ! openssl x509 -in alice@example.com.crt -noout -checkend $((31*86400))");
    // Serial numbers cannot be guessed, and differ.
    let serials =
        made.shell("for c in ca web-1 alice@example.com; do openssl x509 -in $c.crt -noout -serial; done");
    let serials = serials.lines().collect::<std::collections::BTreeSet<_>>();
    // 159 bits in hexadecimal; that the upper 31 of them are zero happens once in two thousand million.
    assert!(
        serials.len() == 3 && serials.iter().all(|line| line.len() >= "serial=".len() + 32),
        "{serials:?}"
    );
    for key in ["web-1.key", "alice@example.com.key"] {
        assert_eq!(mode(&made.at(key)), 0o600, "{key}");
    }
}

#[test]
fn what_is_made_is_told_with_what_to_do() {
    let made = Made::new();
    let agent = made.ca("issue web-1 --host 10.0.0.11").done();
    for part in [
        "asked as 10.0.0.11; until 20",
        "chown root:partition-agent /etc/partition-agent/web-1.key",
        "    [tls]\n    cert = \"/etc/partition-agent/web-1.crt\"\n    key = \"/etc/partition-agent/web-1.key\"\n    \
         client_ca = \"/etc/partition-agent/ca.crt\"\n",
    ] {
        assert!(agent.contains(part), "{part}: {agent}");
    }
    let caller = made.ca("issue alice --role admin").done();
    assert!(caller.contains("--tls-ca ca.crt --tls-cert alice.crt --tls-key alice.key"), "{caller}");
    assert!(
        caller.contains("[tls]\n    ca = \"ca.crt\"\n    cert = \"alice.crt\"\n    key = \"alice.key\""),
        "{caller}"
    );
    let json = made.ca("issue bob --role observe --json").json::<Value>();
    assert_eq!(json["role"], "observe");
    assert_eq!(json["certificate"], made.at("bob.crt").display().to_string());
    assert!(json["not_after"].as_str().unwrap().ends_with('Z') && json["hosts"].is_null(), "{json}");
}

#[test]
fn nothing_is_overwritten() {
    let made = Made::new().issued("alice --role admin");
    let read =
        || ["ca.crt", "ca.key", "alice.crt", "alice.key"].map(|name| std::fs::read(made.at(name)).unwrap());
    let before = read();
    let error = made.ca("init").failed(1);
    assert!(error.contains("ca.key is there already, and nothing is overwritten: issue from it"), "{error}");
    let error = made.ca("issue alice --role admin").failed(1);
    assert!(error.contains("alice.key is there already") && error.contains("choose another name"), "{error}");
    assert!(read() == before);
    // With only one of the two in the way, the other one is not left behind.
    std::fs::write(made.at("bob.crt"), "mine").unwrap();
    assert!(made.ca("issue bob --role admin").failed(1).contains("bob.crt is there already"));
    assert_eq!(std::fs::read_to_string(made.at("bob.crt")).unwrap(), "mine");
    assert!(!made.at("bob.key").exists());
}

#[test]
fn what_could_not_be_written_does_not_stay() {
    let made = Made::new();
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).arg(harness::binary());
    // A limit of files is a disk without room: the same error, at the same place.
    let done =
        command.args(["ca", "issue", "alice", "--role", "admin", "--dir"]).arg(made.at("")).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(text(&done.stderr).contains("alice.key: File too large"), "{done:?}");
    assert!(!made.at("alice.key").exists() && !made.at("alice.crt").exists());
    made.ca("issue alice --role admin").done();
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    let made = Made::new();
    let (victim, nowhere) = (made.dir.path().join("victim"), made.dir.path().join("nowhere"));
    std::fs::write(&victim, "precious").unwrap();
    for (target, link) in [(&victim, "alice.key"), (&nowhere, "bob.key"), (&nowhere, "carol.crt")] {
        symlink(target, made.at(link)).unwrap();
        let (name, _) = link.split_once('.').unwrap();
        let error = made.ca(&format!("issue {name} --role admin")).failed(1);
        assert!(error.contains(&format!("{link} is there already")), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!nowhere.exists() && !made.at("carol.key").exists());
}

#[test]
fn names_that_lead_elsewhere_are_usage_errors() {
    let made = Made::new();
    for name in ["../alice", "/tmp/alice", "a/b", ".alice", "ca", "a\u{7}b"] {
        let error = made.ca(&format!("issue {name} --role admin")).failed(2);
        assert!(error.contains("cannot be a name") || error.contains("the authority itself"), "{error}");
    }
    assert!(made.ca("issue alice").failed(2).contains("--role"));
    assert!(made.ca("issue alice --role admin --host a").failed(2).contains("cannot be used with"));
    assert!(made.ca("issue alice --role root").failed(2).contains("observe, inject, admin"));
    assert!(made.ca("issue web-1 --host web-1:7433").failed(2).contains("is no host"));
    assert!(made.ca("issue web-1 --host a --days 0").failed(2).contains("0 is not in"));
    assert_eq!(std::fs::read_dir(made.at("")).unwrap().count(), 2);
}

#[test]
fn an_open_directory_and_an_open_key_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = dir.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = finish(program(&format!("ca init --dir {}", open.display())).spawn().unwrap()).failed(1);
    assert!(error.contains("(its mode is 0755), and a key is to be in it: `chmod 700 "), "{error}");
    assert_eq!(std::fs::read_dir(&open).unwrap().count(), 0);
    let made = Made::new();
    std::fs::set_permissions(made.at("ca.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(made.ca("issue alice --role admin").failed(1).contains("(its mode is 0644)"));
    std::fs::set_permissions(made.at("ca.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(made.at(""), std::fs::Permissions::from_mode(0o770)).unwrap();
    assert!(made.ca("issue alice --role admin").failed(1).contains("(its mode is 0770)"));
    assert!(!made.at("alice.key").exists());
}

#[test]
fn the_directory_of_somebody_else_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        harness::skip("root gives directories away");
        return;
    }
    let made = Made::new();
    for (owned, init) in [(made.at(""), "init"), (made.dir.path().to_owned(), "init --name Other")] {
        chown(&owned, Some(1234), None).unwrap();
        for words in [init, "issue alice --role admin"] {
            let error = made.ca(words).failed(1);
            let who = owned.display().to_string().trim_end_matches('/').to_owned();
            assert!(error.contains("belongs to user 1234") && error.contains(&who), "{error}");
        }
        chown(&owned, Some(0), None).unwrap();
    }
    made.ca("issue alice --role admin").done();
}

#[test]
fn nothing_outlives_its_authority() {
    let dir = tempfile::tempdir().unwrap();
    let ca = |words: &str| {
        finish(program(&format!("ca {words} --dir {}/ca", dir.path().display())).spawn().unwrap())
    };
    assert!(
        ca("issue alice --role admin").failed(1).contains("`partition-agent ca init` makes an authority")
    );
    ca("init --days 10 --name Short").done();
    let error = ca("issue alice --role admin --days 11").failed(1);
    assert!(error.contains("the authority itself expires at"), "{error}");
    assert!(!dir.path().join("ca/alice.key").exists());
    let end = |json: &Value| json["not_after"].as_str().unwrap().to_owned();
    let alice = end(&ca("issue alice --role admin --json").json::<Value>());
    // Not a year, but until the authority's own end.
    let openssl = Command::new("openssl")
        .args(["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in"])
        .arg(dir.path().join("ca/ca.crt"))
        .output();
    if let Ok(done) = openssl.as_ref().map(|done| text(&done.stdout)) {
        assert_eq!(done.trim(), format!("notAfter={}", alice.replace('T', " ")));
    }
}

#[test]
fn an_authority_of_openssl_issues_as_well() {
    if !has_tool("openssl") {
        return;
    }
    let made = Made { dir: tempfile::tempdir().unwrap() };
    std::fs::create_dir(made.at("")).unwrap();
    std::fs::set_permissions(made.at(""), std::fs::Permissions::from_mode(0o700)).unwrap();
    made.shell(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout ca.key -out ca.crt -days 400 \
         -subj '/O=Example/CN=Example CA' -addext keyUsage=critical,keyCertSign 2>&1",
    );
    made.ca("issue web-1 --host web-1").done();
    made.ca("issue alice --role observe").done();
    assert!(made.verifies("sslserver", "web-1.crt") && made.verifies("sslclient", "alice.crt"));
    // What is no authority, and a key of another one.
    made.shell("cp ca.crt own.crt; cp web-1.crt ca.crt");
    assert!(made.ca("issue bob --role admin").failed(1).contains("may not sign others"));
    made.shell("cp own.crt ca.crt; cp web-1.key ca.key");
    assert!(made.ca("issue bob --role admin").failed(1).contains("is not the key of"));
    made.shell("openssl ecparam -name prime256v1 -genkey -noout -out ca.key");
    let error = made.ca("issue bob --role admin").failed(1);
    assert!(error.contains("`openssl pkcs8 -topk8 -nodes -in"), "{error}");
}
