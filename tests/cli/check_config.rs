//! `serve --check-config`: all that is wrong, in one go, and nothing is touched.

use std::os::unix::fs::PermissionsExt;

use crate::run::{Run, finish, program};

/// With a configuration in a directory of its own.
fn checked(text: &str) -> (Run, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = program("serve --check-config --config");
    command
        .arg(&file)
        .arg("--state-dir")
        .arg(dir.path().join("state"))
        .arg("--socket")
        .arg(dir.path().join("sock"));
    (finish(command.spawn().unwrap()), dir)
}

#[test]
fn a_sound_configuration_is_told_so_and_nothing_is_made() {
    let (run, dir) = checked(include_str!("../../systemd/agent.toml"));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("agent.toml: an agent would start with this"), "{run:?}");
    let there = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(there.collect::<Vec<_>>(), ["agent.toml"]);
}

#[test]
fn every_mistake_is_told_with_file_line_and_hint() {
    let (run, dir) = checked("lisen = '127.0.0.1:1'\n[policy]\nkinds = ['los']\nhours = ['daily']\n");
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:?}");
    let file = dir.path().join("agent.toml").display().to_string();
    for said in [
        format!("{file}:1: lisen: unknown field `lisen`"),
        "did you mean `listen`?".to_owned(),
        format!("{file}:3: policy.kinds: unknown variant `los`"),
        "did you mean `loss`?".to_owned(),
        format!("{file}:4: policy.hours: `daily` are no hours: write them as `Mon-Fri 09:00-17:00`"),
    ] {
        assert!(run.stderr.contains(&said), "no `{said}` in {}", run.stderr);
    }
    assert_eq!(run.stderr.lines().count(), 3, "{run:?}");
}

#[test]
fn flags_count_and_so_do_the_files_that_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let [conf, token] = ["agent.toml", "token"].map(|name| dir.path().join(name));
    std::fs::write(&conf, "").unwrap();
    std::fs::write(&token, "0123456789abcdef").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let check = |words: &str| {
        let mut command = program(&format!("serve --check-config --config {} {words}", conf.display()));
        command.arg("--state-dir").arg(dir.path().join("state")).arg("--socket").arg(dir.path().join("sock"));
        finish(command.spawn().unwrap())
    };
    let run = check("--listen 0.0.0.0:7433");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("listen: refusing to listen on 0.0.0.0:7433"), "{run:?}");
    let run = check(&format!("--listen 0.0.0.0:7433 --token-file {}", token.display()));
    assert!(run.code == Some(1) && run.stderr.contains("token_file: every user"), "{run:?}");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let run = check(&format!("--listen 0.0.0.0:7433 --token-file {}", token.display()));
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn what_serve_would_refuse_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let [conf, token, authority] = ["agent.toml", "token", "ca.pem"].map(|name| dir.path().join(name));
    std::fs::write(&token, "0123456789abcdef").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&authority, "").unwrap();
    std::fs::set_permissions(&authority, std::fs::Permissions::from_mode(0o666)).unwrap();
    let file = token.display();
    let text = format!(
        "token_file = '{file}'\n[[tokens]]\nname = 'ci'\nfile = '{file}'\nrole = 'observe'\n[tls]\ncert = '{ca}'\nkey = '{file}'\n",
        ca = authority.display()
    );
    std::fs::write(&conf, text).unwrap();
    let mut command = program("serve --check-config --config");
    command
        .arg(&conf)
        .arg("--state-dir")
        .arg(dir.path().join("state"))
        .arg("--socket")
        .arg(dir.path().join("s"));
    let run = finish(command.spawn().unwrap());
    assert_eq!(run.code, Some(1), "{run:?}");
    for said in [
        "tokens: the tokens `token` and `ci` are the same word".to_owned(),
        format!("every user of this host may write {}", authority.display()),
    ] {
        assert!(run.stderr.contains(&said), "no `{said}` in {}", run.stderr);
    }
}

#[test]
fn a_configuration_that_every_user_may_write_is_refused_whoever_asks() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("agent.toml");
    std::fs::write(&conf, "").unwrap();
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o666)).unwrap();
    for words in ["serve --check-config --config", "serve --config"] {
        let mut command = program(words);
        command.arg(&conf);
        let run = finish(command.spawn().unwrap());
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.contains("every user of this host may write"), "{run:?}");
    }
}
