"""A deployed stack, and where to reach it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.calls import Calls
from local.chaos import Chaos
from local.environment import (
    ACCESS_KEY_ID,
    LOCAL,
    REGION,
    SECRET_ACCESS_KEY,
    STACK_NAME,
    endpoint_url,
)
from local.faults import Faults
from local.processes import engine_process
from local.switches import Switches


@dataclass(frozen=True)
class Stack:
    """A deployed stack and where to reach it: what stack.json holds."""

    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str
    stack_name: str
    outputs: dict[str, str] = field(default_factory=dict)
    schemas: str | None = None
    """The folder of its datasets, None for the project's own."""
    state_dir: str = str(LOCAL)

    def client(self, service: str) -> Any:
        """A boto3 client for one of the engine's services, the same one every time."""
        return _client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
        )

    @property
    def calls(self) -> Calls:
        """What roles have called, on an engine that records it."""
        return Calls(Path(self.state_dir) / "calls.jsonl")

    @property
    def chaos(self) -> Chaos:
        """What happens on the engine by chance."""
        return Chaos(Path(self.state_dir) / "chaos.json")

    @property
    def faults(self) -> Faults:
        """The faults that the engine is to bring about."""
        return Faults(Path(self.state_dir) / "faults.json")

    @property
    def switches(self) -> Switches:
        """Where the engine is to be as unkind as AWS."""
        return Switches(Path(self.state_dir) / "switches")

    @classmethod
    def on(cls, port: int, state_dir: Path) -> Stack:
        """The engine on a port, with nothing deployed yet."""
        return cls(
            endpoint_url=endpoint_url(port),
            region=REGION,
            access_key_id=ACCESS_KEY_ID,
            secret_access_key=SECRET_ACCESS_KEY,
            stack_name=STACK_NAME,
            state_dir=str(state_dir),
        )

    @classmethod
    def load(cls, state_dir: Path = LOCAL) -> Stack | None:
        """The stack that is up, if one is."""
        try:
            held = json.loads((state_dir / "stack.json").read_text())
        except FileNotFoundError:
            return None
        return cls(**held, state_dir=str(state_dir)) if engine_process(state_dir) else None

    def save(self) -> None:
        """Writes stack.json."""
        held = asdict(self)
        held.pop("state_dir")
        (Path(self.state_dir) / "stack.json").write_text(json.dumps(held, indent=2) + "\n")


@cache
def _client(service: str, **settings: str) -> Any:
    session: Any = boto3.session.Session()
    return session.client(service, config=Config(max_pool_connections=50), **settings)
