"""Each function's role against what the function calls, both ways, on an engine that enforces the
roles and records the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.calls import Call
from local.package import ARTIFACTS_BUCKET
from local.running import running_stack
from local.stack import Stack
from tests.e2e.failures import Workshop
from tests.e2e.privileges import Paths
from tests.support.project import resources

pytestmark = pytest.mark.xdist_group("privileges")

SCHEMAS = Path(__file__).parent / "schemas"
ROLES = sorted(name.replace("Function", "Role") for name in resources("AWS::Serverless::Function"))
BY_THE_RUNTIME = ("logs:", "xray:")
"""Lambda's runtime writes logs and traces; the engine's does so without a call."""
COMMITTING = ("WriteItems", "DeleteItems", "SettleClaim", "SyncObjects", "SyncOrphans")
NOT_SEEN: Mapping[tuple[str, str, str], str] = {
    **{
        (f"{name}Role", "s3:ListBucket", "source"): "S3 asks for it when an object is gone, or it "
        "says denied instead: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"
        for name in (
            "FetchObject",
            "ValidateRecords",
            "TransformRecords",
            "SyncObjects",
            "SyncOrphans",
        )
    },
    **{
        (f"{name}Role", "dynamodb:Scan", "items"): "a list of keys that somebody deleted"
        for name in COMMITTING
    },
    **{
        (f"{name}Role", "dynamodb:DescribeTable", "items"): "keys of before the table had another"
        for name in ("DeleteItems", "SyncOrphans")
    },
    **{
        (f"{name}Role", "s3:PutObject", "keys"): "a list of keys that somebody deleted"
        for name in ("DeleteItems", "SyncOrphans")
    },
    **{
        ("SettleClaimRole", f"dynamodb:{action}", "items"): "two large writes, one over the other"
        for action in ("BatchGetItem", "DescribeTable")
    },
    ("SyncObjectsRole", "dynamodb:BatchGetItem", "items"): "a large write in a batch",
    **{
        (f"{name}Role", "dynamodb:GetItem", "items"): "functions of 0.2.0, during an upgrade: a "
        "large write that was refused"
        for name in ("WriteItems", "SyncObjects")
    },
}
"""What is allowed and never seen called, each with the reason."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of this module's own: no other test calls anything on it."""
    folder = tmp_path_factory.mktemp("privileges")
    with running_stack(folder, schemas=SCHEMAS, records_calls=True) as running:
        yield running


@pytest.fixture(scope="module")
def calls(stack: Stack) -> set[Call]:
    """What has been called when every path has been driven once."""
    Paths.drive(Workshop(stack))
    return stack.calls.read()


Grants = set[tuple[str, str]]


