//! Every mistake, with its line and what to do about it.

use super::*;

/// All that is told, without the path.
fn told(text: &str) -> Vec<String> {
    let mistakes = match read(Path::new("f.yaml"), text, None, &environment) {
        Ok(day) => panic!("{text}\n{day:?}"),
        Err(mistakes) => mistakes,
    };
    let plain =
        |mistake: &String| mistake.strip_prefix("f.yaml:").unwrap_or_else(|| panic!("{mistake}")).to_owned();
    mistakes.iter().map(plain).collect()
}

/// The probe is in line 4, the step in line 7, the rest from line 8 on.
fn file(probe: &str, step: &str, rest: &str) -> String {
    format!(
        "name: a\nprobes:\n  p: {{tcp: \"a:1\"}}\n  q: {{{probe}}}\ntimeline:\n  \
         - {{at: T+0, name: cut, inject: --loss 1% --peer a --for 5m}}\n  - {{{step}}}\n{rest}\n"
    )
}

const PROBE: &str = "tcp: \"b:1\"";
const STEP: &str = "at: 5m, restore: all";

#[test]
fn of_probes() {
    for (written, mistakes) in [
        (
            "",
            &[
                "4: probe q: it asks nothing: write one of http, tcp, dns, command, prometheus, redis, postgresql, nats",
            ][..],
        ),
        (
            "tcp: \"a:1\", http: \"http://a\"",
            &["4: probe q: http and tcp are two questions: make a probe of each"],
        ),
        (
            "tcp: \"a:1\", status: 200, query: x",
            &[
                "4: probe q: status goes with http, and this one asks tcp: leave it out",
                "4: probe q: query goes with prometheus, and this one asks tcp: leave it out",
            ],
        ),
        ("tcp: a", &["4: probe q: tcp: `a` is no HOST:PORT: write redis:6379 or [fd00::5]:6379"]),
        (
            "tcp: 10.0.0.0/8:1",
            &["4: probe q: tcp: `10.0.0.0/8:1` is no HOST:PORT: write redis:6379 or [fd00::5]:6379"],
        ),
        (
            "redis: \"a:1-5\"",
            &["4: probe q: redis: `a:1-5` is no HOST:PORT: write redis:6379 or [fd00::5]:6379"],
        ),
        (
            "redis: \"a:1\", password: \"${NO}\"",
            &[
                "4: probe q: password: `${NO}` is not in the environment: set NO, or write `$${NO}` for this very text",
            ],
        ),
        ("tcp: \"a:1\", evry: 1s", &["4: unknown key `evry`: did you mean `every`?"]),
        (
            "tcp: \"a:1\", every: 1",
            &[
                "4: every: `1` is not a length of time (time unit needed, for example 1sec or 1ms): write it as 90s, 5m, 1h30m or 200ms",
            ],
        ),
        ("tcp: \"a:1\", every: 99ms", &["4: probe q: every: write 100ms at least"]),
        ("tcp: \"a:1\", timeout: 0s", &["4: probe q: timeout: write more than 0s"]),
        ("tcp: \"a:1\", from: ", &["4: from: it has no value: write one, or leave the key out"]),
        (
            "tcp: \"a:1\", from: ' '",
            &["4: probe q: from: it is empty: write something, or leave the key out"],
        ),
        (
            "http: gateway/x",
            &["4: probe q: http: `gateway/x` is no URL: write one as http://gateway:8080/healthz"],
        ),
        (
            "http: \"ftp://${API_KEY}/x\"",
            &["4: probe q: http: `ftp://${API_KEY}/x` is no URL: write one as http://gateway:8080/healthz"],
        ),
        (
            "http: \"http://${KEY}/x\", headers: {'X Y': 1, A: \"${B\"}",
            &[
                "4: probe q: headers: `X Y` is no name of a header",
                "4: probe q: headers: after a `${` the name of a variable and a `}` belong: write `$${` for a plain `${`",
                "4: probe q: http: `${KEY}` is not in the environment: set KEY, or write `$${KEY}` for this very text",
            ],
        ),
        (
            "http: \"http://a\", status: [200, 99]",
            &["4: status: `99` is no status: a status is 100 to 599, or a list of them"],
        ),
        (
            "http: \"http://a\", status: \"2xx\"",
            &["4: status: `2xx` is no status: a status is 100 to 599, or a list of them"],
        ),
        (
            "http: \"http://a\", json: {path: $.checks.redis, equals: up}",
            &["4: probe q: json: `$.checks.redis`: leave `$.` out"],
        ),
        (
            "http: \"http://a\", json: {path: \"$[0].up\", equals: up}",
            &["4: probe q: json: `$[0].up`: leave `$` out"],
        ),
        (
            "command: x, stdout: ok",
            &["4: stdout: `ok` is a value where keys belong: write `stdout: {equals: ok}`"],
        ),
        (
            "http: \"http://a\", json: {path: a..b, equals: 1}",
            &["4: probe q: json: `a..b` is no path into JSON: write `checks.redis` or `members[0].name`"],
        ),
        (
            "http: \"http://a\", json: {path: a}",
            &[
                "4: probe q: json: there is nothing to compare with: add one of equals, not, contains, above, below",
            ],
        ),
        (
            "http: \"http://a\", json: {equals: a, above: 3}",
            &[
                "4: probe q: json: equals and above are two comparisons: leave one of them out",
                "4: probe q: json: add `path`, where the value is",
            ],
        ),
        ("http: \"http://a\", json: up", &["4: json: `up` is a value where keys belong: write `KEY: VALUE`"]),
        (
            "dns: a b, server: ns",
            &[
                "4: probe q: dns: `a b` is no name to look up: write one as db.example.com",
                "4: probe q: server: `ns` is no address: write one as 10.0.0.2, 10.0.0.2:5353 or [fd00::2]:53",
            ],
        ),
        ("command: ''", &["4: probe q: command: it is empty: write something, or leave the key out"]),
        ("command: x, stdout: {above: .nan}", &["4: above: `.nan` is no number"]),
        ("command: x, stdout: {above: lots}", &["4: above: `lots` is no number"]),
        (
            "prometheus: \"http://a\"",
            &[
                "4: probe q: prometheus: there is nothing to compare with: add one of equals, not, above, below",
                "4: probe q: prometheus: add `query`, what is asked",
            ],
        ),
        (
            "prometheus: \"http://a\", query: x, above: 1, below: 2",
            &["4: probe q: prometheus: above and below are two comparisons: leave one of them out"],
        ),
        ("prometheus: \"http://a\", query: x, equals: up", &["4: equals: `up` is no number"]),
    ] {
        assert_eq!(told(&file(written, STEP, "")), mistakes, "{written}");
    }
}

