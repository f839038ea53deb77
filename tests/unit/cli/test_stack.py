"""Where a stack is looked at."""

from __future__ import annotations

import pytest

from tablekeeper_cli.stack import Stack


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("eu-west-1", "https://eu-west-1.console.aws.amazon.com"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "https://console.amazonaws-us-gov.com"),
        ("us-iso-east-1", None),
        ("nowhere", None),
    ],
)
def test_the_aws_console_is_that_of_the_region_s_partition(
    region: str, console: str | None
) -> None:
    assert Stack("s", region, {}).console_url == console
    assert Stack("s", region, {}, "http://127.0.0.1:4566").console_url is None


def test_an_impatient_stack_has_clients_of_its_own() -> None:
    stack = Stack("s", "eu-west-1", {}, "http://127.0.0.1:1")
    patient, impatient = stack.client("s3"), stack.impatient(4, 2).client("s3")
    assert (patient.meta.config.read_timeout, impatient.meta.config.read_timeout) == (60, 4)
    assert impatient.meta.config.retries["total_max_attempts"] == 2