def granted(shop: Workshop, role: str) -> Grants:
    """Each action that the deployed role allows with each resource, patterns and all."""
    iam, name = shop.client("iam"), shop.physical_id(role)
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    return {
        (action, resource)
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        for statement in _document(iam, name, policy)["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
        if not action.startswith(BY_THE_RUNTIME)
    }


def _document(iam: Any, role: str, policy: str) -> dict[str, Any]:
    found: dict[str, Any] = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("role", ROLES)
def test_a_function_calls_all_that_it_may_and_nothing_else(
    stack: Stack, calls: set[Call], role: str
) -> None:
    shop = Workshop(stack)
    function = shop.physical_id(role.replace("Role", "Function"))
    caller = f"{shop.physical_id(role)}/{function[:64]}"
    mine = {each for each in calls if each.caller == caller}
    assert mine
    assert [each for each in mine if not each.allowed] == []
    grants = granted(shop, role)
    unused = {
        (role, action, resource)
        for action, resource in grants
        if not any(each.action == action and fnmatchcase(each.resource, resource) for each in mine)
    }
    outputs = stack.outputs
    items = f":table/{outputs['ItemsTableName']}"
    where = {
        "source": f"arn:aws:s3:::{shop.bucket}",
        "keys": f"arn:aws:s3:::{outputs['StagingBucketName']}/keys/*",
        "items": next((each for _, each in grants if each.endswith(items)), items),
    }
    expected = {(of, action, where[what]) for of, action, what in NOT_SEEN if of == role}
    assert unused == expected


# ---- what each must not be able to do ----


@dataclass(frozen=True)
class Caller:
    """Somebody with just the policies of a role, and what they may try."""

    shop: Workshop
    session: Any
    clients: dict[str, Any] = field(default_factory=dict)

    def refused(self, attempt: str) -> bool:
        """Whether the attempt is refused for want of a permission; it changes nothing if not."""
        try:
            ATTEMPTS[attempt](self)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            return code in ("AccessDenied", "AccessDeniedException", "403")
        return False

    def client(self, service: str) -> Any:
        """A client of a service."""
        if service not in self.clients:
            endpoint = self.shop.stack.endpoint_url
            self.clients[service] = self.session.client(service, endpoint_url=endpoint)
        return self.clients[service]

    def ledger(self, operation: str, **arguments: Any) -> None:
        """A call about a row of the ledger that is not there."""
        self._table("LedgerTableName", operation, **arguments)

    def items(self, operation: str, **arguments: Any) -> None:
        """A call about an item that is not there."""
        self._table("ItemsTableName", operation, **arguments)

    def source(self, operation: str, **arguments: Any) -> None:
        """A call to the source bucket."""
        getattr(self.client("s3"), operation)(Bucket=self.shop.bucket, **arguments)

    def staging(self, operation: str, **arguments: Any) -> None:
        """A call to the staging bucket."""
        bucket = self.shop.stack.outputs["StagingBucketName"]
        getattr(self.client("s3"), operation)(Bucket=bucket, **arguments)

    def states(self, operation: str, **arguments: Any) -> None:
        """A call about the state machine for one object."""
        getattr(self.client("stepfunctions"), operation)(**arguments)

    def _table(self, table: str, operation: str, **arguments: Any) -> None:
        name = self.shop.stack.outputs[table]
        getattr(self.client("dynamodb"), operation)(TableName=name, **arguments)


PROBE = {"pk": {"S": "probe"}, "sk": {"S": "probe"}}
THERE: Mapping[str, Any] = {"ConditionExpression": "attribute_exists(pk)"}
ATTEMPTS: Mapping[str, Callable[[Caller], None]] = {
    "read the ledger": lambda by: by.ledger("get_item", Key=PROBE),
    "write the ledger": lambda by: by.ledger("put_item", Item=PROBE, **THERE),
    "delete from the ledger": lambda by: by.ledger("delete_item", Key=PROBE, **THERE),
    "scan the ledger": lambda by: by.ledger("scan", Limit=1),
    "drop the ledger": lambda by: by.ledger("delete_table"),
    "read an item": lambda by: by.items("get_item", Key=PROBE),
    "write an item": lambda by: by.items("put_item", Item=PROBE, **THERE),
    "delete an item": lambda by: by.items("delete_item", Key=PROBE, **THERE),
    "scan the items": lambda by: by.items("scan", Limit=1),
    "drop the items": lambda by: by.items("delete_table"),
    "read an object": lambda by: by.source("get_object", Key="probe"),
    "read an earlier version": lambda by: by.source("get_object", Key="probe", VersionId="probe"),
    "write an object": lambda by: by.source("put_object", Key="probe", Body=b""),
    "delete an object": lambda by: by.source("delete_object", Key="probe"),
    "read the bucket's policy": lambda by: by.source("get_bucket_policy"),
    "read staged items": lambda by: by.staging("get_object", Key="items/probe"),
    "stage items": lambda by: by.staging("put_object", Key="items/probe", Body=b""),
    "delete staged items": lambda by: by.staging("delete_object", Key="items/probe"),
    "read key lists": lambda by: by.staging("get_object", Key="keys/probe"),
    "write key lists": lambda by: by.staging("put_object", Key="keys/probe", Body=b""),
    "delete key lists": lambda by: by.staging("delete_object", Key="keys/probe"),
    "read a report": lambda by: by.staging("get_object", Key="reports/probe"),
    "write a report": lambda by: by.staging("put_object", Key="reports/probe", Body=b""),
    "read results": lambda by: by.staging("get_object", Key="sync/probe"),
    "write results": lambda by: by.staging("put_object", Key="sync/probe", Body=b""),
    "read other buckets": lambda by: by.client("s3").get_object(Bucket=ARTIFACTS_BUCKET, Key="x"),
    "list executions": lambda by: by.states(
        "list_executions", stateMachineArn=by.shop.machine, maxResults=1
    ),
    "start an execution": lambda by: by.states(
        "start_execution", stateMachineArn=by.shop.machine, input="no JSON"
    ),
    "stop an execution": lambda by: by.states(
        "stop_execution",
        executionArn=f"{by.shop.machine.replace(':stateMachine:', ':execution:')}:probe",
    ),
    "invoke a function": lambda by: by.client("lambda").invoke(
        FunctionName=by.shop.physical_id("SafetyNetFunction"), InvocationType="DryRun"
    ),
    "read a role": lambda by: by.client("iam").get_role(RoleName=by.shop.physical_id("SweepRole")),
}
READS_OBJECT = {"read an object", "read an earlier version"}
COMMITS = {"read the ledger", "write the ledger", "delete from the ledger"}
KEEPS_LISTS = {"read key lists", "write key lists", "delete key lists"}
MAY: Mapping[str, set[str]] = {
    "FetchObjectRole": {"read the ledger", "read an object"},
    "ValidateRecordsRole": READS_OBJECT | {"write a report"},
    "TransformRecordsRole": READS_OBJECT | {"stage items"},
    "WriteItemsRole": COMMITS
    | KEEPS_LISTS
    | {"read an item", "write an item", "delete an item", "read staged items", "stage items"}
    | {"scan the items"},
    "DeleteItemsRole": COMMITS | KEEPS_LISTS | {"delete an item", "scan the items"},
    "SettleClaimRole": KEEPS_LISTS
    | {"read the ledger", "delete from the ledger"}
    | {"write an item", "delete an item", "read staged items", "scan the items"},
    "SafetyNetRole": {"write the ledger"},
    "SweepRole": {
        "read the ledger",
        "write the ledger",
        "list executions",
        "start an execution",
    },
    "SyncObjectsRole": COMMITS
    | KEEPS_LISTS
    | {"read an item", "write an item", "delete an item", "read staged items", "stage items"}
    | {"read an object", "write a report", "scan the items"},
    "SyncOrphansRole": COMMITS
    | KEEPS_LISTS
    | {"delete an item", "scan the items"}
    | {"read an object", "write results", "start an execution"},
    "ReportDifferencesRole": {"read results", "write the ledger"},
}
"""Of the attempts, what each role's function is there for; all others are to be refused."""


@pytest.fixture
def caller(stack: Stack, request: pytest.FixtureRequest) -> Caller:
    """Somebody who has assumed a role, which the engine lets its root user do with any."""
    shop, iam, sts = Workshop(stack), stack.client("iam"), stack.client("sts")
    arn = iam.get_role(RoleName=shop.physical_id(request.param))["Role"]["Arn"]
    keys = sts.assume_role(RoleArn=arn, RoleSessionName="probe")["Credentials"]
    session = boto3.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], stack.region
    )
    return Caller(shop, session)


@pytest.mark.parametrize(("caller", "role"), [(each, each) for each in ROLES], indirect=["caller"])
def test_a_function_cannot_do_what_it_is_not_there_for(caller: Caller, role: str) -> None:
    assert {each for each in ATTEMPTS if not caller.refused(each)} == MAY[role]
