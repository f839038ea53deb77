"""The state machine for the whole bucket: what local engines do not tell about it."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonata
import pytest
from statelint.config import Config
from statelint.linter import Linter
from statelint.problem import ProblemType
from tablekeeper.bucket.ends import TRACED
from tablekeeper.bucket.orphans import Progress
from tablekeeper.ledger.rows import SHARDS

from tests.statemachine.asl import filled, parts
from tests.support.interpreter import compiled
from tests.support.project import (
    ROOT,
    bucket_definition,
    bucket_lambda_tasks,
    exits,
    expressions,
    lambda_tasks,
    nested_states,
    snake,
    template,
)

STATES = nested_states(bucket_definition())
BATCHES = STATES["Each Batch"]
SHARD_MAP = STATES["Each Shard"]


def _machines(definition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The definition, and the one inside each of its Map states."""
    yield definition
    for state in definition["States"].values():
        if "ItemProcessor" in state:
            yield from _machines(state["ItemProcessor"])


def _evaluate(expression: str, **states: Any) -> Any:
    return compiled(filled(expression.removeprefix("{%").removesuffix("%}"))).evaluate(
        None, {"states": states}
    )


def test_it_is_amazon_states_language() -> None:
    """statelint does not know that limits of a Map may be expressions: it gets literals. Nor does
    it know two fields.
    """
    plain = copy.deepcopy(bucket_definition())
    del plain["States"]["Each Batch"]["Label"]
    del plain["States"]["Each Batch"]["ResultWriter"]["WriterConfig"]
    plain["States"]["Each Batch"] |= {"MaxConcurrency": 1, "ToleratedFailurePercentage": 1}
    plain["States"]["Each Shard"] |= {"MaxConcurrency": 1}
    problems = Linter.validate(plain, Config({ProblemType.URI, ProblemType.FLOAT}))
    assert problems == []


def test_every_state_leads_somewhere_and_can_be_reached() -> None:
    for machine in _machines(bucket_definition()):
        states, reached, new = machine["States"], set(), [machine["StartAt"]]
        while new:
            name = new.pop()
            reached.add(name)
            new += [target for target, _ in exits(states[name]) if target not in reached]
        assert reached == set(states)
        assert all("Default" in each for each in states.values() if each["Type"] == "Choice")


def test_every_expression_is_jsonata_and_nothing_is_jsonpath() -> None:
    for name, state in STATES.items():
        for expression in expressions(state):
            assert jsonata.Jsonata.jsonata(filled(expression)), name
    assert bucket_definition()["QueryLanguage"] == "JSONata"
    assert not [n for part in parts(bucket_definition()) for n in part if n.endswith(".$")]


def test_a_batch_reads_no_variable_of_its_parent() -> None:
    """A Distributed Map's children are executions of their own.
    https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
    """
    processor = BATCHES["ItemProcessor"]
    own = {name for part in parts(processor) for name in part.get("Assign", {})}
    text = " ".join(expressions(processor))
    read = set(re.findall(r"\$([a-z_]+)\b(?!\()", text)) - {"states"}
    assert read <= own
    others = {
        name
        for state in bucket_definition()["States"].values()
        for part in parts({k: v for k, v in state.items() if k != "ItemProcessor"})
        for name in part.get("Assign", {})
    }
    assert not own & others


def test_a_batch_s_payloads_fit() -> None:
    """Its result names each object at most twice, in no more bytes than its input did, beside 100
    bytes for each: 262,144 are the limit.
    """
    batcher = BATCHES["ItemBatcher"]
    assert batcher["MaxItemsPerBatch"] <= 100, "BatchGetItem takes no more"
    assert 2 * (batcher["MaxInputBytesPerBatch"] + 100 * batcher["MaxItemsPerBatch"]) < 262_144


def test_the_results_have_a_lifecycle_and_the_map_a_limit() -> None:
    writer = BATCHES["ResultWriter"]
    assert writer["Arguments"]["Bucket"] == "${StagingBucketName}"
    place = STATES["Read Input"]["Assign"]["place"]
    context = {"Execution": {"Name": "n"}}
    assert _evaluate(place, context=context) == "sync/n/"
    # Step Functions puts the slash behind it.
    assert _evaluate(writer["Arguments"]["Prefix"], context=context) == "sync/n"
    assert writer["WriterConfig"] == {"Transformation": "COMPACT", "OutputType": "JSONL"}
    assert BATCHES["ItemProcessor"]["ProcessorConfig"] == {
        "Mode": "DISTRIBUTED",
        "ExecutionType": "STANDARD",
    }
    assert len(BATCHES["Label"]) <= 40


def test_everything_has_a_default() -> None:
    """So that it can be started from the console with {}."""
    for name, expression in STATES["Read Input"]["Assign"].items():
        if isinstance(expression, str) and "$exists" in expression:
            default = _evaluate(expression, input={})
            assert default is not None
            assert _evaluate(expression, input={name: "given"}) == "given"


