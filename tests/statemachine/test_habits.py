"""CI, the hooks before a commit, the updates of dependencies, and the version."""

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.support.project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PATHS = [
    str(path.relative_to(ROOT))
    for path in (*ROOT.glob("*"), *ROOT.glob("[a-z]*/**/*"))
    if path.is_file()
]


def _yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text("utf-8"))


HOOKS = {
    hook["id"]: hook for repo in _yaml(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]
}


def test_ci_runs_what_a_submission_has_to_pass_on_every_supported_python() -> None:
    job = _yaml(".github/workflows/ci.yml")["jobs"]["test"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    pythons = job["strategy"]["matrix"]["python"]
    assert PROJECT["requires-python"] == f">={pythons[0]}"
    assert pythons == [f"3.{minor}" for minor in range(11, 11 + len(pythons))]


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_runs_a_check_of_the_makefile_on_files_that_there_are(name: str) -> None:
    words = HOOKS[name]["entry"].split()
    script = [word for word in words if word.startswith("tools")]
    assert any(word.removeprefix(".local/venvs/dev/bin/") in MAKEFILE for word in script or words)
    assert HOOKS[name]["language"] == "system"
    if "files" in HOOKS[name]:
        alternatives = HOOKS[name]["files"].removeprefix("^").strip("()").split("|")
        for each in alternatives:
            assert any(re.match(each, path) for path in PATHS), each


def test_dependencies_are_updated_where_they_are_pinned() -> None:
    updates = _yaml(".github/dependabot.yml")["updates"]
    folders = {each for one in updates for each in one.get("directories", [one.get("directory")])}
    pinned = {f"/{path.rpartition('/')[0]}" for path in PATHS if path.endswith("requirements.txt")}
    assert pinned | {"/requirements", "/"} == folders


def test_the_changelog_has_the_version_as_its_newest_release() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(PROJECT['version'])} - \d{{4}}-\d\d-\d\d", headings[1])
