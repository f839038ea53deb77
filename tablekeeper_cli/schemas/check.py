"""Everything that is wrong with the files of a folder like schemas/, found without a stack."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import tablekeeper
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from tablekeeper.datasets.catalogue import SCHEMAS, Catalogue, is_no_schema, read_schema
from tablekeeper.datasets.dataset import KEYWORD, SUFFIX, Dataset
from tablekeeper.datasets.expressions import Expression
from tablekeeper.documents.compression import ENDINGS
from tablekeeper.documents.json_stream import parse
from tablekeeper.errors import DatasetDefinitionError, DuplicateJsonKeyError, InvalidFileError
from tablekeeper.model.keys import TableKey
from tablekeeper.validation.formats import FORMATS

from tablekeeper_cli.schemas.backtracking import backtracks_exponentially
from tablekeeper_cli.schemas.dataset_check import DatasetCheck, expressions_of
from tablekeeper_cli.schemas.example_check import ExampleCheck
from tablekeeper_cli.schemas.finding import ERROR, WARNING, Finding, Findings, shortened
from tablekeeper_cli.schemas.reference_check import check_identifiers, leads_somewhere
from tablekeeper_cli.schemas.subschemas import Path_, subschemas
from tablekeeper_cli.schemas.usual_mistakes import globs, mistakes

META = "x-tablekeeper.meta.json"

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


def check(folder: Path, table_key: TableKey, ttl_attribute: str = "expires_at") -> list[Finding]:
    """Everything that is wrong with the files of a folder, by file and place."""
    return sorted(set(_Check(folder, table_key, ttl_attribute).run()))


class _Check:
    def __init__(self, folder: Path, table_key: TableKey, ttl_attribute: str) -> None:
        self.folder, self.table_key, self.ttl_attribute = folder, table_key, ttl_attribute
        self.schemas: dict[str, dict[str, Any]] = {}
        self.findings = Findings()
        self.no_patterns: set[str] = set()
        self.no_items: set[str] = set()

    def run(self) -> list[Finding]:
        for path in sorted(self.folder.iterdir()):
            self._read(path)
        self._check_folder()
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
        check_identifiers(self.findings, catalogue)
        leads = {
            name: leads_somewhere(self.findings, catalogue, name) for name in catalogue.schemas
        }
        self._check_prefixes(catalogue)
        self._check_use(catalogue)
        no_records: set[str] = set()
        for dataset in catalogue.datasets.values():
            for mistake in globs(dataset):
                self.findings.warn(dataset.name, *mistake)
            checked = DatasetCheck(
                self.findings, catalogue, dataset, self.table_key, self.ttl_attribute
            )
            if not checked.allows_objects():
                no_records.add(dataset.name)
            elif not checked.may_make_items():
                self.no_items.add(dataset.name)
        examples = ExampleCheck(
            self.findings, self.schemas, self.table_key, self.ttl_attribute, self.no_items
        )
        for name in catalogue.schemas:
            if leads[name] and name not in self.no_patterns | no_records:
                examples.check(catalogue, name)
        return self.findings

    def _read(self, path: Path) -> None:
        if path.name == META or is_no_schema(path):
            return
        if not path.name.endswith(SUFFIX):
            if path.suffix.lower() == ".json" or ".schema." in path.name:
                advice = f"Name it <dataset>{SUFFIX}, or move it out of the folder."
                what = f"nothing reads this file: its name does not end in {SUFFIX}"
                self.findings.append(Finding(path.name, "", WARNING, what, advice))
            return
        name = path.name.removesuffix(SUFFIX)
        try:
            self.schemas[name] = read_schema(path)
            parse(path.read_text("utf-8-sig"))
        except DatasetDefinitionError as error:
            what = str(error).removeprefix(f"{path.name} ")
            self.findings.add(name, "", what, "Mend it there: a schema file is one JSON object.")
        except DuplicateJsonKeyError as error:
            self.findings.add(name, "", str(error), "Remove one: only the last one counts.")
        except InvalidFileError:
            pass  # Limits of records, which are none of schemas.

    def _check_folder(self) -> None:
        for path in sorted(self.folder.iterdir()):
            if path.is_dir() and not path.name.startswith(".") and any(path.glob(f"*{SUFFIX}")):
                what = f"nothing reads the *{SUFFIX} files of this folder"
                advice = "Move them up, or name this folder in the place of the one around it."
                self.findings.append(Finding(f"{path.name}/", "", WARNING, what, advice))
        is_broken = any(each.severity == ERROR for each in self.findings)
        if not is_broken and not any(KEYWORD in each for each in self.schemas.values()):
            what = "no file of this folder is a dataset"
            advice = f"Name the folder of the <dataset>{SUFFIX} files that have {KEYWORD}."
            self.findings.append(Finding(str(self.folder), "", WARNING, what, advice))

    def _is_good_schema(self, name: str, schema: dict[str, Any]) -> bool:
        draft = schema.get("$schema")
        validator: Any = Draft202012Validator
        if isinstance(draft, str):
            validator = validator_for({"$schema": draft}, default=None)  # type: ignore[arg-type]
        if validator is None:
            validator = Draft202012Validator
            advice = f"Name {_DRAFTS}."
            self.findings.warn(
                name, ("$schema",), "this is no known draft; it is read as 2020-12", advice
            )
        before = len(self.findings)
        plain = json.loads(json.dumps(schema, default=float))
        for error in validator(validator.META_SCHEMA).iter_errors(plain):
            what = f"is no JSON Schema: {shortened(error.message)}"
            self.findings.add(name, tuple(error.absolute_path), what, "Mend the keyword.")
        bad = len(self.findings) > before
        if not bad:
            for path, each in subschemas(schema):
                self._check_subschema(name, path, each)
            for mistake in mistakes(schema):
                self.findings.warn(name, *mistake)
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
                        self.findings.warn(name, place, _ENDLESS, _ONE_WAY)
                except (re.error, OverflowError, RecursionError) as error:
                    self.no_patterns.add(name)
                    what = f"is no pattern that Python reads: {error}"
                    self.findings.add(name, place, what, "Mend the regular expression.")
        known = schema.get("format")
        if known is not None and known not in FORMATS:
            advice = f"Use one of {', '.join(FORMATS)}, or a `pattern`."
            self.findings.warn(
                name, (*path, "format"), f'the format "{known}" is not checked', advice
            )

    def _is_good_keyword(self, name: str) -> bool:
        before = len(self.findings)
        keyword = self.schemas[name][KEYWORD]
        meta = _meta_schema()
        for error in Draft202012Validator(meta).iter_errors(keyword):
            self._say_keyword(name, error, meta)
        if isinstance(keyword, dict):
            for path, text in expressions_of(keyword):
                try:
                    Expression(text)
                except DatasetDefinitionError as error:
                    advice = "Mend the expression: https://jmespath.org/specification.html"
                    self.findings.add(name, (KEYWORD, *path), shortened(str(error)), advice)
        if len(self.findings) == before:
            try:
                Dataset.read(name, self.schemas[name])
            except DatasetDefinitionError as error:
                what = str(error).removeprefix(f"{name}{SUFFIX}: ")
                self.findings.add(name, (KEYWORD,), what, "Mend the keyword.")
        return len(self.findings) == before

    def _say_keyword(self, name: str, error: Any, meta: Mapping[str, Any]) -> None:
        path = (KEYWORD, *error.absolute_path)
        if error.validator == "additionalProperties":
            members = error.schema["properties"]
            for member in error.instance.keys() - members.keys():
                near = difflib.get_close_matches(member, members, n=1)
                advice = f"Did you mean {near[0]}?" if near else f"It takes {', '.join(members)}."
                self.findings.add(name, (*path, member), "there is no such member", advice)
            return
        member = next(iter(error.absolute_path), "")
        described = meta["properties"].get(member, {}).get("description") or meta["description"]
        what = shortened(error.message)
        if error.validator == "not" and not error.validator_value:
            what = "has no place here"
        self.findings.add(name, path, what, str(error.schema.get("description") or described))

    def _check_prefixes(self, catalogue: Catalogue) -> None:
        for one, other in combinations(catalogue.datasets.values(), 2):
            if not _share_suffixes(one, other):
                continue
            place = (KEYWORD, "prefix")
            if one.prefix == other.prefix:
                what = f'{one.name}{SUFFIX} has the same prefix "{one.prefix}"'
                advice = "Give the two different prefixes, or suffixes that no key can both have."
                self.findings.add(other.name, place, what, advice)
            elif one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix):
                inner, outer = sorted((one, other), key=lambda each: -len(each.prefix))
                what = f'the prefix "{inner.prefix}" lies in that of {outer.name}{SUFFIX}'
                advice = f'The longest wins. If that is not meant, change "{outer.prefix}".'
                self.findings.warn(inner.name, place, what, advice)

    def _check_use(self, catalogue: Catalogue) -> None:
        used = {each for name in catalogue.datasets for each in catalogue.references(name)}
        for name in catalogue.schemas.keys() - used:
            if KEYWORD not in self.schemas[name]:
                what = f"no dataset refers to this schema, and it has no {KEYWORD}"
                self.findings.warn(name, "", what, f"Remove it, refer to it, or give it {KEYWORD}.")


def _meta_schema() -> dict[str, Any]:
    """The keyword's schema: in the checkout or, where the command is installed, in its package."""
    places = (SCHEMAS / META, Path(tablekeeper.__file__).with_name(META))
    path = next(place for place in places if place.is_file())
    meta: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return meta


def _without_keyword(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != KEYWORD}


def _share_suffixes(one: Dataset, other: Dataset) -> bool:
    """Whether some key can have a suffix of both; that of a compression may stand behind each."""
    if not one.suffixes or not other.suffixes:
        return True
    ends = [[s + gz for s in each.suffixes for gz in ("", *ENDINGS)] for each in (one, other)]
    return any(a.endswith(b) or b.endswith(a) for a in ends[0] for b in ends[1])
