//! Files that somebody else had a say in: an agent does not start with them, and follows no symbolic link in their place.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use harness::agent::Agent;
use harness::lab::Lab;
use harness::{binary, text};

use crate::cut;

/// What a serve in this directory says that must not start.
fn refused(lab: &Lab, dir: &Path) -> String {
    let [conf, socket, state] =
        ["agent.toml", "agent.sock", "state"].map(|name| dir.join(name).display().to_string());
    let program = binary().display().to_string();
    let serve = ["serve", "--config", &conf, "--socket", &socket, "--state-dir", &state];
    let done = lab.app.output("timeout", &[&["60", &program], &serve[..]].concat());
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    text(&done.stderr)
}

/// As a stopped agent leaves it.
fn left() -> (Lab, tempfile::TempDir) {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    agent.inject("f", &cut("10m"));
    let dir = agent.terminate();
    (lab, dir)
}

#[test]
fn a_symbolic_link_in_the_place_of_a_state_file_is_not_followed() {
    let (lab, dir) = left();
    let victim = dir.path().join("victim");
    for name in ["state/journal.jsonl", "state/lock"] {
        let at = dir.path().join(name);
        let aside = dir.path().join("aside");
        fs::rename(&at, &aside).expect("it is there");
        // To a file that is there, to one that would be made, and to a device.
        for target in [victim.as_path(), &dir.path().join("made"), Path::new("/dev/null")] {
            fs::write(&victim, "as it was").expect("a file");
            symlink(target, &at).expect("a link");
            let said = refused(&lab, dir.path());
            assert!(said.contains(name) && said.contains("is no regular file"), "{said}");
            fs::remove_file(&at).expect("the link is there");
            assert_eq!(fs::read_to_string(&victim).expect("a file"), "as it was");
            assert!(!dir.path().join("made").exists());
        }
        fs::hard_link(&victim, &at).expect("another name");
        let said = refused(&lab, dir.path());
        assert!(said.contains("more than one name"), "{said}");
        fs::remove_file(&at).expect("the name is there");
        fs::rename(&aside, &at).expect("back again");
    }
    drop(Agent::start_in(&lab.app, "", dir));
}

#[test]
fn a_symbolic_link_in_the_place_of_the_socket_is_neither_followed_nor_replaced() {
    let (lab, dir) = left();
    let [socket, victim] = ["agent.sock", "victim"].map(|name| dir.path().join(name));
    fs::write(&victim, "as it was").expect("a file");
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).expect("ours");
    symlink(&victim, &socket).expect("a link");
    let said = refused(&lab, dir.path());
    assert!(said.contains("something else than a socket"), "{said}");
    assert_eq!(fs::read_link(&socket).expect("the link is there still"), victim);
    assert_eq!(fs::metadata(&victim).expect("a file").permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_every_user_may_write_or_somebody_else_owns_is_refused() {
    let (lab, dir) = left();
    let mode =
        |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    let [conf, state] = ["agent.toml", "state"].map(|name| dir.path().join(name));
    for (path, open, was) in
        [(&conf, 0o666, 0o644), (&state, 0o777, 0o755), (&dir.path().to_owned(), 0o777, 0o700)]
    {
        mode(path, open);
        let said = refused(&lab, dir.path());
        let who = path.display().to_string();
        assert!(said.contains("every user of this host may write") && said.contains(&who), "{said}");
        mode(path, was);
        chown(path, Some(1234), None).expect("root may");
        let said = refused(&lab, dir.path());
        assert!(said.contains("belongs to user 1234") && said.contains(&who), "{said}");
        chown(path, Some(0), None).expect("root may");
    }
    drop(Agent::start_in(&lab.app, "", dir));
}

#[test]
fn the_directory_of_the_socket_is_made_for_no_other_to_write_in() {
    let lab = Lab::new();
    let dir = tempfile::tempdir().expect("a directory");
    let [conf, state, run] = ["agent.toml", "state", "run/inner"].map(|name| dir.path().join(name));
    fs::write(&conf, "probe_port = 7433\n").expect("a file");
    fs::create_dir(&state).expect("a directory");
    let program = binary().display().to_string();
    // It binds its socket, and then finds its TCP port taken, by itself.
    let serve = format!(
        "umask 0; exec timeout 60 {program} serve --config {} --state-dir {} --socket {}/sock --insecure-loopback \
         --listen 127.0.0.1:7433",
        conf.display(),
        state.display(),
        run.display()
    );
    let done = lab.app.output("sh", &["-c", &serve]);
    let said = text(&done.stderr);
    assert!(said.contains("cannot answer the probes of other agents on 127.0.0.1:7433"), "{said}");
    for made in [run.as_path(), &dir.path().join("run")] {
        assert_eq!(fs::metadata(made).expect("it was made").permissions().mode() & 0o7777, 0o755);
    }
    assert!(!run.join("sock").exists(), "nobody listens there");
}
