"""What authors of schemas write and what means nothing, or something else, in JSON Schema."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tablekeeper.datasets.dataset import KEYWORD, Dataset

from tablekeeper_cli.schemas.subschemas import Path_, subschemas

KEYWORDS = frozenset(
    """
    $anchor $comment $defs $dynamicAnchor $dynamicRef $id $recursiveAnchor $recursiveRef $ref
    $schema $vocabulary additionalItems additionalProperties allOf anyOf const contains
    contentEncoding contentMediaType contentSchema default definitions dependencies
    dependentRequired dependentSchemas deprecated description disallow divisibleBy else enum
    examples exclusiveMaximum exclusiveMinimum extends format id if items maxContains maxItems
    maxLength maxProperties maximum minContains minItems minLength minProperties minimum multipleOf
    not oneOf pattern patternProperties prefixItems properties propertyNames readOnly required then
    title type unevaluatedItems unevaluatedProperties uniqueItems writeOnly
    """.split()  # noqa: SIM905 - a list of eighty words in quotes is harder to read
)
"""The keywords of all drafts, 3 to 2020-12."""

_LIKENESS = 0.8
_GLOB = re.compile(r"[*?]|\[[^]]*\]|\{[^}]*,[^}]*\}")


class Mistake(NamedTuple):
    """A keyword, or a member of the dataset's keyword, that does not do what it seems to."""

    path: Path_
    what: str
    advice: str


def mistakes(schema: Mapping[str, Any]) -> Iterator[Mistake]:
    for path, each in subschemas(schema):
        for word in each.keys() - KEYWORDS - {KEYWORD}:
            yield from _unknown_keyword((*path, word), word)


def _unknown_keyword(path: Path_, word: str) -> Iterator[Mistake]:
    if word == "nullable":
        what = "`nullable` is OpenAPI's, and means nothing in JSON Schema"
        yield Mistake(path, what, 'Allow null with the type: "type": ["string", "null"].')
        return
    near = next((each for each in KEYWORDS if each.lower() == word.lower()), None)
    near = near or next(iter(difflib.get_close_matches(word, KEYWORDS, 1, _LIKENESS)), None)
    if near and not word.startswith("x-"):
        what = f"there is no keyword `{word}`: it checks nothing"
        yield Mistake(path, what, f"Did you mean `{near}`?")


def globs(dataset: Dataset) -> Iterator[Mistake]:
    """Prefixes and suffixes that look like patterns."""
    named: list[tuple[Path_, str]] = [((KEYWORD, "prefix"), dataset.prefix)]
    named += [
        ((KEYWORD, "suffixes", place), suffix) for place, suffix in enumerate(dataset.suffixes)
    ]
    for path, text in named:
        if _GLOB.search(text):
            what = f'"{text}" is text and no glob: a key has to have these very characters'
            bare = text.strip("*") if not _GLOB.search(text.strip("*")) else ""
            yield Mistake(path, what, f"Write {_example(path, bare)}")


def _example(path: Path_, bare: str) -> str:
    if bare:
        return f'"{bare}".'
    return 'the beginning of the keys, such as "logs/".' if path[-1] == "prefix" else '".json".'
