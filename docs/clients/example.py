"""Cuts this host off from a peer, looks at what that does, and restores it, by the client that openapi-python-client generates.

    python3 example.py PEER                                      # over the unix socket
    python3 example.py PEER http://10.0.0.11:7433 TOKEN_FILE     # over TCP

The peer is an address that answers pings.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import TypeVar

import httpx

from partition_agent_client import AuthenticatedClient, Client
from partition_agent_client.api.agent import get_info
from partition_agent_client.api.faults import change_fault, get_fault, inject_fault_as, list_faults, restore_fault
from partition_agent_client.api.past import list_history
from partition_agent_client.models import (
    Change,
    EndRestored,
    FaultSpec,
    FaultStatus,
    KindLoss,
    Loss,
    Problem,
    ProblemCode,
    State,
    Target,
    VerdictConfirmed,
)

T = TypeVar("T")


def connect(agent: str, token_file: str | None) -> AuthenticatedClient | Client:
    if agent.startswith("unix:"):
        socket = httpx.HTTPTransport(uds=agent.removeprefix("unix:"))
        return Client(base_url="http://localhost", httpx_args={"transport": socket})
    token = Path(token_file).read_text().strip() if token_file else ""
    return AuthenticatedClient(base_url=agent, token=token)


def expect(answer: T | Problem | None) -> T:
    """What was asked for. A refusal says what was refused and why, and what to do next."""
    if isinstance(answer, Problem):
        sys.exit(f"{answer.code.value}: {answer.detail}\n{answer.hint or ''}")
    assert answer is not None, "the document promises an answer"
    return answer


def answers(peer: str) -> bool:
    ping = ["ping", "-n", "-c", "1", "-W", "1", peer]
    return subprocess.run(ping, stdout=subprocess.DEVNULL, check=False).returncode == 0


def watch(client: AuthenticatedClient | Client, fault: FaultStatus, until: State) -> FaultStatus:
    while fault.state is not until:
        print(f"{fault.id} is {fault.state.value}")
        time.sleep(0.1)
        fault = expect(get_fault.sync(fault.id, client=client))
    return fault


def main(peer: str, agent: str = "unix:/run/partition-agent/agent.sock", token_file: str | None = None) -> None:
    with connect(agent, token_file) as client:
        info = expect(get_info.sync(client=client))
        print(f"agent {info.version} on {info.host}, Linux {info.kernel}; its clock says {info.clock.wall:%H:%M:%S}")
        assert answers(peer), f"{peer} answers no ping, so there is nothing to cut"

        # Under a name, so that it is safe to ask for it again. It ends by itself after a minute, whatever becomes of this program.
        spec = FaultSpec(kinds=[KindLoss(Loss(percent=100))], target=Target(peers=[peer]), start_in="300ms", for_="1m")
        fault = expect(inject_fault_as.sync("example", client=client, body=spec))
        assert isinstance(fault.verdict, VerdictConfirmed), fault.verdict
        fault = watch(client, fault, State.ACTIVE)
        assert fault.id in [standing.id for standing in expect(list_faults.sync(client=client))]
        assert not answers(peer), f"{peer} still answers"
        print(f"{fault.fault}: {peer} answers no more")

        changed = expect(change_fault.sync("example", client=client, body=Change(for_="10m")))
        assert changed.ends_at > fault.ends_at
        print(f"it ends at {changed.ends_at:%H:%M:%S}")

        # The name is taken by another fault: an answer that is meant for this program.
        other = FaultSpec(kinds=[KindLoss(Loss(percent=1))], target=Target(peers=[peer]))
        refused = inject_fault_as.sync("example", client=client, body=other)
        assert isinstance(refused, Problem) and refused.code is ProblemCode.CONFLICT, refused
        print(f"refused, as it should be: {refused.detail}")

        restored = expect(restore_fault.sync("example", client=client))
        assert restored.state is State.RESTORED, restored.state
        assert answers(peer), f"{peer} does not answer again"

        [over, *_] = expect(list_history.sync(client=client, limit=1))
        assert over.id == "example" and isinstance(over.end, EndRestored), over
        print(f"restored by {over.end.who}, after {over.hits.lost_packets} lost packets")


if __name__ == "__main__":
    main(*sys.argv[1:])
