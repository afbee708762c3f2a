//! What `docs/deploy` has for Kubernetes and Nomad: that it is well-formed by other readers than ours, that it asks for one capability and no
//! more, and, on the real Docker, that an agent with exactly these rights cuts and heals.

mod node;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use harness::docker::docker;
use harness::python::python;
use harness::{text, until};
use serde_json::{Value, json};

use crate::top;
use node::Node;

const MANIFEST: &str = "docs/deploy/kubernetes/partition-agent.yaml";
const JOB: &str = "docs/deploy/nomad/partition-agent.nomad.hcl";
/// Containers on a busy machine take their time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a script of Python makes of a file, as JSON. None, and said so, without the tools of the Python index.
fn read(script: &str, file: &str) -> Option<Value> {
    let read = python()?.args(["-c", script]).arg(top().join(file)).output().unwrap();
    assert!(read.status.success(), "{file}: {}", text(&read.stderr));
    Some(serde_json::from_slice(&read.stdout).unwrap())
}

/// The documents of the manifest.
fn manifest() -> Option<Value> {
    read("import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))", MANIFEST)
}

fn of_kind<'a>(manifest: &'a Value, kind: &str) -> &'a Value {
    let mut found = manifest.as_array().unwrap().iter().filter(|document| document["kind"] == kind);
    let one = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert_eq!(found.next(), None, "one {kind}");
    one
}

/// The job, without the quotes and blocks of its language.
fn job() -> Option<Value> {
    let script = "import hcl2, json, sys
options = hcl2.utils.SerializationOptions(with_comments=False, explicit_blocks=False, preserve_heredocs=False,
    strip_string_quotes=True)
print(json.dumps(hcl2.load(open(sys.argv[1]), serialization_options=options)['job'][0]['partition-agent']))";
    read(script, JOB)
}

fn task(job: &Value) -> &Value {
    &job["group"][0]["agent"]["task"][0]["agent"]
}

/// What the job writes there, with its mode: as Nomad does, with these items of its variable.
fn template(job: &Value, destination: &str, items: &[(&str, &[u8])]) -> (String, u32) {
    let templates = task(job)["template"].as_array().unwrap();
    let one = templates.iter().find(|template| template["destination"] == destination).unwrap();
    // The reader escapes the quotes of a heredoc.
    let data = one["data"].as_str().unwrap().replace("\\\"", "\"");
    let rendered = items.iter().fold(data, |data, (item, value)| {
        let from =
            format!("{{{{ with nomadVar \"nomad/jobs/partition-agent\" }}}}{{{{ .{item} }}}}{{{{ end }}}}");
        data.replace(&from, &text(value))
    });
    (rendered, u32::from_str_radix(one["perms"].as_str().unwrap(), 8).unwrap())
}

fn validate(file: &Path) -> Option<Output> {
    Some(python()?.args(["-m", "kubernetes_validate", "--strict"]).arg(file).output().unwrap())
}

#[test]
fn the_manifest_is_what_the_schemas_of_kubernetes_say_and_a_broken_one_is_not() {
    let Some(sound) = validate(&top().join(MANIFEST)) else { return };
    assert!(sound.status.success(), "{}{}", text(&sound.stdout), text(&sound.stderr));
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("broken.yaml");
    let written = fs::read_to_string(top().join(MANIFEST)).unwrap();
    // A key that does not exist, one of another type, one that is missing.
    for (is, instead) in [
        ("readOnlyRootFilesystem:", "readonlyRootFilesystem:"),
        ("drop: [ALL]", "drop: ALL"),
        ("mountPath: /run/partition-agent", "readOnly: false"),
    ] {
        assert!(written.contains(is), "{is}");
        fs::write(&copy, written.replace(is, instead)).unwrap();
        let broken = validate(&copy).unwrap();
        assert!(!broken.status.success(), "{instead}: {}", text(&broken.stdout));
    }
}

