use super::*;

fn read(text: &str) -> Result<(Fleet, Option<PathBuf>), Vec<String>> {
    loaded(text, false).map(|loaded| (loaded.fleet, loaded.token_file))
}

fn loaded(text: &str, tls: bool) -> Result<Loaded, Vec<String>> {
    FleetFile::read(Path::new("/etc/pa/fleet.toml"), text, tls).and_then(FleetFile::checked)
}

const WHOLE: &str = r#"
token_file = "token"
max_share = "50%"
port = 7000

[hosts.web-1]
address = "10.0.0.11"
labels = { region = "eu", zone = "eu-1a", role = "web" }
[hosts.Web-2]
address = ["10.0.0.12", "fd00::12", "::ffff:10.1.0.12"]
agent = "http://10.1.0.12:7433/"
[hosts.worker]
address = "10.0.0.13"
agent = true
[hosts.db]
address = "fd00::14"
agent = false

[groups]
app = "web-*,@pool"
pool = "worker"

[services.redis]
address = "10.0.0.5"
hosts = "db"
ports = [6379, "7000-7010"]
http = "/healthz"
[services.postgres]
address = ["10.0.0.6", "10.0.0.7"]
ports = 5432

[links.app-redis]
from = "@app"
to = "Redis"
[links.app-db]
from = "@app"
to = "db"

[lab.redis]
command = "redis-server --bind $ADDRESS"
ready = "redis-cli -h $ADDRESS ping"
patience = "5s"
[lab.web]
on = "@app,!worker"
command = "./web"
"#;

#[test]
fn a_whole_file_is_read() {
    let (fleet, token_file) = read(WHOLE).unwrap();
    assert_eq!(token_file, Some("/etc/pa/token".into()));
    assert_eq!(fleet.max_share, "50%".parse().unwrap());
    let hosts = fleet.hosts.iter().map(|(name, host)| {
        let addresses = host.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        format!("{name} {addresses} {}", host.agent.as_deref().unwrap_or("-"))
    });
    assert_eq!(
        hosts.collect::<Vec<_>>(),
        [
            "db fd00::14 -",
            "web-1 10.0.0.11 http://10.0.0.11:7000",
            "web-2 10.0.0.12 fd00::12 10.1.0.12 http://10.1.0.12:7433",
            "worker 10.0.0.13 http://10.0.0.13:7000",
        ]
    );
    assert_eq!(fleet.hosts["web-1"].labels["zone"], "eu-1a");
    assert_eq!(fleet.select(&"@app".parse().unwrap()).unwrap().len(), 3);
    let redis = &fleet.services["redis"];
    assert_eq!(redis.ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["6379", "7000-7010"]);
    assert_eq!(redis.http.as_deref(), Some("/healthz"));
    assert_eq!(fleet.services["postgres"].addresses.len(), 2);
    assert_eq!(fleet.links["app-redis"].to, LinkEnd::Service("redis".to_owned()));
    assert_eq!(fleet.links["app-db"].to, LinkEnd::Hosts("db".parse().unwrap()));
}

#[test]
fn servers_of_a_lab_run_on_hosts_or_for_a_service() {
    let loaded = loaded(WHOLE, false).unwrap();
    let redis = &loaded.servers["redis"];
    assert_eq!(redis.on, LinkEnd::Service("redis".to_owned()));
    assert_eq!(redis.command, "redis-server --bind $ADDRESS");
    assert_eq!(redis.ready.as_deref(), Some("redis-cli -h $ADDRESS ping"));
    assert_eq!(redis.patience, "5s".parse().unwrap());
    let web = &loaded.servers["web"];
    assert_eq!(web.on, LinkEnd::Hosts("@app,!worker".parse().unwrap()));
    assert_eq!((web.ready.as_ref(), web.patience), (None, "30s".parse().unwrap()));
    assert_eq!(loaded.directory, Path::new("/etc/pa"));
}