def test_what_is_to_be_traced_is_told_from_what_has_ended() -> None:
    ends = [
        {"key": "a", "finding": "STALE", "outcome": "SYNCED"},
        {"key": "b", "finding": "STALE", "outcome": TRACED},
        {"key": "c", "finding": "STALE"},
    ]
    state = STATES["Sync Objects"]
    for many in (ends, ends[:1], ends[1:2], []):
        result = {"Payload": {"files": 100, "ends": many}}
        traced = _evaluate(state["Output"], result=result)["traced"]
        ended = _evaluate(state["Assign"]["ends"], result=result)
        assert traced == [end for end in many if end.get("outcome") == TRACED]
        assert ended == [end for end in many if end.get("outcome") != TRACED]


def test_a_batch_that_failed_is_done_file_by_file_unless_nothing_is_to_be_changed() -> None:
    (catcher,) = STATES["Sync Objects"]["Catch"]
    batch = {"Items": [{"Key": "a"}, {"Key": "b"}], "BatchInput": {"how": "bulk"}}
    output = _evaluate(catcher["Output"], input=batch)
    assert output == {
        "how": "bulk",
        "traced": [{"key": "a", "finding": "BATCH"}, {"key": "b", "finding": "BATCH"}],
    }
    assert _evaluate(catcher["Assign"]["files"], input=batch) == 2
    (look,) = STATES["May It Write?"]["Choices"]
    assert _evaluate(look["Condition"], input={"how": "look"}) is True
    assert _evaluate(look["Condition"], input=output) is False


def test_the_error_of_an_execution_is_read_from_its_cause() -> None:
    (catcher,) = STATES["Sync Object"]["Catch"]
    file = {"key": "a", "finding": "STALE"}
    cause = json.dumps(
        {"Input": '{"Error": "no"}', "Error": "NestingError", "Status": "FAILED"},
        separators=(",", ":"),
    )
    for text, error in ((cause, {"error": "NestingError"}), ("no JSON", {})):
        told = _evaluate(catcher["Output"], input=file, errorOutput={"Cause": text})
        assert told == {**file, "outcome": "FAILED", **error}


def test_every_shard_is_looked_at() -> None:
    assert "".join(SHARD_MAP["Items"]) == SHARDS
    (more,) = STATES["Shard Done?"]["Choices"]
    for after, again in (("s3://b/k", True), (None, False)):
        looked = Progress(1, 2, {}, after)._asdict()
        assert _evaluate(more["Condition"], input=looked) is again


def test_what_shards_that_failed_say_fits_into_a_payload() -> None:
    (catcher,) = STATES["Sync Orphans"]["Catch"]
    error = {"Error": "E", "Cause": "\U0001f600" * 32_768}
    before = Progress(1, 2, {"DELETED": 2}, "s3://b/k")._asdict()
    said = _evaluate(catcher["Output"], input=before, errorOutput=error)
    assert said == {**before, "problem": {"error": "E", "cause": said["problem"]["cause"]}}
    assert len(SHARDS) * len(json.dumps(said, ensure_ascii=False).encode()) < 250_000
    empty = _evaluate(catcher["Output"], input={}, errorOutput={"Error": "E"})
    assert empty == {"problem": {"error": "E", "cause": ""}}


def test_a_run_fails_with_what_the_first_failed_shard_said() -> None:
    problem = SHARD_MAP["Assign"]["problem"].replace("$problem %}", "'before' %}")
    done, bad = {"files": 1}, {"problem": {"error": "E", "cause": "c"}}
    for result, said in (
        ([done, done], "before"),
        ([done, bad], bad["problem"]),
        ([bad, {"problem": {"error": "F", "cause": ""}}], bad["problem"]),
    ):
        assert _evaluate(problem, result=result) == said


@pytest.mark.parametrize("name", bucket_lambda_tasks())
def test_a_function_s_task_is_as_those_of_the_other_machine(name: str) -> None:
    state, model = STATES[name], lambda_tasks()["Validate Records"]
    function = template()["Resources"][f"{name.replace(' ', '')}Function"]["Properties"]
    assert state["TimeoutSeconds"] > function["Timeout"]
    assert state["Arguments"]["FunctionName"] == f"${{{name.replace(' ', '')}FunctionArn}}"

    def plain(rules: Any) -> Any:
        return [{k: v for k, v in rule.items() if k != "Comment"} for rule in rules]

    assert plain(state["Retry"]) == plain(model["Retry"])
    text = (ROOT / "functions" / "handlers" / f"{snake(name)}.py").read_text()
    said = re.search(r"[Tt]akes `\{([\w, ]+)\}`", text)
    assert said
    assert set(said[1].split(", ")) == set(state["Arguments"]["Payload"])


def test_a_nested_execution_is_waited_for_longer_than_it_can_last() -> None:
    machine = json.loads((ROOT / "statemachine" / "sync_object.asl.json").read_text())
    assert STATES["Sync Object"]["TimeoutSeconds"] > machine["TimeoutSeconds"]
    assert STATES["Sync Object"]["Resource"].endswith("startExecution.sync:2")


def test_substitutions_agree_with_the_template() -> None:
    machine = template()["Resources"]["SyncBucketStateMachine"]["Properties"]
    found = set(re.findall(r"\$\{(\w+)\}", json.dumps(bucket_definition())))
    assert found == set(machine["DefinitionSubstitutions"])
