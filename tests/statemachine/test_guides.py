"""The README is short, and each guide is found, is for somebody, and refers to what there is."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.project import ROOT, template

GUIDES = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md")
PAGES = sorted(
    str(path.relative_to(ROOT))
    for folder in (ROOT, ROOT / "docs", ROOT / "samples")
    for path in folder.glob("*.md")
)
README_LINES = 170
PATH = re.compile(
    r"(?<![\w/.-])(?:functions|local|statemachine|tablekeeper_cli|tests|tools)/(?:[\w.-]*\w/?)*"
)


def _prose(page: Path) -> str:
    """A page's text without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _links(page: Path) -> list[str]:
    """The relative targets of a page's links and pictures."""
    text = _prose(page)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    return [each for each in targets if not each.startswith(("http://", "https://"))]


def broken(page: Path) -> list[str]:
    """The links of a page whose file or heading does not exist."""
    found = []
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / unquote(path) if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            found.append(link)
    return found


def test_the_readme_takes_ten_minutes() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    assert broken(ROOT / page) == []


def test_a_link_without_its_file_or_heading_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# One heading\n")
    page = tmp_path / "page.md"
    page.write_text("[a](there.md#one-heading) [b](there.md#two) [c](gone.md) <img src='x'>")
    assert broken(page) == ["there.md#two", "gone.md"]


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_path_of_code_that_a_page_names_exists(page: str) -> None:
    """The changelog may name paths of earlier versions."""
    named = PATH.findall((ROOT / page).read_text("utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_says_in_its_first_paragraph_for_whom_it_is(guide: str) -> None:
    first = (ROOT / "docs" / guide).read_text("utf-8").split("\n\n")[1]
    assert first.startswith("For ")


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_is_found_from_the_readme_and_from_the_list_of_guides(guide: str) -> None:
    assert f"docs/{guide}" in _links(ROOT / "README.md")
    assert guide in _links(ROOT / "docs" / "README.md")


def test_the_guide_to_deployment_has_every_parameter_and_output() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    rows = "\n".join(re.findall(r"^\|[^|]+\|", text, re.MULTILINE))
    assert set(template()["Parameters"]) <= set(re.findall(r"`(\w+)`", rows))
    assert set(template()["Outputs"]) <= set(re.findall(r"`(\w+)`", text))
