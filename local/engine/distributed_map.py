"""The Distributed Map of Step Functions, in place of ministack's.

AWS: ItemReader, ItemBatcher, ResultWriter and MaxConcurrency may be JSONata; a batch of items is
the input of a child execution, which is an execution like any other, with a context and variables
of its own; the results go to S3; and stopping the parent stops its children.
https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
Stock: JSONPath only, an item a child, whose context is the parent's and which has no history, and
results in memory.
"""

from __future__ import annotations

import contextvars
import json
import math
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import s3, stepfunctions

from local.engine.patches import Json, mends

MOST_AT_ONCE = 64
"""Where the definition sets no limit; AWS has 10,000."""
LOOK_SECONDS = 0.2
COUNTS = ("pending", "running", "succeeded", "failed", "timedOut", "aborted", "total")
MORE_COUNTS = ("resultsWritten", "failuresNotRedrivable", "pendingRedrive")
ENDS = {"SUCCEEDED": "succeeded", "ABORTED": "aborted", "TIMED_OUT": "timedOut"}


@mends(
    stepfunctions,
    "_run_distributed_map",
    "state_def, raw_input, effective, iterator, execution, ctx",
)
def _distributed(
    _stock: Callable[..., Any],
    state: Json,
    data: Any,
    _effective: Any,
    processor: Json,
    execution: Json,
    ctx: Json,
) -> Any:
    return _MapRun(state, data, processor, execution, ctx).result()


# AWS: however a nested execution ends badly, the task's error is States.TaskFailed, and its
# cause is what DescribeExecution says. Stock: the nested execution's own error and cause.
@mends(stepfunctions, "_nested_execution_failure", "payload")
def _nested(_stock: Callable[..., Any], payload: Json) -> tuple[str, str]:
    output = json.loads(payload.get("output") or "{}")
    told = {"ExecutionArn": payload.get("executionArn"), "Status": payload.get("status")}
    told |= {name: output[name] for name in ("Error", "Cause") if name in output}
    return "States.TaskFailed", json.dumps(told)


