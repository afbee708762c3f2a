//! Kubernetes, against the list that its API reference defines: by `kubectl proxy`, and in a pod, by TLS with the token and
//! the authority of its service account.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use harness::{binary, has_tool, text};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::fleet::{Fleet, refused, show, shown};
use crate::server::{Server, answer};

const SLICES: &str = r#"{
  "kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "metadata": {"resourceVersion": "1204"},
  "items": [
    {"metadata": {"name": "web-abc12", "namespace": "shop", "uid": "00000000-0000-4000-8000-000000000001",
                  "labels": {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                             "kubernetes.io/service-name": "web"}},
     "addressType": "IPv4",
     "endpoints": [
       {"addresses": ["10.1.0.4"], "conditions": {"ready": true, "serving": true, "terminating": false},
        "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-7d4b-x1", "uid": "00000000-0000-4000-8000-000000000002"},
        "nodeName": "node-1", "zone": "eu-1a", "hints": {"forZones": [{"name": "eu-1a"}]}},
       {"addresses": ["10.1.0.5"], "conditions": {"ready": false, "serving": true, "terminating": true},
        "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-7d4b-x2"}, "nodeName": "node-2"}],
     "ports": [{"name": "http", "protocol": "TCP", "port": 8080}]},
    {"metadata": {"name": "web-def34", "namespace": "shop"}, "addressType": "IPv6",
     "endpoints": [
       {"addresses": ["fd00:1::4"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "web-7d4b-x1"},
        "nodeName": "node-1", "zone": "eu-1a"}],
     "ports": [{"name": "http", "protocol": "TCP", "port": 8080}]}]}"#;

const POD: &str = "web-7d4b-x1 http://10.1.0.4:7433 10.1.0.4,fd00:1::4 node=node-1 zone=eu-1a";

const PATH: &str = "GET /apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dweb HTTP/1.1\r\n";

#[test]
fn by_a_proxy_the_ready_pods_of_a_service_are_hosts() {
    let server = Server::json(SLICES);
    let fleet = shown(&format!("kubernetes:shop/web@http://127.0.0.1:{}", server.port));
    assert_eq!(fleet.lines(), [POD]);
    assert!(server.only_request().starts_with(PATH), "{}", server.only_request());
}

#[test]
fn what_the_api_server_refuses_is_told() {
    let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}"#;
    let server = Server::start(answer("403 Forbidden", status), None);
    let shown = show(&format!("kubernetes:shop/web@http://127.0.0.1:{}", server.port)).output().unwrap();
    let error = refused(&shown);
    assert!(error.contains("403 Forbidden") && error.contains(r#""reason":"Forbidden""#), "{error}");
}

#[test]
fn outside_of_a_cluster_a_proxy_is_asked_for() {
    let error = refused(&show("kubernetes:shop/web").output().unwrap());
    assert!(error.contains("this is no pod of a cluster: run `kubectl proxy`"), "{error}");
}

#[test]
fn in_a_pod_the_service_account_is_used() {
    if !["openssl", "unshare"].iter().all(|tool| has_tool(tool)) {
        return;
    }
    let account = Account::new();
    let server = Server::start(answer("200 OK", SLICES), Some(account.tls()));
    let fleet = Fleet::of(&account.in_a_pod(server.port));
    assert_eq!(fleet.lines(), [POD]);
    let request = server.only_request();
    assert!(request.starts_with(PATH), "{request}");
    assert!(request.to_ascii_lowercase().contains("\r\nauthorization: bearer ey.to.ken"), "{request}");
}

#[test]
fn in_a_pod_a_stranger_is_not_told_the_token() {
    if !["openssl", "unshare"].iter().all(|tool| has_tool(tool)) {
        return;
    }
    let (ours, stranger) = (Account::new(), Account::new());
    let server = Server::start(answer("200 OK", SLICES), Some(stranger.tls()));
    let error = refused(&ours.in_a_pod(server.port));
    assert!(error.contains("no TLS with it") && error.contains("certificate"), "{error}");
}

/// What a pod has of its service account, and the key of the API server that its authority vouches for.
struct Account(tempfile::TempDir);

impl Account {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // An authority, and a certificate of it for this address.
        let script = "set -e
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt \
                -subj /CN=kubernetes -days 2
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key -out server.csr \
                -subj /CN=kube-apiserver
            printf 'subjectAltName=IP:127.0.0.1,DNS:kubernetes.default.svc\\n' > extensions
            openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 2 \
                -extfile extensions
            printf 'ey.to.ken\\n' > token";
        let made = Command::new("bash").args(["-c", script]).current_dir(dir.path()).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        Self(dir)
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn tls(&self) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_file(self.file("server.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.file("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        Arc::new(config.unwrap())
    }

    /// In a mount namespace of its own, where `/run` (and so `/var/run`) is another, with the files where a pod has them.
    fn in_a_pod(&self, port: u16) -> Output {
        let script = "set -e
            mount -t tmpfs none /run
            mkdir -p /run/secrets/kubernetes.io/serviceaccount
            cp \"$1/token\" \"$1/ca.crt\" /run/secrets/kubernetes.io/serviceaccount/
            exec \"$2\" fleet show --json --fleet kubernetes:shop/web";
        assert_eq!(std::fs::canonicalize("/var/run").unwrap(), Path::new("/run"));
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", script, "bash"]).arg(self.0.path()).arg(binary());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", port.to_string());
        command.output().unwrap()
    }
}
