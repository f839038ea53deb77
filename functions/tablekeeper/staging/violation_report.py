"""Reports: every violation of a bad file, for people, in the staging bucket."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from tablekeeper import aws

LISTED = 1000
"""Violations that the report itself lists; with more, all are in a file of lines beside it."""
MAX_COMPRESSED_BYTES = 32_000_000
"""Of all violations; what is over it is counted and not listed. It is some ten million of them."""


class Report:
    """Collects the violations of one file in bounded memory."""

    def __init__(self, bucket: str, name: str) -> None:
        self.bucket, self.name = bucket, name
        self.count = self.size = self.kept = 0
        self.listed: list[Mapping[str, Any]] = []
        self.compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        self.compressed: list[bytes] = []

    def add(self, violation: Mapping[str, Any]) -> None:
        """Adds a violation."""
        self.count += 1
        if len(self.listed) < LISTED:
            self.listed.append(violation)
        if self.size < MAX_COMPRESSED_BYTES:
            line = json.dumps(violation, ensure_ascii=False) + "\n"
            part = self.compressor.compress(line.encode())
            self.kept += 1
            self.size += len(part)
            if part:
                self.compressed.append(part)

    def close(self, about: Mapping[str, Any]) -> str:
        """Writes the report and says where, as s3://bucket/key. Raises TransientServiceError."""
        report = {**about, "violations": self.count, "listed": self.listed}
        if self.count > LISTED:
            body = b"".join([*self.compressed, self.compressor.flush()])
            report["all"] = self._put("jsonl.gz", body, "application/gzip")
            report["in_all"] = self.kept
        body = json.dumps(report, ensure_ascii=False, indent=2).encode()
        return self._put("json", body, "application/json")

    def _put(self, suffix: str, body: bytes, kind: str) -> str:
        key = f"reports/{self.name}.{suffix}"
        with aws.transient_errors():
            aws.s3().put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=kind)
        return f"s3://{self.bucket}/{key}"
