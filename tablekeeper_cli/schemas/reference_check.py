"""What is wrong with the identifiers and the references of a folder's schemas."""

from __future__ import annotations

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.dataset import SUFFIX
from tablekeeper.datasets.references import REFERENCES
from tablekeeper.validation.ref_targets import unresolvable

from tablekeeper_cli.schemas.finding import Findings
from tablekeeper_cli.schemas.subschemas import subschemas


def check_identifiers(findings: Findings, catalogue: Catalogue) -> None:
    owners: dict[str, str] = {}
    for name, schema in catalogue.schemas.items():
        identifier = schema.get("$id")
        if isinstance(identifier, str) and owners.setdefault(identifier, name) != name:
            what = f"{owners[identifier]}{SUFFIX} has the same $id"
            findings.add(name, ("$id",), what, "Give each file an $id of its own, or none.")


def leads_somewhere(findings: Findings, catalogue: Catalogue, name: str) -> bool:
    """Whether every reference of a schema does, by itself and as datasets reach it."""
    alone = set(unresolvable(catalogue, name, definitions=True))
    bases = {
        base
        for dataset in catalogue.datasets
        for each, base in catalogue.reached(dataset)
        if each == name
    }
    dead = {
        each
        for base in bases
        for each in unresolvable(catalogue, name, definitions=True, base=base)
    }
    for path, schema in subschemas(catalogue.schemas[name]):
        for keyword in REFERENCES:
            if schema.get(keyword) in (dead if bases else alone):
                what = f'"{schema[keyword]}" leads to no schema in the folder'
                advice = (
                    "Put the schema beside this one and name its file or its $id: nothing is ever "
                    "fetched from the network."
                )
                findings.add(name, (*path, keyword), what, advice)
    return not alone | dead