#[test]
fn of_steps() {
    for (written, mistakes) in [
        (
            "restore: all",
            &["7: step 2: add `at`, when it is done: T+5m, or after another step as cut+30s"][..],
        ),
        (
            "at: 5m",
            &[
                "7: step 2: it does nothing: write one of inject, partition, degrade, restore, run, confirm, observe, matrix, or expect",
            ],
        ),
        (
            "at: 5x, restore: all",
            &[
                "7: at: `5x` is no time: write T+5m, 5m or T-15m, or the name of a step and how much later, as cut+30s",
            ],
        ),
        ("at: heel, restore: all", &["7: at: there is no step `heel`; there are cut"]),
        (
            "at: 5m, restore: all, run: x, observe: y",
            &["7: step 2: restore and run are two things to do: make a step of each"],
        ),
        (
            "at: 5m, name: Heal it, restore: all",
            &[
                "7: name: `Heal it` cannot be the name of a step: use at most 32 of a-z, 0-9, `-`, `_` and `.`, and begin with a letter",
            ],
        ),
        (
            "at: 5m, name: cut, restore: all",
            &["7: name: another step is called `cut`, too: the one in line 6"],
        ),
        ("at: 5m, name: all, restore: all", &["7: name: `all` are all faults: call it something else"]),
        (
            "at: 5m, name: cut-5m, restore: all",
            &["7: name: `cut-5m` reads as 5m before the step `cut`: call it something else"],
        ),
        ("at: 5m, restore: []", &["7: step 2: restore: an empty list: write `all`, or the names of steps"]),
        (
            "at: 5m, restore: [all, cut]",
            &["7: step 2: restore: `all` has everything in it: leave the others out"],
        ),
        ("at: 5m, restore: cat", &["7: step 2: restore: there is no step `cat`; did you mean `cut`?"]),
        (
            "at: 5m, name: me, restore: me",
            &["7: me: restore: the step `me` makes no fault: name one that does, or `all`"],
        ),
        (
            "at: T+0, restore: cut",
            &["7: step 2: restore: it is at T, and the fault of `cut` only comes at T: restore later"],
        ),
        (
            "at: 6m, restore: cut",
            &[
                "7: step 2: restore: the fault of `cut` is over at T+5m already: give it a longer --for (1m if not said)",
            ],
        ),
        (
            "at: 6m, restore: all",
            &[
                "7: step 2: restore: no fault is in force at T+6m: the fault of `cut` is over at T+5m already: give it a longer --for (1m if not said)",
            ],
        ),
        ("at: 5m, restore: step 9", &["7: step 2: restore: there is no step `step 9`; there are cut"]),
        (
            "at: 5m, restore: step 2",
            &["7: step 2: restore: `step 2` has no name of its own: add `name: ...` to it"],
        ),
        ("at: T-1m, restore: all", &["7: step 2: restore: no fault is in force at T-1m: restore later"]),
        (
            "at: T-1m, inject: --loss 1% --peer a",
            &["7: step 2: a fault at T-1m, and T is when the first one is: write T+0 or later"],
        ),
        (
            "at: 5m, inject: --los 1% --peer a",
            &["7: step 2: inject: unexpected argument '--los' found; a similar argument exists: '--loss'"],
        ),
        (
            "at: 5m, inject: partition-agent inject --loss 1% --peer a",
            &["7: step 2: inject: leave `partition-agent inject` out: only what follows it"],
        ),
        (
            "at: 5m, degrade: partition-agent inject --peer a",
            &[
                "7: step 2: degrade (high: --loss 100%): leave `partition-agent inject` out: only what follows it",
            ],
        ),
        (
            "at: 5m, inject: --loss 1% --peer a --wait",
            &["7: step 2: inject: --wait has no place in a game day: a run stays until its faults are over"],
        ),
        (
            "at: 5m, partition: a",
            &["7: step 2: partition: one group has nobody to be parted from: name a second one, as `rest`"],
        ),
        (
            "at: 5m, degrade: --peer a --loss 1%",
            &[
                "7: step 2: degrade (high: --loss 100%): the argument '--loss <PERCENT>' cannot be used multiple times",
            ],
        ),
        (
            "at: 5m, degrade: --for 1m",
            &[
                "7: step 2: degrade (high: --loss 100%): an empty target: name a peer or a port, or ask for all traffic on purpose (--all-traffic)",
            ],
        ),
        (
            "at: 5m, inject: --loss 1% --peer a --for 3h",
            &["7: step 2: its fault lasts 3h, and longest is 2h: shorten --for, or raise longest"],
        ),
        (
            "at: 119m, inject: --loss 1% --peer a --for 2m",
            &[
                "7: step 2: its fault lasts until T+2h1m, 2h1m after the first step, and longest is 2h: shorten --for, restore it, or raise longest",
            ],
        ),
        ("at: 3h, observe: x", &["5: longest: it is 2h, and the timeline takes 3h: raise it"]),
        (
            "at: 5m, run: '', timeout: 0s",
            &[
                "7: step 2: timeout: write more than 0s",
                "7: step 2: run: it is empty: write something, or leave the key out",
            ],
        ),
        ("at: 5m, timeout: 1s, observe: x", &["7: step 2: timeout goes with run: leave it out"]),
        ("at: 5m, confirm: ", &["7: confirm: it has no value: write one, or leave the key out"]),
        ("at: 5m, observe: [x]", &["7: observe: there is a list where one value belongs"]),
        ("at: 5m, matrix: later", &["7: matrix: `later` is none of before, during, after"]),
        ("at: 5m, expect: r", &["7: step 2: expect: there is no probe `r`; did you mean `p`?"]),
        (
            "at: 5m, expect: [p, not p, p, not not p]",
            &[
                "7: expect: `not not p` is no condition: write the name of a probe, or `not NAME`",
                "7: step 2: expect: `p` and `not p` are never so at once",
                "7: step 2: expect: `p` is there twice",
            ],
        ),
        ("at: 5m, restore: all, at: 6m", &["7: at: it is there twice, the first time in line 7"]),
    ] {
        assert_eq!(told(&file(PROBE, written, "")), mistakes, "{written}");
    }
}