#[test]
fn the_smallest_file_has_defaults() {
    let (fleet, token_file) = read("[hosts.a]\naddress = '10.0.0.1'").unwrap();
    assert_eq!((fleet.max_share, token_file), ("66%".parse().unwrap(), None));
    assert_eq!(fleet.hosts["a"].agent.as_deref(), Some("http://10.0.0.1:7433"));
}

/// One host that is right, in lines 1 and 2, and then this.
#[track_caller]
fn only_mistake(text: &str, expected: &str) {
    let mistakes = read(&format!("[hosts.a]\naddress = '10.0.0.1'\n{text}")).unwrap_err();
    let [mistake] = mistakes.as_slice() else { panic!("{mistakes:?}") };
    assert!(mistake.starts_with("/etc/pa/fleet.toml:") && mistake.contains(expected), "{mistake}");
}

#[test]
fn every_mistake_has_its_line() {
    for (text, expected) in [
        (
            "[hosts.b]\nadress = '10.0.0.2'",
            ":4: hosts.b: unknown field `adress`, expected one of `address`, `agent`, `labels`",
        ),
        ("[hosts.b]\nlabels = { x = 'y' }", ":3: hosts.b: a host without an address"),
        (
            "[hosts.b]\naddress = '10.0.0.300'",
            ":4: hosts.b: `10.0.0.300` is no address: write one such as 10.0.0.11",
        ),
        ("[hosts.b]\naddress = [\n'10.0.0.2',\n'web-1',\n]", ":6: hosts.b: `web-1` is no address"),
        ("[hosts.b]\naddress = 5", ":4: hosts.b: invalid type: integer `5`, expected text"),
        ("[hosts.b]\naddress = '10.0.0.1'", ":4: hosts.b.address: 10.0.0.1 is the address of a already"),
        (
            "[hosts.b]\naddress = '10.0.0.2'\nlabels = { x = 5 }",
            ":5: hosts.b: invalid type: integer `5`, expected a string",
        ),
        (
            "[hosts.b]\naddress = '10.0.0.2'\n[hosts.b.labels]\nx = 'y'\nz = []",
            ":7: hosts.b: invalid type: sequence",
        ),
        (
            "[hosts.b]\naddress = '10.0.0.2'\nagent = 'ftp://a'",
            ":5: hosts.b: `ftp://a` is no agent's address: write https://HOST:PORT or http://HOST:PORT",
        ),
        (
            "[hosts.b]\naddress = '10.0.0.2'\nagent = 1",
            ":5: hosts.b: invalid type: integer `1`, expected a URL, or false",
        ),
        (
            "[hosts.b]\naddress = '10.0.0.2'\nagent = 'http://10.0.0.1:7433'",
            ":5: hosts.b.agent: http://10.0.0.1:7433 is the agent of a",
        ),
        ("[hosts.A]\naddress = '10.0.0.2'", "it is there twice, as upper and lower case are alike"),
        ("[hosts.'b c']\naddress = '10.0.0.2'", ":3: hosts.b c: `b c` cannot be a name"),
        ("[hosts.a]\n", ":3: duplicate key"),
        ("[groups]\n\napp = '@nobody'", ":5: groups.app: `@nobody` selects no host: there is no such group"),
        ("[groups]\napp = 'a,,b'", ":4: groups.app: `a,,b` selects no hosts: write names (web-1)"),
        ("[groups]\nx = '@y'\ny = 'a'\nz = '@z'", ":6: groups.z: the group `z` is made of itself: z -> z"),
        (
            "[services.s]\naddress = '10.0.0.5'\nport = 1",
            ":5: services.s: unknown field `port`, expected one of",
        ),
        (
            "[services.s]\naddress = '10.0.0.5'\nports = [\n80,\n0]",
            ":7: services.s: `0` is neither a port nor a range",
        ),
        (
            "[services.s]\naddress = '10.0.0.5'\nports = '9-8'",
            ":5: services.s: `9-8` is neither a port nor a range",
        ),
        (
            "[services.s]\naddress = '10.0.0.5'\nports = -1",
            ":5: services.s: `-1` is neither a port nor a range",
        ),
        (
            "[lab.a]\ncommand = 'x'\nredy = 'y'",
            ":5: lab.a: unknown field `redy`, expected one of `on`, `command`, `ready`, `patience`",
        ),
        ("[lab.a]\non = 'a'", ":3: lab.a: missing field `command`"),
        ("[lab.a]\ncommand = ' '", ":4: lab.a.command: nothing to run"),
        ("[lab.a]\ncommand = 'x'\nready = ''", ":5: lab.a.ready: nothing to ask"),
        ("[lab.b]\ncommand = 'x'", ":3: lab.b.on: `b` is neither a service nor a host"),
        ("[lab.x]\ncommand = 'x'\non = '@eu'", ":5: lab.x.on: `@eu` selects no host"),
        ("[lab.x]\ncommand = 'x'\non = 'a,,b'", ":5: lab.x: `a,,b` selects no hosts"),
        ("[lab.a]\ncommand = 'x'\npatience = '5'", ":5: lab.a: "),
        ("[lab.'*']\ncommand = 'x'", ":3: lab.*: `*` cannot be a name"),
        ("[lab.'']\ncommand = 'x'", ":3: lab.: "),
        ("[services.s]\nports = 80", ":3: services.s: a service that is nowhere"),
        ("[services.s]\nports = 80\nhosts = '@b'", ":5: services.s.hosts: `@b` selects no host"),
        (
            "[links.l]\nfrom = 'a'\n\nto = 'rdis'\n[services.redis]\naddress = '10.0.0.5'",
            ":6: links.l.to: `rdis` is neither a service nor a host; did you mean `redis`?",
        ),
        ("[links.l]\nto = 'a'", ":3: links.l: missing field `from`"),
        ("[links.l]\nfrom = 'b*'\nto = 'a'", ":4: links.l.from: `b*` selects no host"),
        ("[limits]\nx = 1", ":3: unknown key `limits`: a fleet file has token_file,"),
        ("[link.l]\nx = 1", ":3: unknown key `link`"),
        ("x = ", ":3:"),
    ] {
        only_mistake(text, expected);
    }
    let top = |text: &str| read(&format!("{text}\n[hosts.a]\naddress = '10.0.0.1'")).unwrap_err();
    for (text, expected) in [
        ("max_share = '0%'", ":1: max_share: 0% is not a share"),
        ("\nmax_share = 66", ":2: max_share: invalid type: integer `66`, expected text"),
        ("port = 70000", ":1: port: invalid value: integer `70000`"),
        ("from = ['file_sd:x.json',\n'etcd:x']", ":2: from: `etcd:x` is no source of hosts"),
        ("groups = 'a'", ":1: groups: this is no table: write [groups]"),
        ("token_file = true", ":1: token_file: invalid type: boolean"),
    ] {
        let mistakes = top(text);
        let [mistake] = mistakes.as_slice() else { panic!("{mistakes:?}") };
        assert!(mistake.contains(expected), "{mistake}");
    }
}

