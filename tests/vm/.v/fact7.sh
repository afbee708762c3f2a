# fwd to interface 0
set -u
A=pafa$$ B=pafb$$
ip netns add $A; ip netns add $B
trap 'ip netns del $A; ip netns del $B' EXIT
ip -n $A link add v0 type veth peer name v1 netns $B
ip -n $A addr add 10.9.0.1/24 dev v0; ip -n $B addr add 10.9.0.2/24 dev v1
ip -n $A link set v0 up; ip -n $B link set v1 up; ip -n $A link set lo up
sleep 1; ip netns exec $A ping -c1 -W2 -q 10.9.0.2 | grep received
cat > /tmp/snd.py <<'P'
import os,socket,sys,time
label=sys.argv[1]; nsb=sys.argv[2]
fda=os.open('/proc/self/ns/net',0); fdb=os.open('/run/netns/'+nsb,0)
import ctypes; libc=ctypes.CDLL(None,use_errno=True)
assert libc.setns(fdb,0)==0
r=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); r.setsockopt(1,33,1<<23); r.bind(('10.9.0.2',9999)); r.settimeout(0.5)
assert libc.setns(fda,0)==0
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)
if label.startswith('ERR'): s.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
ok=0; err={}
for i in range(1000):
    try: s.sendto(b'x'*20,('10.9.0.2',9999)); ok+=1
    except OSError as e: err[e.strerror]=err.get(e.strerror,0)+1
n=0
try:
    while True: r.recv(100); n+=1
except socket.timeout: pass
print(label,': sendto ok',ok,'errors',err,'received',n)
P
PY=${PY:-/usr/bin/python3}
run() { ip netns exec $A $PY /tmp/snd.py "$1" $B; ip netns exec $A $PY /tmp/snd.py "ERR(IP_RECVERR) $1" $B; }
run "no rules"
one() { # rule
  ip netns exec $A nft delete table netdev pa 2>/dev/null
  ip netns exec $A nft -f - <<R 2>&1 || { echo "REFUSED: $1"; return 1; }
table netdev pa { chain eg { type filter hook egress device "v0" priority 0; policy accept; $1
}
}
R
  run "$1"; ip netns exec $A nft list table netdev pa | grep -E 'counter'
  ip netns exec $A tc -s qdisc show dev v0 | tail -3 | tr '\n' ' '; ip -n $A -s link show v0 | tail -1
}
one 'ip daddr 10.9.0.2 counter fwd to 0' || true
one 'ip daddr 10.9.0.2 counter fwd to ip daddr map { 10.9.0.2 : 0 }' || true
one 'ip daddr 10.9.0.2 counter fwd to 4000000' || true
one 'ip daddr 10.9.0.2 counter drop'
ip -n $A neigh show dev v0
ip netns exec $A nft -f - <<R
flush table netdev pa
R
run "rules flushed"
ip netns exec $A nft delete table netdev pa
