"""What moto 5.2.5 lacks of a Distributed Map, beside its interpreter: statemachine/sync_bucket uses
it.

moto reads the ItemReader's arguments, selects items and runs the child workflows. It knows no
ItemBatcher (an ItemSelector with the same input stands in for it), lists one page of a bucket that
is not empty, tolerates every failure, has a ResultWriter in JSONPath alone that writes no result,
and takes JSONPath inside of a Map. A child shares its parent's context and history.
https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html

Nested executions fail in moto as it is. Its _normalise_parameters and _normalise_response are
empty, so that boto3 is handed StateMachineArn in place of stateMachineArn (`KeyError`, which ends
as States.Runtime), and an execution that is started without a name has the name `None`.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import boto3
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval import (
    resource_eval_s3 as reader,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (  # noqa: E501
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_callback as callback,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (  # noqa: E501
    StateTaskServiceSfn,
)

from tests.support.fakes import map_item
from tests.support.interpreter import compiled
from tests.support.project import nested_states

EXCEEDED = "States.ExceedToleratedFailureThreshold"


@dataclass
class Map:
    """What moto does not read: items of a batch, and where results go."""

    size: int
    bucket: str
    prefix: str


def readable(definition: Mapping[str, Any]) -> tuple[dict[str, Any], Map]:
    """The definition of the state machine for the whole bucket as moto can read it, and the rest
    of its Distributed Map.
    """
    read = copy.deepcopy(dict(definition))
    state = read["States"]["Each Batch"]
    batcher = state.pop("ItemBatcher")
    writes = state.pop("ResultWriter")["Arguments"]
    state["ItemSelector"] = {
        "Items": "{% $states.context.Map.Item.Value %}",
        "BatchInput": batcher["BatchInput"],
    }
    for name, inner in nested_states(read).items():
        if name not in read["States"]:
            inner["QueryLanguage"] = read["QueryLanguage"]
    return read, Map(batcher["MaxItemsPerBatch"], writes["Bucket"], writes["Prefix"])


@contextmanager
def moto_runs_maps(rest: Map) -> Iterator[None]:
    """moto's Distributed Map takes so many objects at a time, writes results, and fails."""

    def listed(env: Any, *_: Any, **__: Any) -> None:
        pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(**env.stack.pop())
        objects = [map_item(each) for page in pages for each in page.get("Contents", ())]
        env.stack.append([objects[n : n + rest.size] for n in range(0, len(objects), rest.size)])

    stock: Any = DistributedIterationComponent._map_run

    def run(self: Any, env: Any, eval_input: Any) -> None:
        stock(self, env, eval_input)
        _write(env, eval_input.map_run_record, rest)

    with (
        patch.object(reader.ResourceEvalS3, "_handle_list_objects_v2", staticmethod(listed)),
        patch.object(DistributedIterationComponent, "_map_run", run),
        patch.object(StateTaskServiceSfn, "_normalise_parameters", _to_boto),
        patch.object(StateTaskServiceSfn, "_normalise_response", _from_boto),
        patch.object(callback, "_DELAY_SECONDS_SYNC_CONDITION_CHECK", 0.01),
    ):
        yield


_STOCK_PARAMETERS = StateTaskServiceSfn._normalise_parameters


def _to_boto(self: Any, parameters: dict[str, Any], *given: Any, **more: Any) -> None:
    """The parameters of a nested execution as boto3 has them."""
    _STOCK_PARAMETERS(self, parameters, *given, **more)
    parameters.setdefault("Name", str(uuid.uuid4()))
    _rename(parameters, str.lower)


def _from_boto(_self: Any, response: dict[str, Any], *_: Any, **__: Any) -> None:
    _rename(response, str.upper)


def _rename(members: dict[str, Any], to_case: Callable[[str], str]) -> None:
    for name in list(members):
        members[to_case(name[0]) + name[1:]] = members.pop(name)


def _write(env: Any, run: Any, rest: Map) -> None:
    """Puts results as ResultWriter does with COMPACT and JSONL; fails where too many failed.
    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
    """
    outputs = env.stack[-1]
    states = {"context": env.states.context_object.context_object_data}
    expression = rest.prefix.removeprefix("{%").removesuffix("%}")
    prefix = compiled(expression).evaluate(None, {"states": states})
    place = f"{prefix}/{run.map_run_arn.rpartition(':')[2]}"
    good = [json.dumps(each) for each in outputs if each is not None]
    ended = {"SUCCEEDED": good, "FAILED": ["{}"] * (len(outputs) - len(good)), "PENDING": []}
    files: dict[str, list[dict[str, str]]] = {}
    for status, lines in ended.items():
        key = f"{place}/{status}_0.jsonl"
        files[status] = [{"Key": key}] if lines else []
        if lines:
            _put(rest.bucket, key, "\n".join(lines))
    _put(rest.bucket, f"{place}/manifest.json", json.dumps({"ResultFiles": files}))
    tolerated = run.tolerated_failure_percentage
    if len(ended["FAILED"]) * 100 > tolerated * len(outputs):
        details: Any = {
            "taskFailedEventDetails": TaskFailedEventDetails(
                error=EXCEEDED, cause="", resource="", resourceType=""
            )
        }
        raise FailureEventException(
            FailureEvent(
                env=env,
                error_name=CustomErrorName(EXCEEDED),
                event_type=HistoryEventType.TaskFailed,
                event_details=details,
            )
        )


def _put(bucket: str, key: str, text: str) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=text.encode())
