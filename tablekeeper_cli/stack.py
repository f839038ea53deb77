"""A deployed stack: where its bucket, tables and state machine are, and clients to reach them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tablekeeper.model.objects import object_uri

from tablekeeper_cli import engine
from tablekeeper_cli.errors import CommandError, UsageError

if TYPE_CHECKING:
    from threading import Event

    from boto3.session import Session
    from botocore.config import Config

STACK_VARIABLE, LOCAL_VARIABLE = "TABLEKEEPER_STACK", "TABLEKEEPER_LOCAL"
SCHEMAS_VARIABLE = "TABLEKEEPER_SCHEMAS"
URI_SCHEME, NO_OBJECT = "s3://", object_uri("", "")
"""NO_OBJECT is the ledger's partition key of executions whose inputs name no object."""
CONNECT_SECONDS = 3
LOCAL_ATTEMPTS = 3
"""With these the end of an engine during a command is reported in ten seconds, not in a minute."""
CONSOLES = {
    "aws": "https://{}.console.aws.amazon.com",
    "aws-cn": "https://{}.console.amazonaws.cn",
    "aws-us-gov": "https://console.amazonaws-us-gov.com",
}
"""The AWS console of a region, by partition. Each address is followed by a path, and `region` in
the query.
"""
LOCAL_FILE = Path(".local") / "stack.json"


@dataclass(frozen=True)
class Stack:
    """A stack and its outputs; endpoint_url is None on AWS. by_default says that it was not named:
    it is the local one, whose stack.json is local_file; schemas is the folder of its datasets, None
    for the project's own. A request is tried so many times, and waits so long for its answer.
    """

    name: str
    region: str
    outputs: dict[str, str]
    endpoint_url: str | None = None
    by_default: bool = False
    schemas: str | None = None
    local_file: Path | None = None
    session: Session | None = field(default=None, repr=False, compare=False)
    read_seconds: float = 60
    attempts: int = 9
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def find(
        cls,
        name: str | None = None,
        *,
        local: bool = False,
        region: str | None = None,
        profile: str | None = None,
    ) -> Stack:
        """The stack that the options name, or the environment, or the local one where there is one.

        Raises:
            UsageError: no stack is named, or two.
            CommandError: it cannot be found; the message says why.
        """
        if local and name:
            raise UsageError("name one stack: --stack NAME or --local")
        if local:
            return cls.on_local_engine()
        name = name or os.environ.get(STACK_VARIABLE)
        if name:
            return cls.on_aws(name, region, profile)
        if local_file() and not region and not profile:
            by_default = not os.environ.get(LOCAL_VARIABLE)
            return replace(cls.on_local_engine(), by_default=by_default)
        raise UsageError(
            "which stack? --stack NAME (or the environment variable TABLEKEEPER_STACK), "
            "or --local for the engine that `make up` started"
        )

    @classmethod
    def on_local_engine(cls) -> Stack:
        """The stack of the nearest .local/stack.json at or above here. Raises CommandError."""
        from boto3.session import Session

        path = local_file()
        if not path:
            raise CommandError(
                f"there is no {os.environ.get(LOCAL_VARIABLE) or LOCAL_FILE} here or above: "
                "start the engine with `make up`"
            )
        held = json.loads(path.read_text())
        engine.check(held["endpoint_url"], held["outputs"]["SourceBucketName"], path.parent)
        session = Session(
            aws_access_key_id=held["access_key_id"],
            aws_secret_access_key=held["secret_access_key"],
            region_name=held["region"],
        )
        return cls(
            held["stack_name"],
            held["region"],
            held["outputs"],
            held["endpoint_url"],
            schemas=held.get("schemas"),
            local_file=path.absolute(),
            session=session,
            attempts=LOCAL_ATTEMPTS,
        )

    @classmethod
    def on_aws(cls, name: str, region: str | None, profile: str | None) -> Stack:
        """A stack of an account, by its outputs. Raises CommandError."""
        from boto3.session import Session
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            session = Session(profile_name=profile, region_name=region)
            outputs = _outputs(session, name)
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"stack {name}: {error}") from None
        if "LedgerTableName" not in outputs:
            raise CommandError(f"stack {name} is no stack of Tablekeeper: it has no ledger")
        return cls(name, str(session.region_name), outputs, session=session)

    def guard_engine(self) -> Event | None:
        """Ends this process with a sentence when the local engine ends, until the event is set."""
        file = self.local_file
        return engine.guard(self.endpoint_url, file.parent) if self.endpoint_url and file else None

    def impatient(self, read_seconds: float, attempts: int) -> Stack:
        """The same stack, whose requests end sooner when nothing answers."""
        return replace(self, read_seconds=read_seconds, attempts=attempts, _clients={})

    def client(self, service: str) -> Any:
        """A boto3 client, the same one every time; safe for threads."""
        if service not in self._clients:
            from boto3.session import Session

            self._clients[service] = (self.session or Session()).client(
                service,  # type: ignore[call-overload]
                endpoint_url=self.endpoint_url,
                region_name=self.region,
                config=_config(self.read_seconds, self.attempts),
            )
        return self._clients[service]

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters that the stack was deployed with, defaults included."""
        described = self.client("cloudformation").describe_stacks(StackName=self.name)
        return {
            each["ParameterKey"]: each["ParameterValue"]
            for each in described["Stacks"][0].get("Parameters", ())
        }

    @cached_property
    def caller(self) -> str | None:
        """The ARN of the command's credentials; None where AWS does not give it."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            arn: str = self.client("sts").get_caller_identity()["Arn"]
        except (BotoCoreError, ClientError):
            return None
        return arn

    @property
    def bucket(self) -> str:
        return self.outputs["SourceBucketName"]

    @property
    def items(self) -> str:
        return self.outputs["ItemsTableName"]

    @property
    def ledger(self) -> str:
        return self.outputs["LedgerTableName"]

    @property
    def staging(self) -> str:
        return self.outputs["StagingBucketName"]

    @property
    def state_machine(self) -> str:
        """The ARN of the state machine that keeps one object."""
        return self.outputs["StateMachineArn"]

    @property
    def bucket_machine(self) -> str:
        """The ARN of the state machine that goes over the whole bucket."""
        return self.outputs["SyncBucketStateMachineArn"]

    @property
    def failed_events(self) -> str:
        """The URL of the queue of events that could not start an execution."""
        return self.outputs["FailedEventsQueueUrl"]

    @cached_property
    def console_url(self) -> str | None:
        """The AWS console of the stack's region; None on a local engine, and where it has none."""
        return None if self.endpoint_url else _console_url(self.region)

    @property
    def address(self) -> str:
        """With what the ledger's partition key of each object begins."""
        return object_uri(self.bucket, "")

    def uri(self, key: str) -> str:
        """The ledger's partition key of an object, which may be given itself: `s3://bucket/key`.

        `s3:///` is itself, and `s3:///other/key` that of an input which names another bucket: a key
        in this one may begin with `s3://other/`.
        """
        if key == NO_OBJECT or key.startswith(self.address):
            return key
        if key.startswith(NO_OBJECT):
            return URI_SCHEME + key.removeprefix(NO_OBJECT)
        return self.address + key

    def key(self, uri: str) -> str:
        """The inverse of `uri`: the object's key, or the address where the key alone would be read
        as one of something else.
        """
        if uri == NO_OBJECT:
            return uri
        if not uri.startswith(self.address):
            return NO_OBJECT + uri.removeprefix(URI_SCHEME)
        key = uri.removeprefix(self.address)
        return key if self.uri(key) == uri else uri


