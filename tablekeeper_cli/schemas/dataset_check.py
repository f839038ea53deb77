"""What is wrong with one dataset: its records, its expressions and the keys of its items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.dataset import KEYWORD, Dataset
from tablekeeper.datasets.expressions import Expression
from tablekeeper.datasets.records import RESERVED
from tablekeeper.model.keys import TableKey

from tablekeeper_cli.schemas.expression_types import (
    ANY,
    ARRAY,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    ExpressionTypes,
)
from tablekeeper_cli.schemas.finding import ERROR, WARNING, Findings
from tablekeeper_cli.schemas.function_calls import bad_calls
from tablekeeper_cli.schemas.subschemas import Path_

KEY_TYPES = {"S": STRING, "N": NUMBER}


class DatasetCheck:
    """The check of one dataset for a table with this key and TTL attribute."""

    def __init__(
        self,
        findings: Findings,
        catalogue: Catalogue,
        dataset: Dataset,
        table_key: TableKey,
        ttl_attribute: str,
    ) -> None:
        self.findings, self.dataset = findings, dataset
        self.table_key, self.ttl_attribute = table_key, ttl_attribute
        self.types = ExpressionTypes(catalogue, dataset.name)

    def allows_objects(self) -> bool:
        given = self.types.record
        if OBJECT not in given:
            shown = " or ".join(sorted(given)) or "nothing"
            advice = (
                "Describe one record, which is an object. The elements of an array are records by "
                "themselves, or by `records`."
            )
            place: Path_ = ("type",) if "type" in self.dataset.schema else ()
            self._say(place, f"no record is valid: the schema allows {shown}", advice)
        return OBJECT in given

    def may_make_items(self) -> bool:
        """Whether no expression and no key is certainly wrong."""
        before = len(self.findings)
        self._check_calls()
        self._check_keys()
        good = all(each.severity != ERROR for each in self.findings[before:])
        self._check_expiry()
        self._check_columns()
        for reserved in (*RESERVED, *self.dataset.own_names):
            if reserved in self.dataset.schema.get("properties", ()):
                what = f'a record with the field "{reserved}" is refused'
                advice = "Rename the field: Tablekeeper itself uses the name."
                self._say(("properties", reserved), what, advice)
        return good

    def _say(self, path: Path_, what: str, advice: str, severity: str = ERROR) -> None:
        self.findings.add(self.dataset.name, path, what, advice, severity)

    def _check_calls(self) -> None:
        """`records` sees a document, of which the schema says nothing."""
        document = ExpressionTypes.unknown()
        for path, text in expressions_of(self.dataset.schema[KEYWORD]):
            types = document if path == ("records",) else self.types
            for call in bad_calls(Expression(text).syntax, types):
                self._say((KEYWORD, *path), call.what, call.advice)

    def _check_keys(self) -> None:
        for member in self.dataset.key.keys() - set(self.table_key.names):
            what = f'the table has no key attribute "{member}"; its key is {self.table_key}'
            self._say((KEYWORD, "key", member), what, "Remove or rename it.")
        for name, kind in self.table_key.attributes:
            if not self.findings.has_error(self.dataset.name, (KEYWORD, "key", name)):
                self._check_key(name, KEY_TYPES[kind])

    def _check_expiry(self) -> None:
        """An item with a number in the TTL attribute, and no `ttl`, is refused."""
        name, dataset = self.ttl_attribute, self.dataset
        expression = dataset.gives(name)
        named = name in (dataset.attributes or ())
        if dataset.ttl or name in dataset.key or expression is None:
            return
        if not (named or name in dataset.schema.get("properties", ())):
            return
        place: Path_ = (KEYWORD, "attributes", name) if named else ("properties", name)
        given = self.types.of(expression.syntax)
        what = f'"{name}" is the TTL attribute of the table, and the dataset has no `ttl`'
        advice = (
            f'Add "ttl": "{name}" if it is when DynamoDB may delete the item; else rename it with '
            "`attributes`: a record with a number there is refused."
        )
        if NUMBER in given:
            self._say(place, what, advice, ERROR if given <= {NUMBER, NULL} else WARNING)

    def _check_columns(self) -> None:
        """A field of CSV is no array and no object, and a column has to be in the header."""
        csv, schema = self.dataset.csv, self.dataset.schema
        if csv is None:
            return
        for name in schema.get("properties", ()):
            types = csv.types(name) - {NULL}
            if types and types <= {ARRAY, OBJECT}:
                what = f"a field of CSV is never an {' or an '.join(sorted(types))}"
                advice = (
                    "Give it the type string: the schema makes numbers, booleans and null alone."
                )
                self._say(("properties", name), what, advice, WARNING)
        for place, name in enumerate(schema.get("required", ())):
            if csv.header and name not in csv.header:
                what = f'the `header` of `csv` has no column "{name}", which is required'
                advice = "Add it to the `header`, or do not require it."
                self._say(("required", place), what, advice)

    def _check_key(self, name: str, wanted: str) -> None:
        dataset = self.dataset
        place: Path_ = (KEYWORD, "key", name)
        expression = dataset.key.get(name)
        if expression is None:
            named = name in (dataset.attributes or ())
            place = (KEYWORD, "attributes", name) if named else (KEYWORD,)
            expression = dataset.gives(name)
        if expression is not None:
            self._check_key_type(name, wanted, expression, place)
        elif not dataset.all_fields or name in dataset.left_out:
            what = f'nothing gives the key attribute "{name}"'
            advice = "Name it in `key`, since `attributes` leaves all other fields out."
            self._say((KEYWORD,), what, advice)

    def _check_key_type(self, name: str, wanted: str, expression: Expression, place: Path_) -> None:
        """A file whose document lacks a field is refused, and no schema can say that it has it:
        only what the record gives is warned of.
        """
        given = self.types.of(expression.syntax)
        of_record = self.types.with_document(frozenset((wanted,))).of(expression.syntax)
        it = f'the key attribute "{name}", by `{expression.text}`,'
        if wanted not in given:
            gives = " or ".join(sorted(given - {NULL} or given)).replace(NULL, "nothing")
            what = f"{it} is never a {wanted}: it is {gives}"
            advice = f"Give a {wanted}" + (
                f": to_string({expression.text})" if wanted == STRING and given != {NULL} else "."
            )
            self._say(place, what, advice)
        elif of_record == ANY:
            what = f"{it} may be anything: the schema does not say that it is a {wanted}"
            self._say(place, what, f"Require it, with `type` {wanted}.", WARNING)
        elif of_record != {wanted}:
            others = " or ".join(sorted(of_record - {wanted})).replace(NULL, "missing")
            what = f"{it} may be {others}"
            advice = f"Make the schema require a {wanted}: else the whole file is refused."
            self._say(place, what, advice, WARNING)


def expressions_of(keyword: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    """Each expression of a keyword and where it stands."""
    for member in ("records", "ttl"):
        if isinstance(keyword.get(member), str):
            yield (member,), keyword[member]
    for member in ("key", "attributes"):
        if isinstance(keyword.get(member), dict):
            for name, text in keyword[member].items():
                if isinstance(text, str):
                    yield (member, name), text
