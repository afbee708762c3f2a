//! Agents over TLS: who is believed, who is let in, and what is said when either goes wrong.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use harness::fake_agent::{FakeAgent, Options};
use harness::has_tool;
use partition_agent_proto::FaultStatus;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::ca::Made;
use crate::run::{Run, finish, program, until};

/// An agent in memory behind TLS, until it is dropped.
struct Front {
    agent: FakeAgent,
    at: SocketAddr,
    server: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Front {
    /// With the certificate of this name; whoever asks must have one of that authority, where there is one.
    fn start(own: &Made, name: &str, callers: Option<&Made>) -> Self {
        Self::of(FakeAgent::start(), own, name, callers)
    }

    fn of(agent: FakeAgent, own: &Made, name: &str, callers: Option<&Made>) -> Self {
        let tls = TlsAcceptor::from(config(own, name, callers));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (at, behind) = (listener.local_addr().unwrap(), agent.tcp);
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let accept = async {
                    loop {
                        let (stream, _) = listener.accept().await.unwrap();
                        let tls = tls.clone();
                        // Some of these clients go away in the middle of it.
                        tokio::spawn(async move {
                            let mut stream = tls.accept(stream).await?;
                            copy_bidirectional(&mut stream, &mut TcpStream::connect(behind).await?).await
                        });
                    }
                };
                tokio::select! {
                    () = accept => {}
                    _ = stopped => {}
                }
            });
        };
        Self { agent, at, server: Some((stop, std::thread::spawn(serve))) }
    }

    fn by(&self, host: &str) -> String {
        format!("https://{host}:{}", self.at.port())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some((stop, server)) = self.server.take() {
            // Both only fail when the server has ended already, and then its own panic has been printed.
            let _ = stop.send(());
            let _ = server.join();
        }
    }
}

