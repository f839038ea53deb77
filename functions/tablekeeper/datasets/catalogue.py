"""Datasets: the files in schemas/, and the dataset of an object's key."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tablekeeper.datasets.dataset import KEYWORD, SUFFIX, Dataset
from tablekeeper.datasets.functions import compact_json
from tablekeeper.datasets.references import has_plain_id, identifier, referenced_uris
from tablekeeper.documents.numbers import OutOfRangeError, parse_number
from tablekeeper.documents.pointers import pointer, shown, walk
from tablekeeper.errors import DatasetDefinitionError, NoDatasetError

SCHEMAS = Path(__file__).parents[2] / "schemas"
TRANSFORM_VERSION = 3
"""Part of every digest. Raise it when the same record would become another item than before."""

MAX_DEPTH = 100
"""How deep a schema file may be nested: it is read by recursion, here and in jsonschema."""

MAX_URIS = 20
"""By how many URIs a schema is reached: relative references in a circle can make ever longer ones.
"""

_STRING = rb'"(?:[^"\\]|\\.)*"'
_PREFIX = re.compile(
    rb'"x-tablekeeper"\s*:\s*\{(?:[^{}"]|' + _STRING + rb"|\{(?:[^{}\"]|" + _STRING + rb")*\})*?"
    rb'"prefix"\s*:\s*(' + _STRING + rb")\s*[,}]"
)
"""The prefix of a dataset in the text of its file; other members, objects too, may stand before
it.
"""

_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
_URIS = ("$id", "id", "$ref", "$dynamicRef", "$schema")


class Catalogue:
    """The datasets of a folder, and the plain schemas beside them that they may refer to."""

    def __init__(
        self,
        schemas: Mapping[str, Mapping[str, Any]],
        unusable: Mapping[str, DatasetDefinitionError] | None = None,
    ) -> None:
        """Takes file names without `.schema.json`, and their content; and by their prefixes the
        errors of datasets that cannot be used.

        Raises DatasetDefinitionError.
        """
        self.schemas = dict(schemas)
        self.unusable = dict(unusable or {})
        self._digests: dict[tuple[str, str, str], str] = {}
        self.datasets = {
            name: Dataset.read(name, schema)
            for name, schema in self.schemas.items()
            if KEYWORD in schema
        }

    @classmethod
    def load(cls, folder: Path = SCHEMAS) -> Catalogue:
        """Raises DatasetDefinitionError for a file that is not a JSON object, or no dataset."""
        return cls({name: read_schema(path) for name, path in _files(folder)})

    @classmethod
    def load_usable(cls, folder: Path = SCHEMAS) -> Catalogue:
        """The catalogue without the files that cannot be used; `find` raises for their prefixes.

        Raises DatasetDefinitionError for a dataset whose prefix cannot be read either: any key may
        be its own.
        """
        schemas: dict[str, Mapping[str, Any]] = {}
        unusable: dict[str, DatasetDefinitionError] = {}
        for name, path in _files(folder):
            try:
                schema = read_schema(path)
                if KEYWORD in schema:
                    Dataset.read(name, schema)
                schemas[name] = schema
            except DatasetDefinitionError as error:
                prefix = _prefix_in(path.read_bytes())
                if prefix is None:
                    raise
                unusable[prefix] = error
        return cls(schemas, unusable)

    def find(self, key: str) -> Dataset | None:
        """The dataset with the longest prefix that an object's key matches.

        Raises DatasetDefinitionError when a dataset that cannot be used has a prefix of the key,
        and no other has a longer one.
        """
        matching = [dataset for dataset in self.datasets.values() if dataset.matches(key)]
        nearest = max(matching, key=lambda dataset: len(dataset.prefix), default=None)
        for prefix, error in self.unusable.items():
            if key.startswith(prefix) and (nearest is None or len(nearest.prefix) <= len(prefix)):
                raise DatasetDefinitionError(str(error))
        return nearest

    def get(self, key: str) -> Dataset:
        """Like `find`, but raises NoDatasetError where there is none."""
        dataset = self.find(key)
        if dataset is None:
            raise NoDatasetError(f'no dataset matches the key "{key}"; {self._why_none(key)}')
        return dataset

    def _why_none(self, key: str) -> str:
        near = [each for each in self.datasets.values() if key.startswith(each.prefix)]
        if near:
            nearest = max(near, key=lambda dataset: len(dataset.prefix))
            capitals = " (capitals count)" if nearest.matches(_lower_end(key)) else ""
            return (
                f'the prefix "{nearest.prefix}" of {nearest.name}{SUFFIX} matches, and its '
                f"suffixes are {', '.join(nearest.suffixes)}{capitals}"
            )
        prefixes = sorted(dataset.prefix for dataset in self.datasets.values())
        return f"the prefixes are {', '.join(prefixes)}" if prefixes else "there are no datasets"

    def resolve(self, uri: str) -> str | None:
        """The name of the schema that a URI without fragment means: by `$id`, else by its last path
        segment.
        """
        for name, schema in self.schemas.items():
            if identifier(schema) == uri:
                return name
        name = uri.rpartition("/")[2].removesuffix(SUFFIX)
        return name if name in self.schemas and uri.endswith(SUFFIX) else None

    def digest(self, dataset: Dataset, item_keys: str, ttl_attribute: str) -> str:
        """What an item depends on besides its object: schemas, table keys, code. SHA-256 in 32
        hexadecimal digits.
        """
        made_of = (dataset.name, item_keys, ttl_attribute)
        if made_of not in self._digests:
            self._digests[made_of] = self._digest(*made_of)
        return self._digests[made_of]

    def _digest(self, name: str, item_keys: str, ttl_attribute: str) -> str:
        names = self.references(name)
        parts = [str(TRANSFORM_VERSION), item_keys, ttl_attribute, name]
        parts += [f"{each} {compact_json(self.schemas[each])}" for each in sorted(names)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def references(self, name: str) -> set[str]:
        """The schema and every one it refers to, directly or through another."""
        return {each for each, _ in self.reached(name)}

    def reached(self, name: str) -> list[tuple[str, str]]:
        """The same, each with every URI by which it is reached, to which references in it are
        relative.
        """
        root = self.schemas[name]
        found = [(name, identifier(root))]
        count = Counter([name])
        for each, base in found:
            schema = self.schemas[each]
            plain_id = has_plain_id(schema if "$schema" in schema else root)
            for uri in referenced_uris(schema, base, plain_id=plain_id):
                target = self.resolve(uri) if uri else None
                if target and (target, uri) not in found and count[target] < MAX_URIS:
                    count[target] += 1
                    found.append((target, uri))
        return found


def _files(folder: Path) -> Iterable[tuple[str, Path]]:
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if not is_no_schema(path):
            yield path.name.removesuffix(SUFFIX), path


def is_no_schema(path: Path) -> bool:
    """Whether a path is passed over whatever its ending: a folder, or what begins with a dot, as
    the files of an editor or of macOS do.
    """
    return path.name.startswith(".") or path.is_dir()


def _prefix_in(text: bytes) -> str | None:
    """The prefix that the text of a schema file names, whatever else is wrong with it; None where
    it names none, or more than one.
    """
    prefixes = set(_PREFIX.findall(text))
    if len(prefixes) != 1:
        return None
    try:
        prefix: str = json.loads(prefixes.pop())
    except ValueError:
        return None
    return prefix


def read_schema(path: Path) -> dict[str, Any]:
    """A file's JSON object with exact numbers. Raises DatasetDefinitionError when it holds none, or
    one that nothing could be done with.
    """
    try:
        schema = json.loads(
            path.read_text("utf-8-sig"),
            parse_float=parse_number,
            parse_int=parse_number,
            parse_constant=_no_number,
        )
        json.dumps(schema, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise DatasetDefinitionError(f"{path.name} holds half of a surrogate pair") from None
    except OutOfRangeError as error:
        raise DatasetDefinitionError(
            f"{path.name} holds a number that DynamoDB cannot hold, nor any record: {error}"
        ) from None
    except ValueError as error:
        raise DatasetDefinitionError(f"{path.name} is not JSON: {error}") from None
    except RecursionError:
        raise DatasetDefinitionError(f"{path.name} {_TOO_DEEP}") from None
    if not isinstance(schema, dict):
        raise DatasetDefinitionError(f"{path.name} holds no JSON object")
    for keyword in ("$schema", "$id"):
        if not isinstance(schema.get(keyword, ""), str):
            raise DatasetDefinitionError(f'{path.name}: "/{keyword}" is no string')
    for where, value in walk(schema):
        if len(where) > MAX_DEPTH:
            raise DatasetDefinitionError(f"{path.name} {_TOO_DEEP}")
        if isinstance(value, str) and where[-1] in _URIS:
            try:
                urlsplit(value)
            except ValueError as error:
                raise DatasetDefinitionError(
                    f'{path.name}: "{shown(pointer(where))}" is no URI: {error}'
                ) from None
    return schema


def _no_number(literal: str) -> Any:
    raise ValueError(f"{literal} is no JSON number")


def _lower_end(key: str) -> str:
    folder, slash, name = key.rpartition("/")
    return folder + slash + name.lower()


def is_ignored(key: str, patterns: str) -> bool:
    """Whether a key is a folder marker (it ends in `/`), or its last segment matches one of the
    globs.
    """
    name = key.rpartition("/")[2]
    return not name or any(
        fnmatch.fnmatchcase(name, pattern.strip())
        for pattern in patterns.split(",")
        if pattern.strip()
    )
