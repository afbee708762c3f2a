//! Faults to ask for, at random: every kind that stays in the kernel, every form of target.

use partition_agent_proto::FaultSpec;

use crate::dice::Dice;
use crate::model::Room;

/// What is asked of the API, and the same as a value.
pub struct Wish {
    pub json: String,
    pub spec: FaultSpec,
    pub room: Room,
}

const CUT: &str = r#"{"loss":{"percent":100}}"#;
const LOSE: &str = r#"{"loss":{"percent":30}}"#;
const SLOW: &str = r#"{"delay":{"latency":"5ms"}}"#;

fn kinds(dice: &mut Dice) -> String {
    let lose_and_slow = format!("{LOSE},{SLOW}");
    let reject = dice.pick(&["tcp_reset", "port_unreachable", "admin_prohibited"]);
    let reject = format!(r#"{{"reject":{{"with":"{reject}"}}}}"#);
    let names = r#"{"dns":{"names":["*.soak.test"],"answer":"nxdomain"}}"#;
    dice.weighed(&[
        (5, CUT.to_owned()),
        (2, LOSE.to_owned()),
        (2, SLOW.to_owned()),
        (1, lose_and_slow),
        (2, reject),
        (1, names.to_owned()),
    ])
}

/// Distinct ones.
fn some(dice: &mut Dice, most: usize, of: &[&str]) -> String {
    let mut chosen = Vec::new();
    for _ in 0..=dice.below(most) {
        let one = format!("\"{}\"", dice.pick(of));
        if !chosen.contains(&one) {
            chosen.push(one);
        }
    }
    chosen.join(",")
}

fn target(dice: &mut Dice, room: Room) -> String {
    let peers: &[&str] = match room {
        Room::App => &[
            "10.77.1.2",
            "10.77.2.2",
            "10.77.1.0/24",
            "10.77.2.0/24",
            "fd77:1::2",
            "192.0.2.0/24",
            "10.77.1.7:80-90",
            "10.77.1.2:80",
            "[fd77:2::2]:81",
            "10.77.2.2:80-81",
            // Protected, so never the only ones.
            "10.77.1.200",
            "10.77.1.192/26",
        ],
        Room::Redis => &["10.77.1.1", "10.77.1.0/24", "10.77.1.1:80", "fd77:1::1"],
        Room::Extra => &["10.77.9.1", "10.77.9.0/24", "10.77.9.1:81-83"],
        Room::Container => &["172.17.0.1", "192.0.2.1", "172.17.0.1:80"],
    };
    let mut parts = Vec::new();
    match dice.below(10) {
        0 => return r#""all_traffic":true"#.to_owned(),
        1 => parts.push(format!("\"ports\":[{}]", some(dice, 2, &["80", "81-82", "443"]))),
        2 => parts.push(format!("\"local_ports\":[{}]", some(dice, 2, &["7001", "7002-7003"]))),
        3 => parts.push(format!("\"peers\":[{}],\"ports\":[80]", some(dice, 2, &peers[..2]))),
        _ => parts.push(format!("\"peers\":[{}]", some(dice, 3, peers))),
    }
    if dice.one_in(5) {
        parts.push(format!("\"protocol\":\"{}\"", dice.pick(&["tcp", "udp"])));
    }
    if dice.one_in(4) {
        parts.push(format!(
            "\"except\":[{}]",
            some(dice, 2, &["10.77.1.2:81", "10.77.2.2", "fd77:1::2", "10.77.1.64/28"])
        ));
    }
    parts.join(",")
}

impl Wish {
    pub fn new(dice: &mut Dice, room: Room, of_user: bool) -> Self {
        let mut kinds = kinds(dice);
        if of_user && kinds.contains("dns") {
            kinds = CUT.to_owned();
        }
        let dns = kinds.contains("dns");
        let server = match room {
            Room::App => dice.pick(&["10.77.1.2", "10.77.2.2"]),
            Room::Redis => "10.77.1.1",
            Room::Extra => "10.77.9.1",
            Room::Container => "172.17.0.1",
        };
        let target = if dns { format!("\"peers\":[\"{server}\"]") } else { target(dice, room) };
        let duration = dice.pick(&["150ms", "300ms", "600ms", "1s", "2s", "5s", "10m", "10m", "10m"]);
        let long = duration.ends_with('m') || matches!(duration, "2s" | "5s");
        let mut more = String::new();
        if !dns {
            let direction = dice.pick(&["both", "egress", "ingress"]);
            more.push_str(&format!(r#","direction":"{direction}""#));
            if room == Room::App && dice.one_in(8) {
                more.push_str(r#","interface":"to-redis""#);
            }
        }
        if of_user {
            more.push_str(r#","scope":{"user":"nobody"}"#);
        }
        match dice.below(12) {
            0 => more.push_str(r#","start_in":"300ms""#),
            1 | 2 if long => more.push_str(r#","flap":{"on":"400ms","off":"500ms"}"#),
            3..=6 if long && (kinds == LOSE || kinds == SLOW) => more.push_str(r#","ramp":{"over":"900ms"}"#),
            _ => {}
        }
        // Rarely renewed in time, sometimes, always.
        if matches!(duration, "5s" | "10m") && dice.one_in(2) {
            let lease = if duration == "5s" { "2s" } else { dice.pick(&["2s", "4s", "1m"]) };
            more.push_str(&format!(r#","lease":"{lease}""#));
        }
        if kinds.contains("delay") && dice.one_in(2) {
            more.push_str(r#","engine":"emulator""#);
        }
        Self::from(format!(r#"{{"kinds":[{kinds}],"target":{{{target}}},"for":"{duration}"{more}}}"#), room)
    }

    /// On this host, and for long: one that goes on and off, or grows.
    pub fn changing(dice: &mut Dice) -> Self {
        let kind = dice.pick(&[LOSE, SLOW]);
        let how = dice.pick(&[r#""flap":{"on":"400ms","off":"500ms"}"#, r#""ramp":{"over":"900ms"}"#]);
        let target = target(dice, Room::App);
        Self::from(format!(r#"{{"kinds":[{kind}],"target":{{{target}}},"for":"10m",{how}}}"#), Room::App)
    }

    fn from(json: String, room: Room) -> Self {
        let spec = serde_json::from_str::<FaultSpec>(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        spec.validate().unwrap_or_else(|error| panic!("{json}: {error}"));
        Self { json, spec, room }
    }

    /// The same somewhere else: JSON of a scope.
    pub fn within(mut self, scope: &str) -> Self {
        self.json.truncate(self.json.len() - 1);
        self.json.push_str(&format!(",\"scope\":{scope}}}"));
        Self::from(self.json, self.room)
    }
}
