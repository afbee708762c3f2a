//! Authorities, and what they sign: all by the command `openssl`, in a directory that goes with the test.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use harness::fake_agent::{FakeAgent, Options};
use harness::text;
use tempfile::TempDir;

use crate::wire::request;

/// An authority named `ca`, with a certificate for the server, and room for more.
pub struct Pki {
    dir: TempDir,
}

impl Pki {
    pub fn new() -> Self {
        let pki = Self { dir: tempfile::tempdir().unwrap() };
        pki.authority("ca");
        pki.signed(
            "ca",
            "server",
            "/CN=agent",
            "extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1,DNS:agent.example",
            "7",
        );
        pki
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn openssl(&self, words: &str) {
        let done =
            Command::new("openssl").args(words.split('|')).current_dir(self.dir.path()).output().unwrap();
        assert!(done.status.success(), "{words}: {}", text(&done.stderr));
    }

    pub fn authority(&self, name: &str) {
        self.openssl(&format!(
            "req|-x509|-newkey|ec|-pkeyopt|ec_paramgen_curve:P-256|-nodes|-keyout|{name}.key|-out|{name}.pem|-days|30|\
             -subj|/CN={name}|-addext|basicConstraints=critical,CA:TRUE|-addext|keyUsage=critical,keyCertSign"
        ));
    }

    /// By this authority: with this subject, these extensions, for so many days from now, which may be over.
    pub fn signed(&self, authority: &str, name: &str, subject: &str, extensions: &str, days: &str) {
        std::fs::write(self.path("extensions"), extensions).unwrap();
        self.openssl(&format!(
            "req|-new|-newkey|ec|-pkeyopt|ec_paramgen_curve:P-256|-nodes|-keyout|{name}.key|-out|{name}.csr|-subj|{subject}|\
             -utf8|-batch"
        ));
        self.openssl(&format!(
            "x509|-req|-in|{name}.csr|-CA|{authority}.pem|-CAkey|{authority}.key|-CAcreateserial|-days|{days}|-out|{name}.pem|\
             -extfile|extensions"
        ));
    }

    /// A client's.
    pub fn client(&self, name: &str, subject: &str) {
        self.signed("ca", name, subject, "extendedKeyUsage=clientAuth", "7");
    }

    /// What the configuration of an agent says of it.
    pub fn tls(&self, client_ca: bool) -> String {
        let [cert, key, ca] =
            ["server.pem", "server.key", "ca.pem"].map(|name| self.path(name).display().to_string());
        let ca = if client_ca { format!("client_ca = '{ca}'\n") } else { String::new() };
        format!("[tls]\ncert = '{cert}'\nkey = '{key}'\n{ca}")
    }

    /// An agent that takes certificates of `ca`.
    pub fn agent(&self) -> FakeAgent {
        FakeAgent::with(Options { access: self.tls(true), ..Options::default() })
    }

    /// What `openssl s_client` gets for a request, with the certificate of that name or without; and what it says itself.
    pub fn ask(
        &self,
        agent: &FakeAgent,
        client: Option<&str>,
        request: &str,
        more: &[&str],
    ) -> (String, String) {
        let mut words =
            vec!["s_client".to_owned(), "-quiet".to_owned(), "-connect".to_owned(), agent.tcp.to_string()];
        words.extend(["-CAfile", "ca.pem", "-verify_return_error"].map(str::to_owned));
        if let Some(client) = client {
            words.extend([
                "-cert".to_owned(),
                format!("{client}.pem"),
                "-key".to_owned(),
                format!("{client}.key"),
            ]);
        }
        words.extend(more.iter().map(|word| (*word).to_owned()));
        let mut child = Command::new("openssl")
            .args(&words)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A refused handshake closes the pipe.
        let _ = child.stdin.as_mut().unwrap().write_all(request.as_bytes());
        let Output { stdout, stderr, .. } = child.wait_with_output().unwrap();
        (text(&stdout), text(&stderr))
    }

    /// The same, for a request without a body.
    pub fn get(&self, agent: &FakeAgent, client: Option<&str>, path: &str) -> (String, String) {
        self.ask(agent, client, &request("GET", path, "", ""), &[])
    }
}