#[test]
fn all_mistakes_are_told_but_not_what_follows_from_them() {
    let text =
        "x = 1\n[hosts.a]\naddress = '10.0.0.300'\n[hosts.b]\naddress = 5\n[groups]\napp = 'a'\nbad = ''\n";
    let mistakes = read(text).unwrap_err();
    let lines = mistakes.iter().map(|mistake| mistake.split(':').nth(1).unwrap()).collect::<Vec<_>>();
    // Not that the group has no hosts, nor that the fleet has none.
    assert_eq!(lines, ["1", "3", "5", "8"], "{mistakes:?}");

    let text = "[hosts.a]\naddress = '10.0.0.1'\n[hosts.b]\naddress = '10.0.0.1'\n[links.l]\nfrom = '@x'\nto = '@y'\n";
    assert_eq!(read(text).unwrap_err().len(), 3);

    assert_eq!(
        read("").unwrap_err(),
        ["/etc/pa/fleet.toml:1: hosts: a fleet without hosts: name some, or bring them from another source"]
    );
}

#[test]
fn hosts_of_another_source_are_hosts_of_the_file() {
    let found = |names: &[&str]| {
        let host = |name: &&str| {
            let addresses = vec![format!("10.1.0.{}", name.len()).parse().unwrap()];
            ((*name).to_owned(), FleetHost { addresses, ..FleetHost::default() })
        };
        let groups = [("more".to_owned(), "*".parse().unwrap())].into();
        Found { hosts: names.iter().map(host).collect(), groups }
    };
    let source = "file_sd:targets.json".parse::<Source>().unwrap();
    let file = || {
        let text =
            "from = 'file_sd:targets.json'\n\n[hosts.a]\naddress = '10.0.0.1'\n[groups]\nall = 'aa,@more'\n";
        FleetFile::read(Path::new("fleet.toml"), text, false).unwrap()
    };

    let mut sound = file();
    assert_eq!(sound.from, std::slice::from_ref(&source));
    sound.add(&source, Ok(found(&["aa"])));
    let fleet = sound.checked().unwrap().fleet;
    assert_eq!(fleet.select(&"@all".parse().unwrap()).unwrap().len(), 2);

    let mut clash = file();
    clash.add(&source, Ok(found(&["a", "aa"])));
    let mistakes = clash.checked().unwrap_err();
    assert_eq!(mistakes, ["fleet.toml:3: file_sd:targets.json has a host a, too"]);

    // What the source would have brought is missing, and that is not told again.
    let mut silent = file();
    silent.add(&source, Err("no answer".to_owned()));
    assert_eq!(silent.checked().unwrap_err(), ["fleet.toml:1: file_sd:targets.json: no answer"]);
}

