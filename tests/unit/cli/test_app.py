"""The command as a whole: what the documents say of it, how it starts, how it ends."""

from __future__ import annotations

import errno
import json
import re
import resource
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from botocore import exceptions

from tablekeeper_cli.app import app, main
from tablekeeper_cli.errors import INTERRUPTED, UNREACHABLE, USAGE, CommandError, UsageError
from tablekeeper_cli.ledger.history import hint
from tablekeeper_cli.stack import LOCAL_VARIABLE, STACK_VARIABLE, Stack
from tablekeeper_cli.terminal.context import Context
from tablekeeper_cli.terminal.text import clean, nested

ROOT = Path(__file__).parents[3]
COMMAND = str(Path(sys.executable).with_name("tablekeeper"))
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
)
CALL = re.compile(r"(?:`|^ {4}(?:\$ )?)tablekeeper ([a-z][^`#\n]*)", re.MULTILINE)


def commands() -> dict[str, set[str]]:
    """Every command with its options."""
    found: dict[str, set[str]] = {}

    def add(command: Any, name: str) -> None:
        found[name] = {each for one in command.params for each in one.opts if each[0] == "-"}
        for inner, sub in getattr(command, "commands", {}).items():
            add(sub, f"{name} {inner}".strip())

    add(typer.main.get_command(app), "")
    return found


@pytest.mark.parametrize("path", DOCUMENTS)
def test_documents_name_commands_and_options_that_there_are(path: str) -> None:
    known = commands()
    text = (ROOT / path).read_text()
    for call in CALL.findall(text):
        words = call.split()
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        assert name in known, call
        assert {each.strip("[],.") for each in words if each.startswith("--")} <= known[name], call


def test_the_guide_to_operating_lists_every_command() -> None:
    called = CALL.findall((ROOT / "docs" / "operating.md").read_text())
    named = {
        name for name in commands() if any(f"{call} ".startswith(f"{name} ") for call in called)
    }
    groups = {name.rpartition(" ")[0] for name in commands()}
    assert set(commands()) - named <= groups


def test_every_command_takes_the_stack_and_answers_in_json() -> None:
    for name, options in commands().items():
        if name and name != "schemas":
            assert {"--stack", "--local", "--json"} <= options, name


