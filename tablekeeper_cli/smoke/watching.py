"""Points about what an engineer on call sees: traces, lists, logs, metrics and alarms."""

from __future__ import annotations

import time
from typing import Any

from tablekeeper_cli.executions import traces
from tablekeeper_cli.smoke.files import NEW
from tablekeeper_cli.smoke.place import Place
from tablekeeper_cli.smoke.points import BrokenError, NotReachedError

NO_LIFE = "sweep-stopped"
"""The alarm for gauges that are not published."""


def traced_file(place: Place) -> str:
    """The newest execution of a file can be read, state by state."""
    trace = traces.read(place.stack, f"{place.prefix}{NEW}")
    states = [visit.state for visit in trace.visits]
    if states[:1] != ["Fetch Object"] or states[-1] not in ("Write Items", "Delete Items"):
        raise BrokenError(f"the states of {trace.execution} are {', '.join(states)}")
    return ", ".join(states)


def listed_execution(place: Place) -> str:
    """What has ended badly is listed by its status within the overlap, the newest end first."""
    begun = time.monotonic()
    if not place.executions:
        raise NotReachedError("no execution was started by hand")
    states, wanted = place.stack.client("stepfunctions"), place.executions[0]

    def is_listed() -> bool:
        page = states.list_executions(
            stateMachineArn=place.stack.state_machine,
            statusFilter="FAILED",
            maxResults=1000,
        )
        stops = [each["stopDate"] for each in page["executions"]]
        if stops != sorted(stops, reverse=True):
            raise BrokenError("the executions are not listed by their ends, the newest first")
        return wanted in {each["executionArn"] for each in page["executions"]}

    place.until(is_listed, lambda: f"{wanted} is not listed")
    return f"listed {time.monotonic() - begun:.1f} seconds after it was asked for"


def logs(place: Place) -> str:
    """The functions' logs exist, name the files of the run, and hold nothing of their content."""
    client = place.stack.client("logs")
    pages = client.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix=f"{place.stack.name}-"
    )
    groups = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    if not groups:
        raise NotReachedError("the stack has no log groups of its own here")
    begin = int((time.time() - 3600) * 1000)

    def having(text: str) -> list[str]:
        return [
            group
            for group in groups
            if client.filter_log_events(
                logGroupName=group, filterPattern=f'"{text}"', startTime=begin, limit=1
            )["events"]
        ]

    place.until(lambda: having(place.mark), lambda: "no log names the files")
    if leaking := having(place.secret):
        raise BrokenError(f"{', '.join(leaking)} holds content of a file")
    return f"{len(having(place.mark))} of {len(groups)} log groups name the files, without content"


def metrics(place: Place) -> str:
    """CloudWatch makes metrics of the logs, under the stack's name."""
    client = place.stack.client("cloudwatch")
    service = [{"Name": "service", "Value": place.stack.name}]

    def names() -> set[str]:
        page = client.list_metrics(Namespace="Tablekeeper", Dimensions=service)
        return {each["MetricName"] for each in page["Metrics"]}

    if place.stack.endpoint_url and not names():
        raise NotReachedError("the local engine makes no metrics of logs")
    wanted = {"Files", "OpenProblems"}
    place.until(lambda: names() >= wanted, lambda: f"metrics are {sorted(names())}")
    return ", ".join(sorted(names()))


def alarms(place: Place) -> str:
    """The alarms exist, have an action, and get the sweep's gauges."""
    client = place.stack.client("cloudwatch")
    pages = client.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{place.stack.name}-")
    states: dict[str, Any] = {
        each["AlarmName"].removeprefix(f"{place.stack.name}-"): each
        for page in pages
        for each in page["MetricAlarms"]
    }
    if NO_LIFE not in states:
        raise BrokenError(f"there is no alarm {NO_LIFE}, but {sorted(states)}")
    mute = [name for name, each in states.items() if not each.get("AlarmActions")]
    if mute:
        raise BrokenError(f"alarms without an action: {', '.join(mute)}")
    if not place.stack.endpoint_url and states[NO_LIFE]["StateValue"] == "ALARM":
        raise BrokenError(f"{NO_LIFE} is in ALARM: {states[NO_LIFE].get('StateReason', '')}")
    on = [name for name, each in states.items() if each["StateValue"] == "ALARM"]
    return f"{len(states)} alarms; in ALARM: {', '.join(on) or 'none'}"


def dashboard(place: Place) -> str:
    body = place.stack.client("cloudwatch").get_dashboard(DashboardName=place.stack.name)
    return f"{len(body['DashboardBody']):,} characters"