fn config(own: &Made, name: &str, callers: Option<&Made>) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(own.at(&format!("{name}.crt"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(own.at(&format!("{name}.key"))).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = match callers {
        None => builder.unwrap().with_no_client_auth(),
        Some(callers) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(callers.at("ca.crt")).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.unwrap().with_client_cert_verifier(verifier.unwrap())
        }
    };
    Arc::new(builder.with_single_cert(vec![certificate], key).unwrap())
}

fn made() -> Made {
    Made::new().issued("web-1 --host localhost,127.0.0.1,::1").issued("alice --role admin")
}

fn spawned(words: impl Display) -> Run {
    finish(program(&words.to_string()).spawn().unwrap())
}

fn trusting(made: &Made) -> String {
    format!("--tls-ca {}", made.at("ca.crt").display())
}

fn showing(made: &Made, name: &str) -> String {
    let [cert, key] = ["crt", "key"].map(|end| made.at(&format!("{name}.{end}")));
    format!("{} --tls-cert {} --tls-key {}", trusting(made), cert.display(), key.display())
}

/// What is told about an agent that cannot be asked; never a panic, and always something to do.
#[track_caller]
fn unreachable(words: impl Display, parts: &[&str]) {
    let error = spawned(words).failed(3);
    for part in parts {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(error.lines().count() == 2, "what is wrong, and what to do: {error}");
}

#[test]
fn with_a_certificate_faults_come_and_go() {
    let made = made();
    let front = Front::start(&made, "web-1", Some(&made));
    for host in ["localhost", "127.0.0.1"] {
        let by = format!("{} --agent {}", showing(&made, "alice"), front.by(host));
        spawned(format!("inject --loss 100% --peer redis --id cut {by}")).done();
        assert!(spawned(format!("status {by}")).done().contains("\ncut "));
        spawned(format!("restore --all {by}")).done();
        assert_eq!(spawned(format!("status {by}")).done(), "no faults\n");
    }
}

#[test]
fn the_files_come_from_the_environment_as_well() {
    let made = made();
    let front = Front::start(&made, "web-1", Some(&made));
    let mut command = program(&format!("status --agent {}", front.by("127.0.0.1")));
    for (name, file) in [("CA", "ca.crt"), ("CERT", "alice.crt"), ("KEY", "alice.key")] {
        command.env(format!("PARTITION_AGENT_TLS_{name}"), made.at(file));
    }
    assert_eq!(finish(command.spawn().unwrap()).done(), "no faults\n");
}

#[test]
fn a_token_goes_over_tls_too() {
    let made = made();
    let agent = FakeAgent::with(Options { token: Some("0123456789abcdef"), ..Options::default() });
    let front = Front::of(agent, &made, "web-1", None);
    let by = format!("{} --agent {}", trusting(&made), front.by("localhost"));
    assert!(spawned(format!("status {by}")).failed(1).contains("the request has no token"));
    let token = front.agent.token_file.display();
    assert_eq!(spawned(format!("status {by} --token-file {token}")).done(), "no faults\n");
}

#[test]
fn without_a_file_the_authorities_of_the_system_are_believed() {
    let made = made();
    let front = Front::start(&made, "web-1", None);
    let mut command = program(&format!("status --agent {}", front.by("localhost")));
    command.env("SSL_CERT_FILE", made.at("ca.crt"));
    assert_eq!(finish(command.spawn().unwrap()).done(), "no faults\n");
}

#[test]
fn an_agent_of_another_authority_is_not_believed() {
    let made = made();
    // One of the same name, too.
    for (init, words) in [("init --name Stranger", "UnknownIssuer"), ("init", "BadSignature")] {
        let stranger = Made::called(init).issued("web-1 --host localhost");
        let front = Front::start(&stranger, "web-1", None);
        let inject =
            format!("inject --loss 100% --peer redis --agent {} {}", front.by("localhost"), trusting(&made));
        let why = format!("from an authority that is not trusted here: invalid peer certificate: {words}");
        unreachable(inject, &[&why, "--tls-ca"]);
        assert!(front.agent.is_untouched());
    }
}

/// As the docs have it for changing over.
#[test]
fn two_authorities_in_one_file_are_both_believed() {
    let (old, new) = (made(), made());
    for files in [[&old, &new], [&new, &old]] {
        let [first, second] = files.map(|made| std::fs::read_to_string(made.at("ca.crt")).unwrap());
        let both = old.at("both.crt");
        std::fs::write(&both, format!("{first}{second}")).unwrap();
        for own in [&old, &new] {
            let front = Front::start(own, "web-1", None);
            let words = format!("status --agent {} --tls-ca {}", front.by("localhost"), both.display());
            assert_eq!(spawned(words).done(), "no faults\n");
        }
    }
}

#[test]
fn an_agent_that_is_asked_by_another_name_is_not_believed() {
    let made = made().issued("db --host db.example.com,10.0.0.13");
    let front = Front::start(&made, "db", None);
    for host in ["localhost", "127.0.0.1"] {
        let words = format!("status --agent {} {}", front.by(host), trusting(&made));
        let parts = [
            "its certificate is for other names",
            &format!("certificate not valid for name \"{host}\""),
            "db.example.com",
            "10.0.0.13",
            "ca issue NAME --host",
        ];
        unreachable(words, &parts);
    }
}

#[test]
fn a_certificate_of_a_caller_is_none_of_an_agent() {
    let made = made();
    let front = Front::start(&made, "alice", None);
    let words = format!("status --agent {} {}", front.by("localhost"), trusting(&made));
    unreachable(words, &["invalid peer certificate", "ca issue NAME --host"]);
}

#[test]
fn an_expired_certificate_is_told_with_its_end() {
    if !has_tool("openssl") {
        return;
    }
    let made = made();
    expired(&made, "old-agent", "extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost");
    expired(&made, "old-caller", "extendedKeyUsage=clientAuth");
    let front = Front::start(&made, "old-agent", None);
    let words = format!("status --agent {} {}", front.by("localhost"), trusting(&made));
    unreachable(
        words,
        &[
            "its certificate expired at 2024-01-02T00:00:00Z: ",
            "certificate expired: ",
            "ca issue NAME --host",
        ],
    );
    let front = Front::start(&made, "web-1", Some(&made));
    let words = format!("status --agent {} {}", front.by("localhost"), showing(&made, "old-caller"));
    unreachable(
        words,
        &["certificate of this command has expired", "CertificateExpired", "ca issue NAME --role"],
    );
}

/// Good for the first day of 2024 only.
fn expired(made: &Made, name: &str, extensions: &str) {
    made.shell(&format!(
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}/OU=admin
         printf '%s\\n' '[own]' '{extensions}' > ext
         printf '%s\\n' '[ca]' 'default_ca=d' '[d]' 'database=index' 'new_certs_dir=.' 'serial=serial' 'policy=p' \
                'default_md=sha256' '[p]' 'commonName=supplied' 'organizationalUnitName=optional' > config
         : > index; openssl rand -hex 8 > serial
         openssl ca -batch -notext -config config -cert ca.crt -keyfile ca.key -in {name}.csr -out {name}.crt \
                 -startdate 20240101000000Z -enddate 20240102000000Z -extfile ext -extensions own",
        extensions = extensions.replace('\n', "' '"),
    ));
}

#[test]
fn an_agent_that_wants_a_certificate_says_so() {
    let (made, stranger) = (made(), made());
    let front = Front::start(&made, "web-1", Some(&made));
    let words =
        |how: String| format!("inject --loss 100% --peer redis --agent {} {how}", front.by("localhost"));
    let parts =
        ["it wants a certificate of whoever asks, and none was shown", "CertificateRequired", "--tls-cert"];
    unreachable(words(trusting(&made)), &parts);
    // One that somebody else issued.
    let [cert, key] = ["alice.crt", "alice.key"].map(|name| stranger.at(name));
    let how = format!("{} --tls-cert {} --tls-key {}", trusting(&made), cert.display(), key.display());
    unreachable(
        words(how),
        &["does not trust the authority of the certificate of this command", "`client_ca`"],
    );
    // One of an agent.
    unreachable(
        words(showing(&made, "web-1")),
        &["it refuses the certificate of this command", "--role ROLE"],
    );
    assert!(front.agent.is_untouched());
}

#[test]
fn tls_and_no_tls_are_told_apart() {
    let made = made();
    let front = Front::start(&made, "web-1", None);
    let plain = format!("status --agent https://{} {}", front.agent.tcp, trusting(&made));
    unreachable(plain, &["what answers there does not speak TLS: ", "InvalidContentType", "write http://"]);
    let tls = format!("status --agent http://{}", front.at);
    unreachable(tls, &["If it speaks TLS, write https://"]);
    // Files for TLS, and an address that will not use them.
    let error = spawned(format!("status --agent http://{} {}", front.at, trusting(&made))).failed(2);
    assert!(error.contains("write https://") && error.contains("--tls-ca"), "{error}");
}

#[test]
fn a_key_that_others_may_read_is_refused_before_anybody_is_asked() {
    let made = made();
    std::fs::set_permissions(made.at("alice.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let words = format!("status --agent https://127.0.0.1:1 {}", showing(&made, "alice"));
    let error = spawned(words).failed(1);
    assert!(error.contains("(its mode is 0644): `chmod o= "), "{error}");
    // Not over a unix socket, where there is no TLS.
    let agent = FakeAgent::start();
    let words = format!("status --agent {} {}", crate::run::unix(&agent), showing(&made, "alice"));
    assert_eq!(spawned(words).done(), "no faults\n");
}

#[test]
fn a_fleet_is_asked_over_tls() {
    let made = made();
    let fronts = [Front::start(&made, "web-1", Some(&made)), Front::start(&made, "web-1", Some(&made))];
    // Each front has a port of its own, so their URLs are written out; beside the files.
    let hosts = |scheme: &str| {
        let host = |(nth, front): (usize, &Front)| {
            format!(
                "[hosts.h{nth}]\naddress = '10.0.0.{nth}'\nagent = '{scheme}://localhost:{}'\n",
                front.at.port()
            )
        };
        fronts.iter().enumerate().map(host).collect::<String>()
    };
    let file = made.at("fleet.toml");
    let tls = "tls = { ca = 'ca.crt', cert = 'alice.crt', key = 'alice.key' }\n";
    std::fs::write(&file, format!("{tls}{}", hosts("https"))).unwrap();
    let fleet = format!("--fleet {}", file.display());
    spawned(format!("inject --loss 100% --peer redis --id cut --max-share 100% --on * {fleet} --json"))
        .json::<serde_json::Value>();
    assert!(fronts.iter().all(|front| !front.agent.is_untouched()));
    assert!(spawned(format!("restore --all {fleet}")).code == Some(0));
    // What flags say wins: nobody of that authority is there.
    let stranger = self::made();
    let run = spawned(format!("status {fleet} {}", trusting(&stranger)));
    assert!(run.code == Some(3) && run.stderr.contains("not trusted here"), "{run:?}");
    // Without a word about TLS, and without a certificate.
    std::fs::write(&file, hosts("https")).unwrap();
    let run = spawned(format!("status {fleet} {}", trusting(&made)));
    assert!(run.code == Some(3) && run.stderr.contains("none was shown"), "{run:?}");
    // Nobody is asked in the clear in a fleet with TLS.
    std::fs::write(&file, format!("{tls}{}", hosts("http"))).unwrap();
    let error = spawned(format!("status {fleet}")).failed(1);
    assert!(error.contains("hosts.h0.agent") && error.contains("is not TLS"), "{error}");
}

#[test]
fn flags_make_any_source_one_of_tls() {
    let made = made();
    let targets = made.at("targets.json");
    std::fs::write(&targets, r#"[{"targets": ["10.0.0.1:9100"], "labels": {}}]"#).unwrap();
    let show = format!("fleet show --fleet file_sd:{}", targets.display());
    assert!(spawned(&show).done().contains("http://10.0.0.1:7433"));
    assert!(spawned(format!("{show} {}", trusting(&made))).done().contains("https://10.0.0.1:7433"));
}

/// A server that is not made of the same library.
#[test]
fn openssl_is_understood_and_understands() {
    if !has_tool("openssl") {
        return;
    }
    let made = made();
    let server = OpenSsl::start(&made);
    let by = |how: String| format!("status --agent https://localhost:{} {how}", server.port);
    let error = spawned(by(showing(&made, "alice"))).failed(1);
    assert!(error.contains("answers, but not like a partition-agent"), "{error}");
    unreachable(by(trusting(&made)), &["it wants a certificate of whoever asks, and none was shown"]);
    unreachable(
        format!("status --agent http://127.0.0.1:{}", server.port),
        &["If it speaks TLS, write https://"],
    );
}

/// `openssl s_server`, which wants a certificate, and shows a page about the connection to whoever has one.
struct OpenSsl {
    child: Child,
    port: u16,
}

impl OpenSsl {
    fn start(made: &Made) -> Self {
        // Free a moment ago; nobody else binds ports of loopback here without asking for one.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let words = "s_server -quiet -www -Verify 1 -verify_return_error -cert web-1.crt -key web-1.key -CAfile ca.crt -accept";
        let child = Command::new("openssl")
            .args(words.split_whitespace())
            .arg(format!("127.0.0.1:{port}"))
            .current_dir(made.at(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port };
        until("s_server listens", || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        server
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `ca` makes is what an agent believes, by its own listener.
#[test]
fn an_agent_knows_who_asks_and_with_which_role() {
    let made = made().issued("bob --role observe");
    let [cert, key, client_ca] = ["web-1.crt", "web-1.key", "ca.crt"].map(|name| made.at(name));
    let [cert, key, client_ca] = [&cert, &key, &client_ca].map(|path| path.display());
    let access = format!("tls = {{ cert = '{cert}', key = '{key}', client_ca = '{client_ca}' }}");
    let agent = FakeAgent::with(Options { access, ..Options::default() });
    let by = |how: String| format!("{how} --agent https://127.0.0.1:{}", agent.tcp.port());
    let (alice, bob) = (by(showing(&made, "alice")), by(showing(&made, "bob")));
    let fault: FaultStatus = spawned(format!("inject --loss 100% --peer redis --json {alice}")).json();
    assert!(fault.by.starts_with("certificate alice from 127.0.0.1:"), "{}", fault.by);
    assert!(spawned(format!("status {bob}")).done().contains("redis"));
    let error = spawned(format!("restore --all {bob}")).failed(1);
    assert!(error.contains("takes the role inject") && error.contains("certificate bob"), "{error}");
    unreachable(
        format!("status {}", by(trusting(&made))),
        &["it wants a certificate of whoever asks", "--tls-cert"],
    );
    // An agent says by itself what http:// is answered with.
    let error = spawned(format!("status --agent http://{}", agent.tcp)).failed(1);
    assert!(error.contains("this port speaks TLS") && error.contains("https://"), "{error}");
}

/// Certificates of another authority: the two commands of docs/fleet.md.
#[test]
fn an_authority_of_ones_own_does_as_well() {
    if !has_tool("openssl") {
        return;
    }
    let made = made();
    let docs = include_str!("../../docs/fleet.md");
    let begin = docs.find("    openssl req -newkey").unwrap();
    let commands =
        docs[begin..].lines().take_while(|line| line.starts_with("    ")).collect::<Vec<_>>().join("\n");
    let for_test = commands.replace("web-1.example.com,IP:10.0.0.11", "localhost,IP:127.0.0.1");
    assert_ne!(for_test, commands);
    made.shell(&format!("rm web-1.crt web-1.key alice.crt alice.key; umask 077\n{for_test}"));
    let front = Front::start(&made, "web-1", Some(&made));
    let by = format!("{} --agent {}", showing(&made, "alice"), front.by("127.0.0.1"));
    assert_eq!(spawned(format!("status {by}")).done(), "no faults\n");
}
