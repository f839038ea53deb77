"""Deployments: each function has its own copy of schemas/ and its own parameters, and the functions
change one after the other.
"""

from __future__ import annotations

import os
import random
from collections import ChainMap
from collections.abc import Mapping
from typing import Any, cast

from greenlet import greenlet
from handlers import (
    delete_items,
    fetch_object,
    settle_claim,
    sync_objects,
    sync_orphans,
    transform_records,
    validate_records,
    write_items,
)
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.settings import Settings

from tests.convergence.files import name_of

WITH_SCHEMAS = (fetch_object, validate_records, transform_records, sync_objects, sync_orphans)
"""The functions that have a copy of schemas/ each."""
FROM_ENVIRONMENT: Any = Settings.from_environment.__func__  # type: ignore[attr-defined]
WITH_SETTINGS = (*WITH_SCHEMAS, write_items, delete_items, settle_claim)
TTL_ATTRIBUTES = ("expires_at", "until")
"""Of a deployment that sets another parameter, and the one before."""
SCHEMA = {
    "x-tablekeeper": {"prefix": "h/", "bad_records": {"at_most": 1}},
    "type": "object",
    "required": ["pk", "sk", "value"],
    "properties": {"bad": False},
}
NEXT_SCHEMA = SCHEMA | {
    "x-tablekeeper": {
        "prefix": "h/",
        "bad_records": {"at_most": 1},
        "attributes": {"*": "@", "deployed": "`2`"},
    }
}
"""Of the next deployment: its items have one attribute more."""


def _with_ttl(schema: dict[str, Any]) -> dict[str, Any]:
    keyword = {**schema["x-tablekeeper"], "ttl": "`4102444800`"}
    return {**schema, "x-tablekeeper": keyword}


CATALOGUES = {
    kind: tuple(Catalogue({"histories": schema}) for schema in schemas)
    for kind, schemas in {
        "schema": (SCHEMA, NEXT_SCHEMA),
        "parameter": (_with_ttl(SCHEMA), _with_ttl(SCHEMA)),
        "both": (_with_ttl(SCHEMA), _with_ttl(NEXT_SCHEMA)),
    }.items()
}
"""By what a deployment changes."""


class Deployments:
    """What each function of a history was deployed with."""

    rng: random.Random
    dynamodb: Any
    numeric: bool
    epoch: int

    def plan_deployments(self, changed: str) -> None:
        """None, one, or one that is rolled back, of a `schema`, a `parameter` or `both`."""
        self.changed, self.catalogued = changed, WITH_SCHEMAS
        self.deployed = dict.fromkeys(WITH_SETTINGS, 0)
        self.to_deploy: list[tuple[Any, int]] = []
        functions = WITH_SCHEMAS if changed == "schema" else WITH_SETTINGS
        for version in self.rng.choice([(), (), (1,), (1, 0)]):
            some = self.rng.sample(functions, len(functions))
            self.to_deploy += [(each, version) for each in some]

    def catalogue_of(self, function: Any) -> Catalogue:
        """The datasets that a function was deployed with."""
        return CATALOGUES[self.changed][self.deployed[function]]

    def settings(self, kind: Any, environment: Mapping[str, str] | None = None) -> Any:
        """The settings that the function that runs now was deployed with, in place of
        Settings.from_environment.
        """
        module: Any = getattr(greenlet.getcurrent(), "module", None)
        version = self.deployed.get(module, 0)
        own = {"ITEM_KEYS": "pk:S,sk:N"} if self.numeric else {}
        if self.changed != "schema":
            own["TTL_ATTRIBUTE"] = TTL_ATTRIBUTES[version]
        return FROM_ENVIRONMENT(kind, ChainMap(own, cast(Any, environment or os.environ)))

    def deploy(self) -> None:
        """One function gets its next copy of schemas/."""
        function, version = self.to_deploy.pop(0)
        self.deployed[function] = version
        self.epoch += 1

    def deployments_of_items(self) -> dict[str, Any]:
        """Of each item of this history what the deployment that made it left in it."""
        items = getattr(self.dynamodb.client, "tables", {}).get("items", {})
        return {name_of(item["sk"]): _deployment(item) for item in items.values()}

    def final_deployment(self) -> Any:
        """What the last deployment leaves in items."""
        version = self.deployed[fetch_object]
        item = {"deployed": {"N": "2"}} if version and self.changed != "parameter" else {}
        if self.changed != "schema":
            item[TTL_ATTRIBUTES[version]] = {"N": "4102444800"}
        return _deployment(item)


def _deployment(item: Mapping[str, Any]) -> Any:
    return {name: item[name]["N"] for name in ("deployed", *TTL_ATTRIBUTES) if name in item}