#[test]
fn of_everything_else() {
    for (written, mistakes) in [
        ("nmae: b", &["8: unknown key `nmae`: did you mean `name`?"][..]),
        ("name: b", &["8: name: it is there twice, the first time in line 1"]),
        ("severity: worst", &["8: severity: `worst` is none of low, medium, high"]),
        (
            "severities: {high: --peer a, low: ''}",
            &[
                "8: low: it does nothing: write what happens, as --latency 50ms",
                "8: high: unexpected argument '--peer' found",
            ],
        ),
        ("severities: {huge: x}", &["8: unknown key `huge`: there are low, medium, high"]),
        ("fleet: ''", &["8: fleet: it is empty: write something, or leave the key out"]),
        ("longest: 0s", &["8: longest: write more than 0s"]),
        (
            "longest: 4m",
            &[
                "6: cut: its fault lasts 5m, and longest is 4m: shorten --for, or raise longest",
                "8: longest: it is 4m, and the timeline takes 5m: raise it",
            ],
        ),
        (
            "longest: 2h 1x",
            &[
                "8: longest: `2h 1x` is not a length of time (unknown time unit \"x\", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations)): write it as 90s, 5m, 1h30m or 200ms",
            ],
        ),
        (
            "targets: {detect: 30s, alert: 1m, rto: 1m, rpo: 0s, lost: 1, duplicated: 1}",
            &[
                "8: detect: nothing says how it is measured: write `detected: CONDITION`, or leave the target out",
                "8: alert: nothing says how it is measured: write `alerted: CONDITION`, or leave the target out",
                "8: rto: nothing says how it is measured: write `steady: [...]`, or `recovery: {holds: [...]}`, or leave the target out",
                "8: rpo: nothing says how it is measured: write `markers:`, or leave the target out",
                "8: lost: nothing says how it is measured: write `markers:`, or leave the target out",
                "8: duplicated: nothing says how it is measured: write `markers:`, or leave the target out",
            ],
        ),
        (
            "targets: {lost: -1, rpo: x}",
            &[
                "8: lost: `-1` is no whole number from 0 on",
                "8: rpo: `x` is not a length of time (expected number at 0): write it as 90s, 5m, 1h30m or 200ms",
            ],
        ),
        ("steady: [p, r]", &["8: steady: there is no probe `r`; did you mean `p`?"]),
        ("steady: {a: b}", &["8: steady: there are keys where one value belongs"]),
        (
            "detected: is p",
            &["8: detected: `is p` is no condition: write the name of a probe, or `not NAME`"],
        ),
        ("alerted: pp", &["8: alerted: there is no probe `pp`; did you mean `p`?"]),
        (
            "guards: [{for: 5s}, {when: r, for: x}]",
            &[
                "8: for: `x` is not a length of time (expected number at 0): write it as 90s, 5m, 1h30m or 200ms",
                "8: a guard says when the run aborts: add `when: not NAME`",
                "8: when: there is no probe `r`; did you mean `p`?",
            ],
        ),
        (
            "steady: [p, not q]\ndetected: p\nalerted: not q",
            &[
                "9: detected: `p` holds in the steady state already: did you mean `not p`?",
                "10: alerted: `not q` holds in the steady state already: did you mean `q`?",
            ],
        ),
        ("guards: [not p]", &["8: guards: `not p` is a value where keys belong: write `- {when: not p}`"]),
        ("recovery: 5m", &["8: recovery: `5m` is a value where keys belong: write `recovery: {within: 5m}`"]),
        ("recovery: p", &["8: recovery: `p` is a value where keys belong: write `recovery: {holds: p}`"]),
        ("guards: {when: p}", &["8: guards: a list belongs here: one `- ...` a line, or [..., ...]"]),
        (
            "scenarios: {x: {timeline: []}}",
            &[
                "8: scenarios: there is a timeline, too: move it into a scenario",
                "8: a game day in which nothing is cut: add a step with inject, partition or degrade",
            ],
        ),
        (
            "recovery: {holds: [r], stable: x, within: 0s}",
            &[
                "8: stable: `x` is not a length of time (expected number at 0): write it as 90s, 5m, 1h30m or 200ms",
                "8: holds: there is no probe `r`; did you mean `p`?",
                "8: within: write more than 0s",
            ],
        ),
        (
            "markers: {m: {}, n: {write: x, read: '', every: 1ms}}",
            &[
                "8: marker m: add `write`, the command that writes it",
                "8: marker m: add `read`, the command that prints all that are there",
                "8: marker n: every: write 10ms at least",
                "8: marker n: read: it is empty: write something, or leave the key out",
            ],
        ),
        (
            "hooks: [{}, {on: [], command: x}, {on: never, slack: \"${NO}\"}, {on: started, slack: x}, {on: fault, command: x, slack: y}]",
            &[
                "8: on: `never` is none of started, fault, healed, recovered, aborted, finished",
                "8: a hook is told of something: add `on`, as `on: [started, finished]`",
                "8: a hook tells somebody: add `slack` or `command`",
                "8: on: an empty list: the hook would be told of nothing",
                "8: slack: `${NO}` is not in the environment: set NO, or write `$${NO}` for this very text",
                "8: slack: `x` is no URL: write one as https://hooks.slack.com/services/...",
                "8: slack and command are two hooks: write each by itself",
            ],
        ),
        ("questions: {a: b}", &["8: questions: there are keys where one value belongs"]),
        ("about: [a]", &["8: about: there is a list where one value belongs"]),
        ("participants: [a, [b]]", &["8: participants: there is a list where one value belongs"]),
    ] {
        assert_eq!(told(&file(PROBE, STEP, written)), mistakes, "{written}");
    }
}

