"""Names of files that are no data: which the stack leaves out by itself, and which are told."""

from __future__ import annotations

import pytest
from tablekeeper.datasets.catalogue import is_ignored
from tablekeeper.datasets.no_data import no_data_hint

from tests.support.project import template


@pytest.mark.parametrize(
    ("key", "ignored"),
    [
        pytest.param("any/table_$folder$", True, id="a folder marker of Hadoop"),
        pytest.param("any/_SUCCESS", True, id="a mark of Spark"),
        pytest.param("any/.part-0.json.crc", True, id="a checksum of Spark"),
        pytest.param("any/table_$folder$.json", False, id="a file with that in its name"),
        pytest.param("any/manifest-files.json", False, id="a manifest"),
    ],
)
def test_what_the_stack_ignores_by_default(key: str, ignored: bool) -> None:
    patterns = template()["Parameters"]["IgnorePatterns"]["Default"]
    assert is_ignored(key, patterns) is ignored


@pytest.mark.parametrize(
    "key",
    [
        *(
            "d/manifest-files.json",
            "d/unload/part_manifest",
            "d/x.md5",
            "table_$folder$",
            "x.sha512",
        ),
        *("d/1-2.csv.metadata", "d/v1.metadata.json", "d/Thumbs.db", "d/desktop.ini"),
    ],
)
def test_the_pattern_that_a_hint_names_ignores_the_file(key: str) -> None:
    pattern = no_data_hint(key).partition("add `")[2].partition("`")[0]
    assert is_ignored(key, pattern)


def test_data_gets_no_hint() -> None:
    assert no_data_hint("d/2026/part-00000.json.gz") == ""