def _config(read_seconds: float, attempts: int) -> Config:
    from botocore.config import Config

    return Config(
        max_pool_connections=50,
        connect_timeout=min(CONNECT_SECONDS, read_seconds),
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent_extra="tablekeeper-cli",
    )


def _outputs(session: Session, name: str) -> dict[str, str]:
    """A stack's outputs. Raises BotoCoreError, ClientError."""
    from botocore.config import Config

    settings = Config(connect_timeout=3, read_timeout=10, retries={"max_attempts": 1})
    client = session.client("cloudformation", config=settings)
    outputs = client.describe_stacks(StackName=name)["Stacks"][0].get("Outputs", [])
    return {each["OutputKey"]: each["OutputValue"] for each in outputs}


def local_file() -> Path | None:
    """The nearest .local/stack.json at or above this folder, or the file that the environment
    names.
    """
    named = os.environ.get(LOCAL_VARIABLE)
    here = Path.cwd()
    places = [Path(named)] if named else [up / LOCAL_FILE for up in (here, *here.parents)]
    return next((place for place in places if place.is_file()), None)


def _console_url(region: str) -> str | None:
    """https://docs.aws.amazon.com/awsconsolehelpdocs/latest/gsg/select-region.html"""
    from boto3.session import Session
    from botocore.exceptions import UnknownRegionError

    try:
        address = CONSOLES.get(Session().get_partition_for_region(region))
    except UnknownRegionError:
        return None
    return address.format(region) if address else None
