"""What is wrong with the identifiers and the references of a folder's schemas."""

from __future__ import annotations

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.dataset import SUFFIX
from tablekeeper.datasets.references import REFERENCES, has_plain_id, identifier
from tablekeeper.validation.ref_targets import unresolvable

from tablekeeper_cli.schemas.finding import Findings
from tablekeeper_cli.schemas.subschemas import subschemas


def check_identifiers(findings: Findings, catalogue: Catalogue) -> None:
    owners: dict[str, str] = {}
    for name, schema in catalogue.schemas.items():
        uri = identifier(schema)
        if uri and owners.setdefault(uri, name) != name:
            keyword = "id" if has_plain_id(schema) else "$id"
            what = f"{owners[uri]}{SUFFIX} has the same {keyword}"
            findings.add(
                name, (keyword,), what, f"Give each file an {keyword} of its own, or none."
            )


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