#[test]
fn with_tls_all_agents_are_asked_over_it() {
    let host = "[hosts.a]\naddress = '10.0.0.1'\n";
    let agent = |loaded: &Loaded| loaded.fleet.hosts["a"].agent.clone().unwrap();
    let file =
        loaded(&format!("tls = {{ ca = 'ca.crt', cert = '/x/me.crt', key = 'me.key' }}\n{host}"), false)
            .unwrap();
    let path = |text: &str| Some(PathBuf::from(text));
    let tls = TlsFiles { ca: path("/etc/pa/ca.crt"), cert: path("/x/me.crt"), key: path("/etc/pa/me.key") };
    assert_eq!((agent(&file).as_str(), file.tls), ("https://10.0.0.1:7433", tls));
    // Those of the system, or those of the flags.
    for (text, flags) in [(format!("{host}[tls]\n"), false), (host.to_owned(), true)] {
        let file = loaded(&text, flags).unwrap();
        assert_eq!((agent(&file).as_str(), file.tls), ("https://10.0.0.1:7433", TlsFiles::default()));
    }
    let plain = loaded(host, false).unwrap();
    assert_eq!(agent(&plain), "http://10.0.0.1:7433");
    // One that is asked over TLS in a fleet that says nothing of it.
    assert!(loaded(&format!("{host}agent = 'https://web-1:7433'"), false).is_ok());
    for (text, flags) in [
        (format!("{host}agent = 'http://a:1'\n[tls]\nca = 'ca.crt'"), false),
        (format!("{host}agent = 'http://a:1'"), true),
    ] {
        let mistakes = loaded(&text, flags).unwrap_err();
        let [mistake] = mistakes.as_slice() else { panic!("{mistakes:?}") };
        assert!(
            mistake.starts_with("/etc/pa/fleet.toml:3: hosts.a.agent: http://a:1 is not TLS"),
            "{mistake}"
        );
    }
    let mistakes = loaded(&format!("{host}[tls]\ncrt = 'x'"), false).unwrap_err();
    assert!(
        mistakes[0].contains(":4: tls: unknown field `crt`, expected one of `ca`, `cert`, `key`"),
        "{mistakes:?}"
    );
}
