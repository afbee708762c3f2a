"""What schemathesis cannot know of the API: which requests make sense, and what is said of one that does not."""

import itertools
import json
import os
import random
import re
import time

import requests
import schemathesis

# serde's words for what has another form than the type that it is read into.
MISSHAPEN = re.compile(r"(missing|unknown|duplicate) field|unknown variant|invalid (type|length)|named fields")

# One of each, with nothing wrong in it, again and again.
KINDS = itertools.cycle(json.loads(os.environ["PA_KINDS"]))
LOSS = {"kinds": [{"loss": {"percent": 1}}], "target": {"peers": ["10.0.0.5"]}, "for": "1h"}
# The fault that has to be there already, or that must not be, by what is done under its id.
NEEDS = {
    "inject_fault_as": ({}, None),
    "change_fault": ({}, LOSS),
    "renew_fault": ({}, {**LOSS, "lease": "30m"}),
    "commit_fault": ({"prepare": "1m"}, LOSS),
}


def is_sensible(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.check
def what_fits_is_read(ctx, response, case):
    """What fits the document may make no sense, but never has the wrong form."""
    if is_sensible(case) and response.status_code == 422:
        detail = response.json()["detail"]
        assert not MISSHAPEN.search(detail), f"fits the document, and is refused for its form: {detail}"


@schemathesis.hook
def map_case(context, case):
    """What is drawn by itself contradicts itself as soon as there is much of it, and an instant is nearly always past."""
    body = case.body
    if not is_sensible(case) or not isinstance(body, dict):
        return case
    dice = random.Random(json.dumps(body, sort_keys=True))

    def thin(parts):
        return {name: part for name, part in (parts or {}).items() if dice.random() < 0.3}

    if "kinds" in body:
        kind = next(KINDS) if dice.random() < 0.5 else dice.choice(body["kinds"])
        target = thin(body.get("target")) or LOSS["target"]
        case.body = {**thin(body), "kinds": [kind], "target": target}
        case.query = thin(case.query)
    if "at_boot_ns" in body and dice.random() < 0.5:
        soon = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 60 * 10**9
        case.body = {**body, "at_boot_ns": soon}
    return case


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes room for the fault, or injects the one that is asked about. A sequence of requests does so itself."""
    needs = NEEDS.get(case.operation.definition.raw.get("operationId"))
    if needs is None or not is_sensible(case) or case.meta.phase.name.value == "stateful":
        return
    query, fault = needs
    url = f"{case.operation.base_url}/v1/faults/{case.path_parameters['id']}"
    token = {"authorization": f"Bearer {os.environ['PA_TOKEN']}"}
    requests.delete(url, headers=token, timeout=60)
    if fault is not None:
        requests.put(url, params=query, json=fault, headers=token, timeout=60)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whoever asks for more than can be written down is told so: that is promised, and no failure of the agent's."""
    return response.status_code != 503 or response.json()["code"] != "busy"
