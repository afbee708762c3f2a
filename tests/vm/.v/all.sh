echo "(1) $(uname -r)  pwd=$PWD HOME=$HOME LANG=$LANG FOO=${FOO-unset} nofile=$(ulimit -n)"
tc qdisc add dev lo root netem delay 10ms && ping -c3 127.0.0.1 | tail -1; tc qdisc del dev lo root
echo "(3)"; ip netns add a && ip link add v0 type veth peer name v1 netns a && ip link set v0 up && ip -br link show v0 && ip netns exec a ip -br link
unshare -m --propagation slave sleep 30 & u=$!; sleep 2; ip netns add c; nsenter -t $u -m ip netns exec c true && echo "netns c visible in a slave mount namespace"
for q in fq tbf\ rate\ 1mbit\ burst\ 10k\ latency\ 10ms fq_codel prio htb blackhole; do tc qdisc replace dev v0 root $q && echo "qdisc ${q%% *} ok"; done; tc qdisc del dev v0 root
ip addr add 10.0.0.1/24 dev v0; ip -n a addr add 10.0.0.2/24 dev v1; ip -n a link set v1 up; sleep 1
echo "(4)"; ip link add pa-delay type ifb; ip link set pa-delay up; tc qdisc add dev pa-delay root netem delay 50ms
ip link add pa-null type ifb;  ip link set pa-null up;  tc qdisc add dev pa-null root blackhole
mkdir /sys/fs/cgroup/x; nft -f - <<R && echo loaded
table netdev pa {
  set d4 { type ipv4_addr; flags interval,timeout; }
  set n4 { type ipv4_addr; flags interval,timeout; }
  set i4 { type ipv4_addr; flags interval,timeout; }
  chain eg  { type filter hook egress  device "v0" priority 0; policy accept;
    ip daddr @d4 counter fwd to "pa-delay"
    ip daddr @n4 counter fwd to "pa-null"
    meta mark 7 numgen random mod 10000 < 3000 counter fwd to "pa-null"
 }
  chain ing { type filter hook ingress device "v0" priority 0; policy accept;
    ip saddr @i4 counter fwd to "pa-delay"
 }
}
table inet pb { chain o { type filter hook output priority 0; ct state new counter; socket cgroupv2 level 1 "x" counter; jhash ip daddr . tcp sport mod 100 < 5 counter; limit rate 1/second counter; ip daddr 9.9.9.9 reject
 }
}
R
nft add element netdev pa d4 '{ 10.0.0.2 timeout 5s }'
ping -c3 -i 0.3 10.0.0.2 | tail -1; sleep 5;  ping -c2 -i 0.3 10.0.0.2 | tail -1
ls -l /dev/net/tun; ip tuntap add pa-tap mode tap && echo tap ok; touch /work-test /root/x && echo overlay write ok
mount -t bpf bpf /sys/fs/bpf && echo bpf ok; cat /sys/fs/cgroup/cgroup.controllers
lsmod | wc -l; echo hi > $PA_VM_RESULTS/f; echo e >&2
echo "(7)"; bash /work/main/tests/vm/.v/fact7.sh 2>&1
exit 7