#[test]
fn kubernetes_gives_one_capability_and_no_right_in_the_cluster() {
    let Some(manifest) = manifest() else { return };
    let kinds = manifest.as_array().unwrap().iter().map(|document| &document["kind"]);
    assert_eq!(kinds.collect::<Vec<_>>(), ["Namespace", "ServiceAccount", "ConfigMap", "DaemonSet"]);
    assert_eq!(of_kind(&manifest, "ServiceAccount")["automountServiceAccountToken"], false);
    let pod = &of_kind(&manifest, "DaemonSet")["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["hostNetwork"], true);
    for more in ["hostPID", "hostIPC", "hostUsers", "initContainers", "ephemeralContainers"] {
        assert_eq!(pod[more], Value::Null, "{more}");
    }
    assert_eq!(pod["securityContext"], json!({"seccompProfile": {"type": "RuntimeDefault"}}));
    let [container] = pod["containers"].as_array().unwrap().as_slice() else { panic!("one container") };
    let expected = json!({
        "runAsUser": 0,
        "runAsGroup": 0,
        "privileged": false,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
    });
    assert_eq!(container["securityContext"], expected);
    let of_the_node = pod["volumes"].as_array().unwrap().iter().filter_map(|volume| volume.get("hostPath"));
    let state = json!({"path": "/var/lib/partition-agent", "type": "DirectoryOrCreate"});
    assert_eq!(of_the_node.collect::<Vec<_>>(), [&state]);
}

#[test]
fn nomad_gives_one_capability_in_the_network_of_the_client() {
    let Some(job) = job() else { return };
    assert_eq!(job["type"], "system");
    let task = task(&job);
    assert_eq!(task["driver"], "docker");
    assert_eq!(task["user"], "0:0");
    // A stop waits for delayed packets: 62 s at most.
    assert_eq!(task["kill_timeout"], "130s");
    let config = task["config"][0].as_object().unwrap();
    let rights = ["network_mode", "cap_drop", "cap_add", "security_opt", "readonly_rootfs"];
    let found = rights.map(|right| &config[right]);
    let expected =
        [json!("host"), json!(["all"]), json!(["net_admin"]), json!(["no-new-privileges"]), json!(true)];
    assert_eq!(found, expected.each_ref());
    // Nothing else is given: no `privileged`, `pid_mode`, `devices` or `volumes`.
    let mut others = config.keys().filter(|key| !rights.contains(&key.as_str())).collect::<Vec<_>>();
    others.sort();
    assert_eq!(others, ["args", "image", "mount"]);
    for mount in config["mount"].as_array().unwrap() {
        let source = mount["source"].as_str().unwrap_or_default();
        let own = source.starts_with("local/") || source.starts_with("secrets/");
        assert!(mount["type"] == "tmpfs" || (own && mount["readonly"] == true), "{mount}");
    }
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

/// What the kubelet has the engine do: the flags of `docker run` for the container of the manifest, with volumes as the kubelet makes them.
fn as_the_kubelet(node: &Node, manifest: &Value) -> Vec<String> {
    let pod = &of_kind(manifest, "DaemonSet")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let rights = &container["securityContext"];
    let mut flags = vec![format!("--user={}:{}", rights["runAsUser"], rights["runAsGroup"])];
    flags.extend(words(&rights["capabilities"]["drop"]).iter().map(|name| format!("--cap-drop={name}")));
    flags.extend(words(&rights["capabilities"]["add"]).iter().map(|name| format!("--cap-add={name}")));
    flags.push(format!("--read-only={}", rights["readOnlyRootFilesystem"]));
    flags.push(format!("--security-opt=no-new-privileges={}", rights["allowPrivilegeEscalation"] == false));
    let secrets = node.secrets();
    for mount in container["volumeMounts"].as_array().unwrap() {
        let at = mount["mountPath"].as_str().unwrap();
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        if volume["emptyDir"]["medium"] == "Memory" {
            flags.push(format!("--tmpfs={at}"));
        } else if volume["hostPath"]["type"] == "DirectoryOrCreate" {
            let made = node.dir.path().join("state");
            fs::create_dir(&made).unwrap();
            fs::set_permissions(&made, Permissions::from_mode(0o755)).unwrap();
            flags.push(format!("--volume={}:{at}", made.display()));
        } else {
            // Links to files of a directory with a time for its name, in one that every user may write, read-only.
            let sources = volume["projected"]["sources"].as_array().unwrap();
            for item in sources.iter().flat_map(|source| {
                let source = source.get("configMap").or(source.get("secret")).unwrap();
                source["items"].as_array().unwrap()
            }) {
                let [key, path] = [&item["key"], &item["path"]].map(|name| name.as_str().unwrap());
                let config = of_kind(manifest, "ConfigMap")["data"][key].as_str().map(str::as_bytes);
                let secret = || secrets.iter().find(|(name, _)| *name == key).unwrap().1.as_slice();
                let mode = u32::try_from(item["mode"].as_u64().unwrap()).unwrap();
                node.write(&format!("volume/..2026/{path}"), config.unwrap_or_else(secret), mode);
                symlink(Path::new("..data").join(path), node.dir.path().join("volume").join(path)).unwrap();
            }
            let made = node.dir.path().join("volume");
            symlink("..2026", made.join("..data")).unwrap();
            fs::set_permissions(&made, Permissions::from_mode(0o777)).unwrap();
            flags.push(format!("--volume={}:{at}:ro", made.display()));
        }
    }
    flags
}

/// The same of Nomad's driver.
fn as_nomad(node: &Node, job: &Value) -> Vec<String> {
    let config = &task(job)["config"][0];
    let mut flags = vec![format!("--user={}", task(job)["user"].as_str().unwrap())];
    flags.extend(words(&config["cap_drop"]).iter().map(|name| format!("--cap-drop={name}")));
    flags.extend(words(&config["cap_add"]).iter().map(|name| format!("--cap-add={name}")));
    flags.extend(words(&config["security_opt"]).iter().map(|option| format!("--security-opt={option}")));
    flags.push(format!("--read-only={}", config["readonly_rootfs"]));
    let [(_, token), (_, cert), (_, key)] = &node.secrets();
    let items = [("token", token.as_slice()), ("cert", cert), ("key", key)];
    for mount in config["mount"].as_array().unwrap() {
        let target = mount["target"].as_str().unwrap();
        let Some(source) = mount["source"].as_str() else {
            flags.push(format!("--tmpfs={target}"));
            continue;
        };
        let (content, mode) = template(job, source, &items);
        let made = node.write(source, content.as_bytes(), mode);
        flags.push(format!("--volume={}:{target}:ro", made.display()));
    }
    flags
}

/// With these flags and arguments, in the network of the app, an agent starts, answers, cuts, and heals when it is stopped.
fn cuts_and_heals(node: &Node, flags: &[String], args: &[&str], probe: &[&str]) {
    let network = format!("--network=container:{}", node.app());
    let flags = flags.iter().map(String::as_str).chain([network.as_str()]).collect::<Vec<_>>();
    let checked = [&["run", "--rm"], flags.as_slice(), &[&node.image.0, "serve", "--check-config"]].concat();
    let told = docker(&checked);
    assert!(told.contains("an agent would start with this"), "{told}");

    let agent = node.agent();
    docker(&[&["run", "-d", "--name", &agent], flags.as_slice(), &[&node.image.0], args].concat());
    let probe = [&["exec", &agent], probe].concat();
    until("the probe finds it healthy", PATIENCE, || {
        Command::new("docker").args(&probe).output().unwrap().status.success()
    });
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &agent]);
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    // CAP_NET_ADMIN is bit 12; a seccomp filter is mode 2.
    for line in ["CapBnd:\t0000000000001000", "CapEff:\t0000000000001000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}: {status}");
    }

    let gateway = node.inspect("Gateway");
    assert!(node.answers(&gateway), "before");
    let inject = ["inject", "--loss", "100%", "--peer", &gateway, "--for", "10m", "--id", "cut"];
    let told = docker(&[&["exec", &agent, "partition-agent"], inject.as_slice()].concat());
    assert!(told.contains("confirmed"), "{told}");
    assert!(!node.answers(&gateway), "during");
    // The port of the agent is protected: whoever asks over TCP is not cut off.
    let asked = node.over_tcp("status");
    assert!(asked.status.success() && text(&asked.stdout).contains("cut"), "{asked:?}");
    docker(&["stop", "--time", "60", &agent]);
    assert!(node.answers(&gateway), "after");
    assert_eq!(docker(&["inspect", "--format", "{{.State.ExitCode}}", &agent]).trim(), "0");
}

#[test]
fn with_the_rights_of_the_daemon_set_it_cuts_and_heals() {
    let Some(manifest) = manifest() else { return };
    let Some(node) = Node::new("kubernetes") else { return };
    let container = &of_kind(&manifest, "DaemonSet")["spec"]["template"]["spec"]["containers"][0];
    let probe = words(&container["livenessProbe"]["exec"]["command"]);
    cuts_and_heals(&node, &as_the_kubelet(&node, &manifest), &words(&container["args"]), &probe);
    let journal = fs::read_to_string(node.dir.path().join("state/journal.jsonl")).unwrap();
    assert!(journal.contains("cut"), "the history is on the node: {journal}");
}

#[test]
fn with_the_rights_of_the_nomad_job_it_cuts_and_heals() {
    let Some(job) = job() else { return };
    let Some(node) = Node::new("nomad") else { return };
    let args = words(&task(&job)["config"][0]["args"]);
    cuts_and_heals(&node, &as_nomad(&node, &job), &args, &["partition-agent", "status"]);
}
