"""Everything that is wrong with the files of a folder like schemas/, found without a stack."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import tablekeeper
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from tablekeeper.datasets.catalogue import SCHEMAS, Catalogue, is_ignored, read_schema
from tablekeeper.datasets.dataset import KEYWORD, SUFFIX, Dataset
from tablekeeper.datasets.expressions import Expression
from tablekeeper.datasets.items_of_records import make_items
from tablekeeper.datasets.records import RESERVED, Record
from tablekeeper.documents.json_stream import parse
from tablekeeper.documents.pointers import pointer
from tablekeeper.errors import (
    DatasetDefinitionError,
    DuplicateJsonKeyError,
    InvalidFileError,
    TablekeeperError,
)
from tablekeeper.model.keys import TableKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import now
from tablekeeper.validation.formats import FORMATS
from tablekeeper.validation.ref_targets import unresolvable
from tablekeeper.validation.validator import violations

from tablekeeper_cli.compare.readable_numbers import ADVICE, WHAT, is_readable
from tablekeeper_cli.schemas.backtracking import backtracks_exponentially
from tablekeeper_cli.schemas.expression_types import (
    ANY,
    NULL,
    NUMBER,
    STRING,
    ExpressionTypes,
)
from tablekeeper_cli.schemas.function_calls import bad_calls
from tablekeeper_cli.schemas.subschemas import Path_, _subschemas

ERROR, WARNING = "error", "warning"
META = "x-tablekeeper.meta.json"
KEY_TYPES = {"S": STRING, "N": NUMBER}

_ENDLESS = (
    "the pattern can match one text in many ways: for some texts that it does not match, each "
    "character doubles the time, until the function times out"
)
_ONE_WAY = (
    "Let each text match in one way: between a repeat and one around it put what only stands there "
    "once (`^a+(-a+)*$`), let no two alternatives match the same, or use `++`, `*+`, `(?>...)`. "
    "`maxLength` does not help: every keyword is asked."
)
_DRAFTS = "https://json-schema.org/draft/2020-12/schema, or that of an earlier draft"


@dataclass(frozen=True, order=True)
class Finding:
    """Something wrong with a file; `pointer` is a JSON Pointer into it. With an error the file, or
    all of them, cannot be used as they are meant.
    """

    file: str
    pointer: str
    severity: str
    what: str
    advice: str


def check(folder: Path, table_key: TableKey, ttl_attribute: str = "expires_at") -> list[Finding]:
    """Everything that is wrong with the files of a folder, by file and place."""
    return sorted(set(_Check(folder, table_key, ttl_attribute).findings()))


class _Check:
    def __init__(self, folder: Path, table_key: TableKey, ttl_attribute: str) -> None:
        self.folder, self.table_key, self.ttl_attribute = folder, table_key, ttl_attribute
        self.schemas: dict[str, dict[str, Any]] = {}
        self.found: list[Finding] = []
        self.no_patterns: set[str] = set()
        self.no_items: set[str] = set()

    def findings(self) -> list[Finding]:
        for path in sorted(self.folder.iterdir()):
            self._read(path)
        good = {name for name, schema in self.schemas.items() if self._is_good_schema(name, schema)}
        usable = {
            name for name in good if KEYWORD in self.schemas[name] and self._is_good_keyword(name)
        }
        # What has a bad keyword may still be referred to.
        catalogue = Catalogue(
            {
                name: schema if name in usable else _without_keyword(schema)
                for name, schema in self.schemas.items()
                if name in good
            }
        )
        self._check_identifiers(catalogue)
        leads = {name: self._leads_somewhere(catalogue, name) for name in catalogue.schemas}
        self._check_prefixes(catalogue)
        self._check_use(catalogue)
        for dataset in catalogue.datasets.values():
            self._check_calls(catalogue, dataset)
            self._check_keys(catalogue, dataset)
        for name in catalogue.schemas:
            if leads[name] and name not in self.no_patterns:
                self._check_examples(catalogue, name)
        return self.found

    def _say(
        self, name: str, path: Path_ | str, what: str, advice: str, severity: str = ERROR
    ) -> None:
        where = path if isinstance(path, str) else pointer(path)
        self.found.append(Finding(f"{name}{SUFFIX}", where, severity, what, advice))

    def _warn(self, name: str, path: Path_ | str, what: str, advice: str) -> None:
        self._say(name, path, what, advice, WARNING)

    # ---- files ----

    def _read(self, path: Path) -> None:
        if path.name == META or path.name.startswith(".") or path.is_dir():
            return
        if not path.name.endswith(SUFFIX):
            if path.suffix.lower() == ".json" or ".schema." in path.name:
                advice = f"Name it <dataset>{SUFFIX}, or move it out of the folder."
                what = f"nothing reads this file: its name does not end in {SUFFIX}"
                self.found.append(Finding(path.name, "", WARNING, what, advice))
            return
        name = path.name.removesuffix(SUFFIX)
        try:
            self.schemas[name] = read_schema(path)
            parse(path.read_text("utf-8-sig"))
        except DatasetDefinitionError as error:
            what = str(error).removeprefix(f"{path.name} ")
            self._say(name, "", what, "Mend it there: a schema file is one JSON object.")
        except DuplicateJsonKeyError as error:
            self._say(name, "", str(error), "Remove one: only the last one counts.")
        except InvalidFileError:
            pass  # Limits of records, which are none of schemas.

    def _is_good_schema(self, name: str, schema: dict[str, Any]) -> bool:
        draft = schema.get("$schema")
        validator: Any = Draft202012Validator
        if isinstance(draft, str):
            validator = validator_for({"$schema": draft}, default=None)  # type: ignore[arg-type]
        if validator is None:
            validator = Draft202012Validator
            advice = f"Name {_DRAFTS}."
            self._warn(name, ("$schema",), "this is no known draft; it is read as 2020-12", advice)
        before = len(self.found)
        plain = json.loads(json.dumps(schema, default=float))
        for error in validator(validator.META_SCHEMA).iter_errors(plain):
            what = f"is no JSON Schema: {_shortened(error.message)}"
            self._say(name, tuple(error.absolute_path), what, "Mend the keyword.")
        bad = len(self.found) > before
        if not bad:
            for path, each in _subschemas(schema):
                self._check_subschema(name, path, each)
        return not bad

    def _check_subschema(self, name: str, path: Path_, schema: Mapping[str, Any]) -> None:
        patterns = [((*path, "pattern"), schema.get("pattern"))]
        patterns += [
            ((*path, "patternProperties", each), each)
            for each in schema.get("patternProperties", ())
        ]
        for place, pattern in patterns:
            if isinstance(pattern, str):
                try:
                    re.compile(pattern)
                    if backtracks_exponentially(pattern):
                        self._warn(name, place, _ENDLESS, _ONE_WAY)
                except (re.error, OverflowError, RecursionError) as error:
                    self.no_patterns.add(name)
                    what = f"is no pattern that Python reads: {error}"
                    self._say(name, place, what, "Mend the regular expression.")
        known = schema.get("format")
        if known is not None and known not in FORMATS:
            advice = f"Use one of {', '.join(FORMATS)}, or a `pattern`."
            self._warn(name, (*path, "format"), f'the format "{known}" is not checked', advice)

    # ---- the keyword ----

    def _is_good_keyword(self, name: str) -> bool:
        before = len(self.found)
        keyword = self.schemas[name][KEYWORD]
        meta = _meta_schema()
        for error in Draft202012Validator(meta).iter_errors(keyword):
            self._say_keyword(name, keyword, error, meta)
        if isinstance(keyword, dict):
            for path, text in _expressions(keyword):
                try:
                    Expression(text)
                except DatasetDefinitionError as error:
                    advice = "Mend the expression: https://jmespath.org/specification.html"
                    self._say(name, (KEYWORD, *path), _shortened(str(error)), advice)
        if len(self.found) == before:
            try:
                Dataset.read(name, self.schemas[name])
            except DatasetDefinitionError as error:
                what = str(error).removeprefix(f"{name}{SUFFIX}: ")
                self._say(name, (KEYWORD,), what, "Mend the keyword.")
        return len(self.found) == before

    def _say_keyword(self, name: str, keyword: Any, error: Any, meta: Mapping[str, Any]) -> None:
        path = (KEYWORD, *error.absolute_path)
        members = meta["properties"]
        if error.validator == "additionalProperties" and not error.absolute_path:
            for member in keyword.keys() - members.keys():
                near = difflib.get_close_matches(member, members, n=1)
                advice = f"Did you mean {near[0]}?" if near else f"It takes {', '.join(members)}."
                self._say(name, (*path, member), "there is no such member", advice)
            return
        described = members.get(next(iter(error.absolute_path), ""), {}).get("description")
        self._say(name, path, _shortened(error.message), described or str(meta["description"]))

    # ---- the files among each other ----

    def _check_identifiers(self, catalogue: Catalogue) -> None:
        owners: dict[str, str] = {}
        for name, schema in catalogue.schemas.items():
            identifier = schema.get("$id")
            if isinstance(identifier, str) and owners.setdefault(identifier, name) != name:
                what = f"{owners[identifier]}{SUFFIX} has the same $id"
                self._say(name, ("$id",), what, "Give each file an $id of its own, or none.")

    def _leads_somewhere(self, catalogue: Catalogue, name: str) -> bool:
        """Whether every reference of a schema does."""
        dead = set(unresolvable(catalogue, name, definitions=True))
        for path, schema in _subschemas(catalogue.schemas[name]):
            for keyword in ("$ref", "$dynamicRef"):
                if schema.get(keyword) in dead:
                    what = f'"{schema[keyword]}" leads to no schema in the folder'
                    advice = (
                        "Put the schema beside this one and name its file or its $id: nothing is "
                        "ever fetched from the network."
                    )
                    self._say(name, (*path, keyword), what, advice)
        return not dead

    def _check_prefixes(self, catalogue: Catalogue) -> None:
        for one, other in combinations(catalogue.datasets.values(), 2):
            if not _share_suffixes(one, other):
                continue
            place = (KEYWORD, "prefix")
            if one.prefix == other.prefix:
                what = f'{one.name}{SUFFIX} has the same prefix "{one.prefix}"'
                advice = "Give the two different prefixes, or suffixes that no key can both have."
                self._say(other.name, place, what, advice)
            elif one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix):
                inner, outer = sorted((one, other), key=lambda each: -len(each.prefix))
                what = f'the prefix "{inner.prefix}" lies in that of {outer.name}{SUFFIX}'
                advice = f'The longest wins. If that is not meant, change "{outer.prefix}".'
                self._warn(inner.name, place, what, advice)

    def _check_use(self, catalogue: Catalogue) -> None:
        used = {each for name in catalogue.datasets for each in catalogue.references(name)}
        for name in catalogue.schemas.keys() - used:
            if KEYWORD not in self.schemas[name]:
                what = f"no dataset refers to this schema, and it has no {KEYWORD}"
                self._warn(name, "", what, f"Remove it, refer to it, or give it {KEYWORD}.")

    # ---- expressions and keys ----

    def _check_calls(self, catalogue: Catalogue, dataset: Dataset) -> None:
        """`records` sees a document, of which the schema says nothing."""
        records, document = ExpressionTypes(catalogue, dataset.name), ExpressionTypes.unknown()
        for path, text in _expressions(dataset.schema[KEYWORD]):
            types = document if path == ("records",) else records
            for call in bad_calls(Expression(text).syntax, types):
                self._say(dataset.name, (KEYWORD, *path), call.what, call.advice)
                self.no_items.add(dataset.name)

    def _check_keys(self, catalogue: Catalogue, dataset: Dataset) -> None:
        before = len(self.found)
        types = ExpressionTypes(catalogue, dataset.name)
        for member in dataset.key.keys() - set(self.table_key.names):
            what = f'the table has no key attribute "{member}"; its key is {self.table_key}'
            self._say(dataset.name, (KEYWORD, "key", member), what, "Remove or rename it.")
        said = {each.pointer for each in self.found if each.file == f"{dataset.name}{SUFFIX}"}
        for name, kind in self.table_key.attributes:
            if pointer((KEYWORD, "key", name)) not in said:
                self._check_key(dataset, types, name, kind)
        if any(each.severity == ERROR for each in self.found[before:]):
            self.no_items.add(dataset.name)
        self._check_expiry(dataset, types)
        for reserved in RESERVED:
            if reserved in dataset.schema.get("properties", ()):
                what = f'a record with the field "{reserved}" is refused'
                advice = "Rename the field: Tablekeeper itself uses the name."
                self._say(dataset.name, ("properties", reserved), what, advice)

    def _check_expiry(self, dataset: Dataset, types: ExpressionTypes) -> None:
        """An item with a number in the TTL attribute, and no `ttl`, is refused."""
        name = self.ttl_attribute
        if dataset.ttl or name in dataset.key:
            return
        expression = dataset.gives(name)
        named = name in (dataset.attributes or ())
        if expression is None or not (named or name in dataset.schema.get("properties", ())):
            return
        place: Path_ = (KEYWORD, "attributes", name) if named else ("properties", name)
        given = types.of(expression.syntax)
        if NUMBER not in given:
            return
        certain = given <= {NUMBER, NULL}
        what = f'"{name}" is the TTL attribute of the table, and the dataset has no `ttl`'
        advice = (
            f'Add "ttl": "{name}" if it is when DynamoDB may delete the item; else rename it with '
            "`attributes`: a record with a number there is refused."
        )
        self._say(dataset.name, place, what, advice, ERROR if certain else WARNING)

    def _check_key(self, dataset: Dataset, types: ExpressionTypes, name: str, kind: str) -> None:
        place: Path_ = (KEYWORD, "key", name)
        given_by = dataset.gives(name)
        if name in dataset.key:
            expression = dataset.key[name]
        elif given_by:
            named = name in (dataset.attributes or ())
            place = (KEYWORD, "attributes", name) if named else (KEYWORD,)
            expression = given_by
        elif dataset.all_fields and name not in dataset.left_out:
            return
        else:
            what = f'nothing gives the key attribute "{name}"'
            advice = "Name it in `key`, since `attributes` leaves all other fields out."
            self._say(dataset.name, (KEYWORD,), what, advice)
            return
        wanted, given = KEY_TYPES[kind], types.of(expression.syntax)
        it = f'the key attribute "{name}", by `{expression.text}`,'
        if wanted not in given:
            gives = " or ".join(sorted(given - {NULL} or given)).replace(NULL, "nothing")
            what = f"{it} is never a {wanted}: it is {gives}"
            advice = f"Give a {wanted}" + (
                f": to_string({expression.text})" if wanted == STRING and given != {NULL} else "."
            )
            self._say(dataset.name, place, what, advice)
        elif given == ANY:
            what = f"{it} may be anything: the schema does not say that it is a {wanted}"
            self._warn(dataset.name, place, what, f"Require it, with `type` {wanted}.")
        elif given != {wanted}:
            others = " or ".join(sorted(given - {wanted})).replace(NULL, "missing")
            what = f"{it} may be {others}"
            advice = f"Make the schema require a {wanted}: else the whole file is refused."
            self._warn(dataset.name, place, what, advice)

    # ---- examples ----

    def _check_examples(self, catalogue: Catalogue, name: str) -> None:
        schema = self.schemas[name]
        examples = schema.get("examples", [])
        if not examples and KEYWORD in schema:
            advice = "Add one: it is checked here, and shows what a record is."
            self._warn(name, "", "there are no examples", advice)
        if KEYWORD in schema and name not in catalogue.datasets:
            return
        probe = Catalogue({**catalogue.schemas, name: {KEYWORD: {"prefix": ""}, **schema}})
        dataset = probe.datasets[name]
        for place, example in enumerate(examples):
            path = ("examples", place)
            if KEYWORD in schema and not isinstance(example, dict):
                self._say(name, path, "a record is an object", "Make it one.")
                continue
            if KEYWORD in schema and not example.keys().isdisjoint(RESERVED):
                what = f"a record with a field {', '.join(RESERVED)} is refused"
                self._say(name, path, what, "Rename the field: Tablekeeper itself uses the name.")
                continue
            record = Record(0, example)
            before = len(self.found)
            self._try(name, path, partial(self._validate, record, path, dataset, probe))
            is_valid = len(self.found) == before
            if is_valid and KEYWORD in schema and name not in self.no_items:
                self._try(name, path, partial(self._transform, record, path, dataset, probe))

    def _try(self, name: str, path: Path_, step: Callable[[], None]) -> None:
        try:
            step()
        except TablekeeperError as error:
            kind = type(error).__name__
            what = _shortened(str(error)).removeprefix("record 0").lstrip(",: ")
            self._say(name, path, f"the example makes no item: {kind}: {what}", error.advice)

    def _validate(
        self, record: Record, path: Path_, dataset: Dataset, catalogue: Catalogue
    ) -> None:
        for each in violations([record], dataset, catalogue):
            what = (
                f"the example violates `{each.keyword}`: expected {each.expected}, "
                f"found {each.found}"
            )
            where = pointer(path) + each.pointer
            self._say(dataset.name, where, what, "Mend the example, or the schema.")

    def _transform(
        self, record: Record, path: Path_, dataset: Dataset, catalogue: Catalogue
    ) -> None:
        key = _example_key(dataset)
        found = Snapshot(
            action="validate",
            bucket="example-bucket",
            key=key,
            revision=0,
            as_of=now(),
            dataset=dataset.name,
            digest=catalogue.digest(dataset, str(self.table_key), self.ttl_attribute),
            etag="0123456789abcdef0123456789abcdef",
            version_id="example-version",
            size=1,
            last_modified=now(),
        )
        for made in make_items([record], found, dataset, self.table_key, self.ttl_attribute):
            if not is_readable(made.text):
                self._warn(dataset.name, path, f"the example has {WHAT}", ADVICE)


def _meta_schema() -> dict[str, Any]:
    """The keyword's schema: in the checkout or, where the command is installed, in its package."""
    places = (SCHEMAS / META, Path(tablekeeper.__file__).with_name(META))
    found = next(place for place in places if place.is_file())
    meta: dict[str, Any] = json.loads(found.read_text("utf-8"))
    return meta


def _without_keyword(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != KEYWORD}


def _expressions(keyword: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    """Each expression of a keyword and where it stands."""
    for member in ("records", "ttl"):
        if isinstance(keyword.get(member), str):
            yield (member,), keyword[member]
    for member in ("key", "attributes"):
        if isinstance(keyword.get(member), dict):
            for name, text in keyword[member].items():
                if isinstance(text, str):
                    yield (member, name), text


def _share_suffixes(one: Dataset, other: Dataset) -> bool:
    """Whether some key can have a suffix of both; `.gz` may stand behind each."""
    if not one.suffixes or not other.suffixes:
        return True
    ends = [[s + gz for s in each.suffixes for gz in ("", ".gz")] for each in (one, other)]
    return any(a.endswith(b) or b.endswith(a) for a in ends[0] for b in ends[1])


def _example_key(dataset: Dataset) -> str:
    """A key that an object of the dataset may have."""
    suffix = dataset.suffixes[0] if dataset.suffixes else ".json"
    key = f"{dataset.prefix}example{suffix}"
    return f"{dataset.prefix}{suffix}" if is_ignored(key, "") else key


def _shortened(text: str) -> str:
    return text if len(text) <= 300 else text[:300] + "…"
