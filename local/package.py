"""A built template made ready for CloudFormation, as `sam package` does, in a tenth of its time:
an archive is made once for each content, whatever stack and engine it is deployed to.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from local.environment import LOCAL
from local.stack import Stack

ARCHIVES = LOCAL / "archives"
ARTIFACTS_BUCKET = "sam-artifacts"
CODE, DEFINITION = "CodeUri", "DefinitionUri"
ARCHIVE_DAYS = 7
"""An archive that no deployment needed for so long is deleted."""
_OLDEST = (1980, 1, 1, 0, 0, 0)
"""The time of every file of an archive: equal contents make equal archives."""


def package(template: Path, engine: Stack) -> tuple[dict[str, Any], str]:
    """Uploads a built template and what it names by a path; returns the template, and its URL.

    Archives and definitions are named by their content, so what did not change is not updated.
    """
    _prune()
    document: dict[str, Any] = read_template(template)
    s3 = engine.client("s3")
    if ARTIFACTS_BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=ARTIFACTS_BUCKET)
    files = {}
    for properties in _properties(document["Resources"].values()):
        if CODE in properties:
            archive = _archive(template.parent / properties[CODE])
            files[archive.name] = archive.read_bytes
            properties[CODE] = {"Bucket": ARTIFACTS_BUCKET, "Key": archive.name}
        else:
            definition = template.parent / properties[DEFINITION]
            name = hashlib.sha256(definition.read_bytes()).hexdigest()
            files[name] = definition.read_bytes
            properties[DEFINITION] = {"Bucket": ARTIFACTS_BUCKET, "Key": name}
    # CloudFormation takes a template of this length from S3 alone.
    files["template.json"] = json.dumps(document).encode
    for name, content in files.items():
        s3.put_object(Bucket=ARTIFACTS_BUCKET, Key=name, Body=content())
    return document, f"{engine.endpoint_url}/{ARTIFACTS_BUCKET}/template.json"


def read_template(template: Path) -> Any:
    """A template's content, CloudFormation's short forms as their long ones."""
    return yaml.load(template.read_text(), _TemplateLoader)


def _properties(resources: Any) -> Iterator[dict[str, Any]]:
    for resource in resources:
        properties = resource.get("Properties", {})
        if any(isinstance(properties.get(name), str) for name in (CODE, DEFINITION)):
            yield properties


def _archive(folder: Path) -> Path:
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    archive = ARCHIVES / f"{_digest(files)}.zip"
    if not archive.exists():
        ARCHIVES.mkdir(parents=True, exist_ok=True)
        # The first one makes it: several stacks may be deployed at one moment.
        unfinished = archive.with_suffix(f".{os.getpid()}")
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
            for name, content in files.items():
                entry = zipfile.ZipInfo(name, _OLDEST)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o755 << 16
                zipped.writestr(entry, content)
        unfinished.rename(archive)
    archive.touch()
    return archive


def _prune() -> None:
    """Deletes archives that were not needed of late, and what a deployment left unfinished."""
    oldest = time.time() - ARCHIVE_DAYS * 86_400
    for each in ARCHIVES.glob("*"):
        with suppress(FileNotFoundError):  # Another deployment may do the same.
            if each.stat().st_mtime < oldest:
                each.unlink()


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(json.dumps([name, len(content)]).encode() + content)
    return digest.hexdigest()


class _TemplateLoader(yaml.CSafeLoader):
    """Reads CloudFormation's short forms as their long ones: `!Ref A` is `{"Ref": "A"}`."""


def _short_form(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_TemplateLoader.add_multi_constructor("!", _short_form)
