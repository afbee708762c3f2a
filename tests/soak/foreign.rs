//! What others do on the same host: their interfaces, tables, qdiscs and routes come and go.

use crate::model::Room;
use crate::soak::Soak;

impl Soak {
    fn theirs(&mut self, script: &str) {
        self.note(script.split_whitespace().collect::<Vec<_>>().join(" "));
        self.app().sh(&format!("set -e\n{script}"));
    }

    pub fn down_and_up(&mut self) {
        let link = if self.theirs.link_is_there { self.dice.pick(&["to-redis", "to-db"]) } else { "to-db" };
        self.down_and_up_of(link);
        self.take_foreign();
    }

    pub fn down_and_up_of(&mut self, link: &str) {
        let side = if link == "to-redis" { "1" } else { "2" };
        // Addresses of IPv6 and routes to hosts go with an interface that goes down.
        let moved = if link == "to-db" && self.theirs.is_moved {
            "ip route replace 10.77.1.2/32 dev to-db"
        } else {
            ""
        };
        self.theirs(&format!(
            "ip link set {link} down; ip link set {link} up
             ip -6 addr replace fd77:{side}::1/64 dev {link} nodad; {moved}"
        ));
    }

    /// Its other end goes with it, and what others had on it.
    pub fn delete_link(&mut self) {
        if !self.theirs.link_is_there {
            return;
        }
        self.theirs("ip link del to-redis");
        self.theirs.link_is_there = false;
        self.theirs.qdisc = false;
        self.take_foreign();
    }

    pub fn making_of_link(&self) -> String {
        let redis = &self.lab.redis.namespace;
        format!(
            "ip link add to-redis index 1001 address 02:77:00:00:00:01 type veth \\
                 peer name eth0 index 1002 address 02:77:00:00:00:02 netns {redis}
             ip link set to-redis addrgenmode none; ip -n {redis} link set eth0 addrgenmode none
             ip addr add 10.77.1.1/24 dev to-redis; ip addr add fd77:1::1/64 dev to-redis nodad
             ip -n {redis} addr add 10.77.1.2/24 dev eth0; ip -n {redis} addr add fd77:1::2/64 dev eth0 nodad
             ip link set to-redis up; ip -n {redis} link set eth0 up"
        )
    }

    /// Always with the same number and address, so that in the end all is as it was in the beginning.
    pub fn make_link(&mut self) {
        if self.theirs.link_is_there {
            return;
        }
        self.theirs(&self.making_of_link());
        self.theirs.link_is_there = true;
        self.take_foreign();
    }

    /// Firewalls, qdiscs, routes.
    pub fn change_theirs(&mut self) {
        match self.dice.below(8) {
            0 | 1 => {
                let name = format!("theirs{}", self.dice.below(4));
                if self.theirs.tables.remove(&name) {
                    self.theirs(&format!("nft delete table inet {name}"));
                } else {
                    self.theirs(&format!(
                        "nft -f - <<'END'
table inet {name} {{
  set s {{ type ipv4_addr; flags timeout; elements = {{ 192.0.2.9 timeout 1h }}; }}
  chain c {{ type filter hook input priority 0; tcp dport 9 counter drop; }}
}}
END"
                    ));
                    self.theirs.tables.insert(name);
                }
            }
            2 => {
                // Of the netdev family, on the same interface and hooks as faults.
                if self.theirs.tables.remove("beside") {
                    self.theirs("nft delete table netdev beside");
                } else {
                    self.theirs(
                        "nft add table netdev beside
                         nft add chain netdev beside e '{ type filter hook egress device \"to-db\" priority -5; }'
                         nft add rule netdev beside e tcp dport 9 counter",
                    );
                    self.theirs.tables.insert("beside".to_owned());
                }
            }
            3 => {
                self.theirs("nft flush ruleset");
                self.theirs.tables.clear();
            }
            4 => {
                self.theirs("iptables -w -A INPUT -p tcp --dport 9 -j DROP");
            }
            5 => {
                self.theirs("iptables -w -F INPUT; printf '*filter\\n:INPUT ACCEPT\\nCOMMIT\\n' | iptables-restore -w");
            }
            6 if self.theirs.link_is_there => {
                let act = if self.theirs.qdisc {
                    "del dev to-redis root"
                } else {
                    "add dev to-redis root handle 77: pfifo limit 500"
                };
                self.theirs(&format!("tc qdisc {act}"));
                self.theirs.qdisc = !self.theirs.qdisc;
            }
            _ => {
                let act = if self.theirs.is_moved { "del" } else { "add" };
                self.theirs(&format!("ip route {act} 10.77.1.2/32 dev to-db"));
                self.theirs.is_moved = !self.theirs.is_moved;
            }
        }
        self.take_foreign();
    }

    /// Whether the way to redis is as the lab made it.
    pub fn way_is_open(&self) -> bool {
        self.theirs.link_is_there && !self.theirs.is_moved && self.rooms.contains_key(&Room::App)
    }

    /// As it is in the beginning and in the end: interfaces, addresses and routes made anew, always in the same order.
    pub fn clear_theirs(&mut self) {
        self.delete_link();
        self.theirs(
            "nft flush ruleset; ip addr flush dev to-db; ip link set to-db down; ip link set to-db up
             ip addr add 10.77.2.1/24 dev to-db; ip addr add fd77:2::1/64 dev to-db nodad",
        );
        self.theirs = crate::soak::Theirs::default();
        self.make_link();
    }
}