@dataclass
class _MapRun:
    """One Map Run."""

    state: Json
    data: Any
    processor: Json
    execution: Json
    ctx: Json
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        parent = self.execution["stateMachineArn"]
        name = stepfunctions._state_machines[parent]["name"]
        label = self.state.get("Label") or str(uuid.uuid4())
        run = str(uuid.uuid4())
        place = f"arn:aws:states:{get_region()}:{get_account_id()}"
        self.name = f"{name}/{label}"
        self.arn = f"{place}:mapRun:{self.name}:{run}"
        self.machine = f"{place}:stateMachine:{self.name}"
        self.executions = f"{place}:execution:{self.name}"
        language = {"QueryLanguage": self.ctx.get("QueryLanguage", "JSONPath")}
        stepfunctions._state_machines[self.machine] = {
            **stepfunctions._state_machines[parent],
            "stateMachineArn": self.machine,
            "name": self.name,
            "definition": json.dumps({**language, **self.processor}),
        }
        self.children: dict[str, Json] = {}
        self.pending: list[str] = []

    def result(self) -> tuple[Any, str | None]:
        """Runs the children. Raises the state's error."""
        items = stepfunctions._read_map_items(self._filled("ItemReader", {}), {}, self.ctx)
        batches = list(_batches(items, self._filled("ItemBatcher", {})))
        at_once = int(self._filled("MaxConcurrency", 0)) or MOST_AT_ONCE
        zero = dict.fromkeys((*COUNTS, *MORE_COUNTS), 0)
        self.counts = {**zero, "total": len(batches), "pending": len(batches)}
        self.items = {**zero, "total": len(items), "pending": len(items)}
        self.view = {
            "mapRunArn": self.arn,
            "executionArn": self.execution["executionArn"],
            "status": "RUNNING",
            "startDate": stepfunctions.now_iso(),
            "maxConcurrency": at_once,
            "toleratedFailurePercentage": float(self._filled("ToleratedFailurePercentage", 0)),
            "toleratedFailureCount": int(self._filled("ToleratedFailureCount", 0)),
            "itemCounts": self.items,
            "executionCounts": self.counts,
            "redriveCount": 0,
            "_stateMachineArn": self.machine,
        }
        stepfunctions._map_runs[self.arn] = self.view
        with ThreadPoolExecutor(at_once) as pool:
            self._wait({pool.submit(contextvars.copy_context().run, self._run, b) for b in batches})
        writer = self._filled("ResultWriter", {})
        written = self._write(writer) if writer else None
        failed = len(batches) - self.counts["succeeded"]
        over = failed * 100 > self.view["toleratedFailurePercentage"] * len(batches)
        over = over and failed > self.view["toleratedFailureCount"]
        aborted = self.execution["status"] != "RUNNING"
        self.view["status"] = "ABORTED" if aborted else "FAILED" if over else "SUCCEEDED"
        self.view["stopDate"] = stepfunctions.now_iso()
        if over:
            raise stepfunctions._ExecutionError(
                "States.ExceedToleratedFailureThreshold",
                "The specified tolerated failure threshold was exceeded",
            )
        result = written or [
            json.loads(child["output"]) if child["status"] == "SUCCEEDED" else None
            for child in self.children.values()
        ]
        told = (self.state, self.data, self.ctx)
        output = stepfunctions._apply_jsonata_output(*told, result=result, default=result)
        stepfunctions._apply_state_assign(*told, result=result)
        return output, stepfunctions._next_or_end(self.state)

    def _is_over(self) -> bool:
        """Whether more child executions failed than the state tolerates."""
        failed = self.counts["failed"] + self.counts["timedOut"] + self.counts["aborted"]
        share = self.view["toleratedFailurePercentage"] * self.counts["total"]
        return bool(failed * 100 > share and failed > self.view["toleratedFailureCount"])

    def _filled(self, name: str, default: Any) -> Any:
        value = self.state.get(name, default)
        return stepfunctions._apply_jsonata_template(value, self.data, self.ctx)

    def _wait(self, futures: set[Future[None]]) -> None:
        while futures:
            done, futures = wait(futures, timeout=LOOK_SECONDS)
            for each in done:
                each.result()
            if self.execution["status"] != "RUNNING":
                for arn in [arn for arn, c in self.children.items() if c["status"] == "RUNNING"]:
                    stepfunctions._stop_execution({"executionArn": arn})

    def _run(self, batch: Json) -> None:
        size = len(batch["Items"]) if "Items" in batch else 1
        with self.lock:
            if self._is_over():
                # Once a Map Run has failed, no child execution starts any more.
                self.pending.append(json.dumps(batch))
                return
            self._move("pending", "running", size)
        if self.execution["status"] != "RUNNING":
            with self.lock:
                self._move("running", "aborted", size)
            return
        name, started, text = str(uuid.uuid4()), stepfunctions.now_iso(), json.dumps(batch)
        arn = f"{self.executions}:{name}"
        child: Json = {
            "executionArn": arn,
            "stateMachineArn": self.machine,
            "name": name,
            "status": "RUNNING",
            "startDate": started,
            "stopDate": None,
            "input": text,
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": {"included": True},
            "mapRunArn": self.arn,
            "testCase": "",
            "mockAttempts": {},
            "events": [
                {
                    "id": 1,
                    "type": "ExecutionStarted",
                    "timestamp": started,
                    "executionStartedEventDetails": {"input": text, "roleArn": ""},
                }
            ],
        }
        self.children[arn] = stepfunctions._executions[arn] = child
        stepfunctions._run_execution(arn)
        with self.lock:
            self._move("running", ENDS.get(child["status"], "failed"), size)

    def _move(self, before: str, after: str, size: int) -> None:
        for counts, many in ((self.counts, 1), (self.items, size)):
            counts[before] -= many
            counts[after] += many

    def _write(self, writer: Json) -> Json:
        """Puts the results where ResultWriter says, in its transformation COMPACT, as JSON Lines.
        https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
        """
        bucket, prefix = writer["Arguments"]["Bucket"], writer["Arguments"]["Prefix"]
        place = f"{prefix.rstrip('/')}/{self.arn.rpartition(':')[2]}"
        ended: dict[str, list[str]] = {"SUCCEEDED": [], "FAILED": [], "PENDING": self.pending}
        for child in self.children.values():
            good = child["status"] == "SUCCEEDED"
            told = child["output"] or "{}"
            ended["SUCCEEDED" if good else "FAILED"].append(told)
        files: dict[str, list[Json]] = {}
        for status, lines in ended.items():
            files[status] = []
            if lines:
                key, body = f"{place}/{status}_0.jsonl", "\n".join(lines).encode()
                s3._put_object(bucket, key, body, {})
                files[status].append({"Key": key, "Size": len(body)})
        self.counts["resultsWritten"] = len(self.children)
        manifest = {"DestinationBucket": bucket, "MapRunArn": self.arn, "ResultFiles": files}
        key = f"{place}/manifest.json"
        s3._put_object(bucket, key, json.dumps(manifest).encode(), {})
        return {"MapRunArn": self.arn, "ResultWriterDetails": {"Bucket": bucket, "Key": key}}


def _batches(items: list[Any], batcher: Json) -> Iterator[Json]:
    """The inputs of the children."""
    if not batcher:
        yield from items
        return
    most = batcher.get("MaxItemsPerBatch", math.inf)
    limit = batcher.get("MaxInputBytesPerBatch", math.inf)
    more = {"BatchInput": batcher["BatchInput"]} if "BatchInput" in batcher else {}
    empty = len(json.dumps({**more, "Items": []}))
    batch: list[Any] = []
    size = empty
    for item in items:
        bytes_more = len(json.dumps(item, ensure_ascii=False).encode()) + 1
        if batch and (len(batch) == most or size + bytes_more > limit):
            yield {**more, "Items": batch}
            batch, size = [], empty
        batch.append(item)
        size += bytes_more
    if batch:
        yield {**more, "Items": batch}
