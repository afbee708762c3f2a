//! The game days of docs/gamedays, as their README has them: one command each, in labs with real servers, and nothing is left.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use harness::{binary, text};
use serde_json::Value;

/// Directory, and how much faster than it is written: as the README says.
const DAYS: [(&str, &str); 5] = [
    ("network-partition", "15"),
    ("database-outage", "15"),
    ("nats-partition", "30"),
    ("redis-failover", "10"),
    ("split-brain", "10"),
];

fn gamedays() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    project.join("docs/gamedays").canonicalize().unwrap()
}

/// What a lab could leave outside of its namespaces. Namespaces with names, and their mounts, are those of other tests.
fn outside() -> String {
    let script = "ip -o link; ip -o addr; ip route; ip rule; nft list ruleset; tc qdisc show; \
                  grep -v -e /run/netns -e /netns /proc/self/mountinfo | cut -d' ' -f4-";
    let done = Command::new("bash").args(["-c", script]).output().expect("bash is installed");
    assert!(done.status.success(), "{}", text(&done.stderr));
    text(&done.stdout).lines().filter(|line| !line.contains("valid_lft")).collect::<Vec<_>>().join("\n")
}

/// Processes that a lab of these files has started, by their environment.
fn processes(files: &Path) -> Vec<String> {
    let wanted = format!("FILES={}", files.display());
    let of = |entry: std::fs::DirEntry| {
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let has = text(&environment).split('\0').any(|variable| variable == wanted);
        has.then(|| text(&std::fs::read(entry.path().join("cmdline")).unwrap_or_default()).replace('\0', " "))
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(of).collect()
}

fn run(name: &str, faster: &str, dir: &Path) -> Result<Value, String> {
    let file = gamedays().join(name).join(format!("{name}.yaml"));
    let report = dir.join(name);
    let mut command = Command::new(binary());
    command.arg("run").arg(&file).args(["--lab", "--yes", "--faster", faster, "--report"]).arg(&report);
    let done = command.output().map_err(|error| error.to_string())?;
    let told = format!("{name}: {}{}", text(&done.stdout), text(&done.stderr));
    println!("{name}:\n{}", text(&done.stdout));
    let left = processes(&gamedays().join(name));
    if !done.status.success() {
        return Err(told);
    }
    if !left.is_empty() {
        return Err(format!("{name}: processes are left: {left:?}"));
    }
    for name in ["report.md", "report.html"] {
        if !report.join(name).is_file() {
            return Err(format!("no {name}: {told}"));
        }
    }
    let json = std::fs::read(report.join("report.json")).map_err(|error| error.to_string())?;
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}

fn round<'a>(report: &'a Value, scenario: &str) -> &'a Value {
    let rounds = report["rounds"].as_array().unwrap();
    rounds.iter().find(|round| round["scenario"] == scenario).unwrap_or_else(|| panic!("no {scenario}"))
}

fn marker<'a>(round: &'a Value, name: &str) -> &'a Value {
    let markers = round["markers"].as_array().unwrap();
    markers.iter().find(|marker| marker["name"] == name).unwrap_or_else(|| panic!("no markers {name}"))
}

fn count(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

/// What the old master was seen to take, counted by what stands beside it: `orders: redis-1 took 55 that the master does not
/// have, from 56 to 110`.
fn witnessed(round: &Value) -> usize {
    let events = round["events"].as_array().unwrap();
    let told = events.iter().filter_map(|event| event["text"].as_str());
    let line = told.flat_map(str::lines).find_map(|line| line.strip_prefix("orders: redis-1 took "));
    let number =
        line.and_then(|line| line.split(' ').next()).unwrap_or_else(|| panic!("no witness: {events:?}"));
    number.parse().unwrap()
}

fn check_redis(report: &Value) {
    let failover = round(report, "failover");
    let orders = marker(failover, "orders");
    let lost = count(&orders["lost"]);
    assert!(lost > 0, "the old master took no orders: {orders}");
    assert_eq!(lost, witnessed(failover), "{orders}");
    // Between the first of them and the last there is no other: all that was acknowledged there is lost.
    let numbers = orders["lost"].as_array().unwrap().iter().map(|number| number.as_u64().unwrap());
    let numbers = numbers.collect::<Vec<_>>();
    assert_eq!(numbers.last().unwrap() - numbers[0] + 1, u64::try_from(lost).unwrap(), "{numbers:?}");
    let measures = &failover["measures"];
    let (rpo, first) = (measures["rpo_ms"].as_u64().unwrap(), measures["first_fault_ms"].as_u64().unwrap());
    let healed = measures["healed_ms"].as_u64().unwrap();
    // As long as the cut, and until the client hears of the new master.
    assert!(rpo >= (healed - first) / 2, "RPO {rpo} ms, cut for {} ms", healed - first);
    // Nothing is promised of it, and all that was lost is told.
    let told = failover["checks"].as_array().unwrap().iter().find(|check| check["what"] == "RPO").unwrap();
    assert_eq!(told["measured_ms"].as_u64(), Some(rpo), "{told}");
    for safe in ["jobs", "payments"] {
        assert_eq!(count(&marker(failover, safe)["lost"]), 0, "{safe}");
    }
    let outage = round(report, "outage");
    for all in ["jobs", "orders", "payments"] {
        let marker = marker(outage, all);
        assert_eq!((count(&marker["lost"]), count(&marker["duplicated"])), (0, 0), "{all}");
    }
}

fn check_etcd(report: &Value) {
    let majority = round(report, "majority");
    for side in ["majority", "minority"] {
        assert_eq!(count(&marker(majority, side)["lost"]), 0, "{side}");
    }
    let of = |side: &str, what: &str| marker(majority, side)["phases"]["faults"][what].as_u64().unwrap();
    // The majority chooses a leader first; a write of the minority that was on its way may still be answered.
    assert!(of("majority", "acknowledged") * 2 > of("majority", "written"), "{majority}");
    assert!(of("minority", "acknowledged") <= 1, "{majority}");
}

#[test]
fn all_five_run_in_labs_by_one_command_each_and_leave_nothing() {
    let before = outside();
    let dir = tempfile::tempdir().unwrap();
    // Two at once: their servers have timeouts, and so has what is expected of them. The longest comes first.
    let queue = Mutex::new(DAYS.into_iter());
    let work = || {
        let mut reports = Vec::new();
        loop {
            let next = queue.lock().unwrap().next();
            let Some((name, faster)) = next else { return reports };
            reports.push((name, run(name, faster, dir.path())));
        }
    };
    let reports = std::thread::scope(|scope| {
        let workers = [(); 2].map(|()| scope.spawn(work));
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    let failed = reports.iter().filter_map(|(_, report)| report.as_ref().err());
    let failed = failed.cloned().collect::<Vec<_>>();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert_eq!(outside(), before);
    for (name, report) in reports {
        let report = report.unwrap();
        assert_eq!((&report["outcome"], &report["lab"]), (&"passed".into(), &true.into()), "{name}");
        for round in report["rounds"].as_array().unwrap() {
            let hit = |fault: &Value| {
                let hosts = fault["hosts"].as_object().unwrap();
                hosts.values().map(|host| host["packets"].as_u64().unwrap()).sum::<u64>()
            };
            let faults = round["faults"].as_array().unwrap();
            // A fault on names hits questions, not packets.
            let of_names = round["scenario"] == "frontend-dns";
            assert!(of_names || faults.iter().all(|fault| hit(fault) > 0), "{name}: {}", round["scenario"]);
        }
        match name {
            "redis-failover" => check_redis(&report),
            "split-brain" => check_etcd(&report),
            _ => {}
        }
    }
}