def test_ctrl_c_ends_a_command_with_the_exit_code_of_the_guide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tablekeeper_cli.schemas.check.check", stop)
    monkeypatch.setattr(sys, "argv", ["tablekeeper", "schemas", "check"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == INTERRUPTED == 130


def test_an_argument_that_is_no_utf_8_is_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tablekeeper", "verify", "--prefix", "a\udcff"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == USAGE
    assert capsys.readouterr().err == "tablekeeper: an argument is no UTF-8: a\\udcff\n"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        *(([name, ""], "KEY") for name in ("status", "history", "failure", "items")),
        (["trace", ""], "KEY|EXECUTION"),
        (["reprocess", "--dry-run", "a", ""], "KEY"),
        (["item", ""], "PK"),
        (["item", "1", ""], "SK"),
    ],
)
def test_an_empty_argument_is_wrong_use(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    what: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["tablekeeper", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == USAGE
    assert capsys.readouterr().err == f"tablekeeper: {what} is empty\n"


@pytest.mark.parametrize("words", [["schemas", "check"], ["plan", "--offline", "README.md"]])
def test_a_file_that_may_not_be_read_is_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    def refused(path: Path, *_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(Path, "read_text", refused)
    monkeypatch.setattr(sys, "argv", ["tablekeeper", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == USAGE
    assert re.fullmatch(
        r"tablekeeper: schemas/\S+\.schema\.json: Permission denied\n", capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ReadTimeoutError(endpoint_url="https://a"),
        exceptions.ConnectTimeoutError(endpoint_url="https://a"),
        exceptions.SSLError(endpoint_url="https://a", error=OSError("no certificate")),
        exceptions.ProxyConnectionError(proxy_url="https://a"),
        exceptions.EndpointConnectionError(endpoint_url="https://a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_service_that_is_not_reached_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("tablekeeper_cli.app.app", refused)
    monkeypatch.setattr(sys, "argv", ["tablekeeper", "failures"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == UNREACHABLE
    assert capsys.readouterr().err == f"tablekeeper: {error}\n"


def on_a_full_disk(*command: str) -> tuple[int, str]:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            command, env={}, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["schemas", "check"], ["schemas", "check", "--json"]]
)
def test_a_full_disk_is_told_in_a_sentence(words: list[str]) -> None:
    said = "tablekeeper: No space left on device\n"
    assert on_a_full_disk(COMMAND, *words) == (UNREACHABLE, said)


@pytest.mark.parametrize(
    ("raised", "end"),
    [
        ("app.UsageError('no')", (USAGE, "tablekeeper: no\n")),
        ("KeyboardInterrupt", (INTERRUPTED, "tablekeeper: interrupted\n")),
        ("SystemExit(1)", (UNREACHABLE, "tablekeeper: No space left on device\n")),
    ],
)
def test_what_cannot_be_written_hides_no_error(raised: str, end: tuple[int, str]) -> None:
    code = f"""
import sys
from tablekeeper_cli import app
def write(**_):
    sys.stdout.write("x")
    raise {raised}
app.app, sys.argv = write, ["tablekeeper"]
app.main()
"""
    assert on_a_full_disk(sys.executable, "-c", code) == end


def test_ctrl_c_while_the_command_starts_ends_it_likewise() -> None:
    code = """
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
import tablekeeper_cli.app
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (INTERRUPTED, "tablekeeper: interrupted\n")


def test_help_costs_little_more_than_the_libraries_that_write_it(tmp_path: Path) -> None:
    environment = {"PYTHONPYCACHEPREFIX": str(tmp_path)}  # compiled once, as an installed command

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def seconds(*command: str) -> float:
        """The least processor time of some runs."""
        times = []
        for _ in range(3):
            before = spent()
            subprocess.run(command, capture_output=True, check=True, env=environment)
            times.append(spent() - before)
        return min(times)

    def ratio() -> float:
        return seconds(COMMAND, "--help") / seconds(sys.executable, "-c", "import typer, rich")

    # What else the machine does may slow one of the two down: the best of some rounds counts.
    assert any(ratio() <= 1.5 for _ in range(8))


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; import tablekeeper_cli.app; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"boto3", "flask", "jsonschema", "tablekeeper.commit.file_commit"} & set(
        ran.stdout.split()
    )


def run(
    *arguments: str, folder: Any = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_stack_has_to_be_named(tmp_path: Path) -> None:
    ran = run("status", folder=tmp_path, PATH="")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--stack NAME" in ran.stderr
    assert "Traceback" not in ran.stderr
    with pytest.raises(UsageError):
        Stack.find("one", local=True)


def test_a_stack_that_does_not_answer_is_told(tmp_path: Path) -> None:
    held = {
        "endpoint_url": "http://127.0.0.1:9",
        "region": "us-east-1",
        "access_key_id": "test",
        "secret_access_key": "test",
        "stack_name": "tablekeeper",
        "outputs": {"SourceBucketName": "b", "LedgerTableName": "l"},
    }
    (tmp_path / "stack.json").write_text(json.dumps(held))
    ran = run("status", "a.json", "--local", **{LOCAL_VARIABLE: str(tmp_path / "stack.json")})
    assert ran.returncode == 4
    assert ran.stderr.startswith("tablekeeper: the local engine has ended: nothing listens")
    local = tmp_path / ".local"
    local.mkdir()
    (tmp_path / "stack.json").rename(local / "stack.json")
    by_default = run("status", "a.json", folder=tmp_path)
    told = ran.stderr.replace(f"{tmp_path}/engine.log", f"{local}/engine.log")
    assert (by_default.returncode, by_default.stderr) == (4, told)
    assert "--stack NAME" in run("status", "--region", "eu-west-1", folder=tmp_path).stderr
    ran = run("status", "--local", **{LOCAL_VARIABLE: str(tmp_path / "none.json")})
    assert "make up" in ran.stderr


def test_a_stack_of_the_environment_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(STACK_VARIABLE, "mine")
    found = Stack("mine", "eu-west-1", {})
    monkeypatch.setattr(Stack, "on_aws", lambda *names: found if names[0] == "mine" else None)
    assert Stack.find(region="eu-west-1") is found
    monkeypatch.delenv(STACK_VARIABLE)
    with pytest.raises(CommandError):
        _ = Context().stack


def test_examples_in_help_are_calls_that_there_are() -> None:
    known = commands()
    examples: dict[str, list[str]] = {}

    def read(command: Any, name: str) -> None:
        lines = (command.epilog or "").splitlines()
        examples[name] = [each for each in lines if each.startswith("  tablekeeper")]
        for inner, sub in getattr(command, "commands", {}).items():
            read(sub, f"{name} {inner}".strip())

    read(typer.main.get_command(app), "")
    for name, calls in examples.items():
        assert calls, f"{name} has no example"
        for call in calls:
            words = shlex.split(call)[1:]
            called = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
            assert not name or called.startswith(name), call
            assert {each for each in words if each.startswith("--")} <= known[called], call


def test_the_version_is_the_packages() -> None:
    assert run("--version").stdout == f"tablekeeper {version('tablekeeper')}\n"


def test_keys_and_uris_lead_to_each_other() -> None:
    stack = Stack("s", "r", {"SourceBucketName": "b"})
    assert stack.uri("a/b.json") == stack.uri("s3://b/a/b.json") == "s3://b/a/b.json"
    assert stack.key("s3://b/a/b.json") == "a/b.json"
    assert stack.uri("s3://x/a.json") == "s3://b/s3://x/a.json"
    assert stack.key("s3://b/s3://x/a.json") == "s3://x/a.json"
    assert (stack.key("s3:///"), stack.key("s3://other/a")) == ("s3:///", "s3:///other/a")
    own = ("s3://x", "s3://b/x", "s3:///", "s3:///x", "s3://", "/a", "")
    for uri in ("s3://other/a", "s3:///", "s3:///x", *(f"s3://b/{key}" for key in own)):
        assert stack.uri(stack.key(uri)) == uri


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", ("not an event", "")),
        ("[]", ("not an event", "")),
        ('{"detail": 1}', ("not an event", "")),
        ('{"detail": {}}', ("started by hand", "")),
        (
            '{"detail-type": "Object Deleted", "detail": {"deletion-type": "Delete Marker Created",'
            '"requester": "1", "source-ip-address": "10.0.0.1"}}',
            ("Object Deleted (Delete Marker Created)", "1 from 10.0.0.1"),
        ),
    ],
)
def test_an_input_tells_what_happened_and_who_did_it(text: str, reason: tuple[str, str]) -> None:
    assert hint(text) == reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 1.5]}', {"a": [1, 1.5]}),
        ('{"a": 1.10}', {"a": "1.10"}),
        ("[NaN]", ["NaN"]),
        ("{cut", "{cut"),
        ('"text"', '"text"'),
        (None, None),
    ],
    ids=["object", "digits", "no-number", "cut", "text", "nothing"],
)
def test_json_in_a_text_is_nested_and_no_digit_is_lost(text: str | None, value: Any) -> None:
    assert nested(text) == value


def test_half_of_a_surrogate_pair_in_an_input_is_an_escape_in_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """UTF-8 has none, and an answer without it could not be written."""
    told = {"input": nested('{"key": "a\\ud800", "face": "\U0001f600"}')}
    context = Context(json=True)
    context.answer(told, lambda: None)
    context.write_json([("one", told), ("many", iter([told]))])
    out = capsys.readouterr().out
    assert out.encode().count(b"\\ud800") == 3
    assert "\U0001f600" in out
    assert json.loads(out[: out.index("}\n{") + 1]) == told


def test_text_from_elsewhere_cannot_steer_a_terminal() -> None:
    assert clean("a\nb\x1b[31m\r\u202e") == "a\nb\\x1b[31m\\r\\u202e"