#[test]
fn of_whole_files() {
    for (written, mistakes) in [
        ("", &["1: there is nothing in it: a game day has at least a name and a timeline"][..]),
        ("a", &["1: `a` is a value where keys belong: write `KEY: VALUE`"]),
        ("[]", &["1: there is a list where keys belong"]),
        (
            "name: a",
            &["1: a game day has a timeline: write `timeline:`, or `scenarios:` with several of them"],
        ),
        (
            "name: ''\ntimeline: []",
            &[
                "1: name: it is empty: write something, or leave the key out",
                "2: a game day in which nothing is cut: add a step with inject, partition or degrade",
            ],
        ),
        (
            "name: a\ntimeline: [{at: T, observe: x}]",
            &["2: a game day in which nothing is cut: add a step with inject, partition or degrade"],
        ),
        ("name: a\nscenarios: {}", &["2: scenarios: there is none: name one, with its timeline"]),
        (
            "name: a\nscenarios:\n  x: {about: y}\n  z:\n",
            &[
                "3: scenario x: add `timeline`, what is done when",
                "4: z: it has no value: write one, or leave the key out",
            ],
        ),
        (
            "name: a\nprobes:\n  a b: {tcp: \"a:1\"}\n  not: {tcp: \"a:1\"}\n  x:\ntimeline: [{at: T, inject: --loss 1% --peer a, expect: x}]",
            &[
                "3: `a b` cannot be the name of a probe: conditions could not name it; leave out white space",
                "4: `not` cannot be the name of a probe: conditions could not name it; leave out white space",
                "5: x: it has no value: write one, or leave the key out",
            ],
        ),
        (
            "name: a\ntimeline:\n- at: 6m\n  inject: --loss 1% --peer a\n- at: 5m\n  name: cut\n  inject: --loss 1% --peer a",
            &[
                "5: cut: the first fault is at T+5m, and T is when it comes: write T+0, and T-5m for what is so long before it",
            ],
        ),
        (
            "name: a\ntimeline:\n- {at: T, inject: --loss 1% --peer a}\n- {at: 1m, restore: [step 1]}\n- {at: 1m, restore: stp}",
            &[
                "4: step 2: restore: `step 1` has no name of its own: add `name: ...` to it",
                "5: step 3: restore: there is no step `stp`, and no fault has a name: add `name: ...` to the one that is meant",
            ],
        ),
        // The sign of the whole file is told once, and only where the steady state has it.
        (
            "name: a\nprobes:\n  p: {tcp: \"a:1\"}\n  q: {tcp: \"a:1\"}\nsteady: p\ndetected: q\nscenarios:\n\
             \x20 one: {steady: q, timeline: [{at: T, inject: --loss 1% --peer a}]}\n\
             \x20 two: {timeline: [{at: T, inject: --loss 1% --peer a}]}\n\
             \x20 three: {steady: q, timeline: [{at: T, inject: --loss 1% --peer a}]}\n\
             \x20 four: {detected: p, timeline: [{at: T, inject: --loss 1% --peer a}]}",
            &[
                "6: detected: `q` holds in the steady state already: did you mean `not q`?",
                "11: detected: `p` holds in the steady state already: did you mean `not p`?",
            ],
        ),
        (
            "name: a\ntimeline:\n- at: T\n  partition: @eu @us",
            &["4: a value cannot begin with `@`: write it in quotes"],
        ),
        ("name: a\ntimeline:\n- at: T\n\tpartition: a b", &["4: a tab: indent with blanks"]),
        (
            "name: a\nsteady: [!redis, api]",
            &["2: `!redis` is a tag of YAML: write `not redis`, or in quotes what begins with a `!`"],
        ),
        ("name: [\n", &["1: unclosed bracket '['"]),
    ] {
        assert_eq!(told(written), mistakes, "{written}");
    }
}

