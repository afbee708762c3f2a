//! The .rpm: what is in it, and what it does when.

use std::process::Command;

use crate::make;

fn rpm(words: &[&str]) -> String {
    let output = Command::new("rpm").args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    harness::text(&output.stdout)
}

#[test]
fn the_rpm_has_what_the_deb_has_and_heals_first() {
    if !["rpmbuild", "rpm", "dpkg-deb", "strip"].iter().all(|tool| harness::has_tool(tool)) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    make("0.1.0", out.path());
    let of = |ending: &str| {
        let mut files = std::fs::read_dir(out.path()).unwrap().map(|file| file.unwrap().path());
        files
            .find(|file| file.extension().is_some_and(|found| found == ending))
            .unwrap()
            .display()
            .to_string()
    };
    let (package, deb) = (of("rpm"), of("deb"));

    let listed = rpm(&["-qp", "--qf", "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]", &package]);
    for line in [
        "-rwxr-xr-x root /usr/bin/partition-agent",
        "-rw-r--r-- root /usr/lib/systemd/system/partition-agent.service",
        "-rw-r--r-- root /usr/lib/sysusers.d/partition-agent.conf",
        "-rw-r--r-- root /etc/partition-agent/agent.toml",
        "-rw-r--r-- root /usr/share/man/man1/partition-agent-inject.1.gz",
        "-rw-r--r-- root /usr/share/zsh/site-functions/_partition-agent",
    ] {
        assert!(listed.lines().any(|found| found == line), "{line} is not in\n{listed}");
    }
    // The same files, but for where each distribution's zsh looks.
    let contents = Command::new("dpkg-deb").args(["--contents", &deb]).output().unwrap();
    let contents = harness::text(&contents.stdout);
    let in_deb = contents.lines().filter(|line| !line.starts_with('d'));
    let in_deb =
        in_deb.map(|line| line.split_whitespace().last().unwrap().trim_start_matches('.').to_owned());
    let in_deb = in_deb.map(|file| file.replace("/vendor-completions/", "/site-functions/"));
    let mut in_deb = in_deb.collect::<Vec<_>>();
    let directories = listed.lines().filter(|line| !line.starts_with('d'));
    let mut in_rpm =
        directories.map(|line| line.split_whitespace().last().unwrap().to_owned()).collect::<Vec<_>>();
    in_deb.sort();
    in_rpm.sort();
    assert_eq!(in_deb, in_rpm);

    assert_eq!(rpm(&["-qpc", &package]), "/etc/partition-agent/agent.toml\n");
    let scripts = rpm(&["-qp", "--scripts", &package]);
    let part = |from: &str, to: &str| {
        scripts
            .split(from)
            .nth(1)
            .and_then(|rest| rest.split(to).next())
            .unwrap_or_else(|| panic!("{scripts}"))
            .to_owned()
    };
    let before_upgrade = part("preinstall scriptlet", "postinstall scriptlet");
    assert!(
        before_upgrade.contains("\"$1\" -ge 2") && before_upgrade.contains("systemctl stop"),
        "{scripts}"
    );
    let before_removal = part("preuninstall scriptlet", "postuninstall scriptlet");
    assert!(before_removal.contains("disable --now partition-agent.service"), "{scripts}");
    assert!(part("postinstall scriptlet", "preuninstall").contains("systemd-sysusers"), "{scripts}");
}
