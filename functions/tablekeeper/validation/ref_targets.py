"""Whether each $ref of a schema leads somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urldefrag

from jsonschema_specifications import REGISTRY
from referencing import Registry, Resource, Specification
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.dataset import SUFFIX
from tablekeeper.datasets.references import ref_stands_alone

_DEFINITIONS = ("$defs", "definitions")


def _specification(schema: Mapping[str, Any]) -> Specification[Any]:
    return specification_with(str(schema.get("$schema", "")), default=DRAFT202012)


def _registry(catalogue: Catalogue, specification: Specification[Any]) -> Registry[Any]:
    """Finds schemas in the catalogue and nowhere else; one that names no draft has the draft of the
    schema that refers to it.
    """

    def resource(uri: str) -> Resource[Any]:
        target = catalogue.resolve(urldefrag(uri).url)
        if target is None:
            raise NoSuchResource(ref=uri)  # type: ignore[call-arg]
        return Resource.from_contents(
            catalogue.schemas[target], default_specification=specification
        )

    return Registry(retrieve=resource)  # type: ignore[call-arg]


def _leads_nowhere(name: str, ref: str) -> str:
    return f'{name}{SUFFIX}: "{ref}" leads to no schema in schemas/'


def unresolvable(
    catalogue: Catalogue, name: str, *, definitions: bool, base: str | None = None
) -> Iterator[str]:
    """Each `$ref` of a schema, or of one that it refers to, that leads to no schema in schemas/;
    `definitions`: also where nothing uses it. `base` is the URI by which another schema reaches it.
    """
    schema = catalogue.schemas[name]
    specification, stands_alone = _specification(schema), ref_stands_alone(schema)
    registry = REGISTRY.combine(_registry(catalogue, specification))
    resource = specification.create_resource(schema)
    base = resource.id() or "" if base is None else base
    resolver = registry.with_resource(base, resource).resolver(base)
    seen: set[int] = set()
    pending: list[tuple[Any, Any]] = [(schema, resolver)]
    while pending:
        schema, resolver = pending.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        for keyword in ("$ref", "$dynamicRef"):
            if isinstance(schema.get(keyword), str):
                try:
                    resolved = resolver.lookup(schema[keyword])
                except (Unresolvable, ValueError):
                    yield schema[keyword]
                else:
                    pending.append((resolved.contents, resolved.resolver))
        alone = "$ref" in schema and stands_alone
        walked = {
            keyword: value
            for keyword, value in schema.items()
            if (definitions if keyword in _DEFINITIONS else not alone)
        }
        pending += [
            (each.contents, resolver.in_subresource(each))
            for each in specification.create_resource(walked).subresources()
        ]