/// Nothing stops the reading, and what follows from a mistake is not told again.
#[test]
fn all_mistakes_are_told_at_once() {
    let text = "\
name: Redis failover
severity: highest
targts: {rto: 5m}
probes:
  api:
    http: http://gateway/
    every: 5
    json: {path: a., contains: x}
  redis:
    redis: redis
    timeout: soon
  alert: {prometheus: \"http://prometheus\", query: up}
steady: [api, reddis, not alert]
guards:
  - for: 5s
timeline:
  - at: cut-1m
    matrix: befor
  - at: heal
    name: cut
    inject: --loss 101% --peer redis
  - at: cut
    name: heal
    restore: cut
    expect: api
  - name: heal
    at: T+1m
    run: ./x
    observe: y
markers:
  orders:
    write: x
hooks:
  - slack: ${SLACK}
    on: [begun]
";
    assert_eq!(
        told(text),
        [
            "2: severity: `highest` is none of low, medium, high",
            "3: unknown key `targts`: did you mean `targets`?",
            "7: every: `5` is not a length of time (time unit needed, for example 5sec or 5ms): write it as 90s, 5m, 1h30m or 200ms",
            "8: probe api: json: `a.` is no path into JSON: write `checks.redis` or `members[0].name`",
            "10: probe redis: redis: `redis` is no HOST:PORT: write redis:6379 or [fd00::5]:6379",
            "11: timeout: `soon` is not a length of time (expected number at 0): write it as 90s, 5m, 1h30m or 200ms",
            "12: probe alert: prometheus: there is nothing to compare with: add one of equals, not, above, below",
            "13: steady: there is no probe `reddis`; did you mean `redis`?",
            "15: a guard says when the run aborts: add `when: not NAME`",
            "18: matrix: `befor` is none of before, during, after",
            "19: at: circular times: cut -> heal -> cut: give one of them a time from T, as T+5m",
            "21: cut: inject: invalid value '101%' for '--loss <PERCENT>': 101% is not a share of packets: it must be at least \
             0.0001% and at most 100%",
            "26: name: another step is called `heal`, too: the one in line 23",
            "29: heal: run and observe are two things to do: make a step of each",
            "31: marker orders: add `read`, the command that prints all that are there",
            "34: slack: `${SLACK}` is not in the environment: set SLACK, or write `$${SLACK}` for this very text",
            "35: on: `begun` is none of started, fault, healed, recovered, aborted, finished",
        ]
    );
}
