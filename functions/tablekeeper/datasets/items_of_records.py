"""Items are made of records: each is checked against DynamoDB's limits before anything is written.

Limits: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

from tablekeeper.datasets.dataset import Dataset
from tablekeeper.datasets.expressions import Expression
from tablekeeper.datasets.records import RESERVED, Record
from tablekeeper.datasets.time_formats import epoch_seconds
from tablekeeper.documents.dynamodb_json import Binary, BinarySet, NumberSet, StringSet
from tablekeeper.documents.numbers import OutOfRangeError, check_number, format_number
from tablekeeper.documents.pointers import pointer, shown, walk
from tablekeeper.documents.text import BYTE_ORDER_MARK
from tablekeeper.errors import (
    ExpressionError,
    FieldNameError,
    InvalidFileError,
    ItemTooLargeError,
    KeyLengthError,
    KeyMissingError,
    KeyTypeError,
    NestingError,
    NumberRangeError,
    ReservedAttributeError,
    TtlError,
)
from tablekeeper.model.items import AttributeValue, Item, item_text
from tablekeeper.model.keys import TableKey
from tablekeeper.model.sizes import item_size, size_bound
from tablekeeper.model.snapshot import Snapshot

MAX_ITEM_BYTES = 400 * 1024
MAX_DEPTH = 32
MAX_KEY_BYTES = (2048, 1024)
MAX_NAME_BYTES = 65_535
LATEST_TTL = 253_402_300_799
"""The last second of the year 9999: epoch seconds beyond it are milliseconds, or finer still."""


class RecordItem(NamedTuple):
    """An item and the place of the record that it was made of; text is the item as JSON."""

    place: int
    item: Item
    text: str


def make_items(
    records: Iterable[Record],
    snapshot: Snapshot,
    dataset: Dataset,
    table_key: TableKey,
    ttl_attribute: str,
) -> Iterator[RecordItem]:
    """The item of each record, without lineage.

    Raises:
        InvalidFileError: a record makes no item that the table can hold.
    """
    source = snapshot.object_scope()
    for record in records:
        yield make_item(record, source, dataset, table_key, ttl_attribute)


def make_item(
    record: Record,
    source: Mapping[str, Any],
    dataset: Dataset,
    table_key: TableKey,
    ttl_attribute: str,
) -> RecordItem:
    """The item of a record; source is what expressions see as `_object`. Raises as `make_items`."""
    try:
        item = _item(record, source, dataset, table_key, ttl_attribute)
        text = item_text(item)
        if size_bound(text) > MAX_ITEM_BYTES:
            _check_size(item, record.place)
    except InvalidFileError as error:
        error.values |= record.values()
        raise
    return RecordItem(record.place, item, text)


def _item(
    record: Record,
    source: Mapping[str, Any],
    dataset: Dataset,
    table_key: TableKey,
    ttl_attribute: str,
) -> Item:
    scope = {**record.value, "_object": source, "_index": record.place}
    if dataset.own_names:
        scope |= {"_name": record.name} if "_name" in dataset.own_names else {}
        scope |= {"_document": record.document} if "_document" in dataset.own_names else {}
    where = f"record {record.place}"
    values = record.value
    if dataset.attributes is not None:
        values = _chosen(dataset, dataset.attributes, record.value, scope, where)
    unfit = _unfit_name(values)
    if unfit is not None:
        raise FieldNameError(f"{where}, {_named(unfit, ())}")
    item = {name: _located(value, name, where) for name, value in values.items()}
    for name in RESERVED:
        if name in item:
            raise ReservedAttributeError(
                f'{where} makes an attribute "{name}", which Tablekeeper itself sets'
            )
    for (name, kind), limit in zip(table_key.attributes, MAX_KEY_BYTES, strict=False):
        if name in dataset.key:
            _set(item, name, _result(dataset.key[name], scope, where), where, "key")
        if name not in item:
            why = _why_no_key(name, dataset)
            raise KeyMissingError(f'{where} gives no value for the key attribute "{name}": {why}')
        _check_key(item[name], name, kind, limit, where)
    ttl = _epoch_seconds(_result(dataset.ttl, scope, where), where) if dataset.ttl else None
    _set(item, ttl_attribute, ttl, where, "ttl")
    if ttl is None and "N" in item.get(ttl_attribute, ()):
        _refuse_expiry(ttl_attribute, dataset, where)
    return item


def _chosen(
    dataset: Dataset,
    attributes: Mapping[str, Expression],
    fields: Mapping[str, Any],
    scope: Mapping[str, Any],
    where: str,
) -> dict[str, Any]:
    """The values that `attributes` gives; a null result leaves its attribute out."""
    values: dict[str, Any] = {}
    if dataset.all_fields and dataset.has_all_fields:
        values = dict(fields)
    elif dataset.all_fields:
        result = _result(dataset.all_fields, scope, where)
        if result is not None and not isinstance(result, dict):
            raise ExpressionError(
                f'{where}: "{dataset.all_fields.text}" gives no object, whose members "*" in '
                "`attributes` takes"
            )
        values = dict(result or {})
    for name in dataset.left_out:
        values.pop(name, None)
    for name, expression in attributes.items():
        value = _result(expression, scope, where)
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value
    return values


def _result(expression: Expression, scope: Mapping[str, Any], where: str) -> Any:
    """What an expression gives. Raises ExpressionError, which names the record."""
    try:
        return expression(scope)
    except ExpressionError as error:
        raise ExpressionError(f"{where}: {error}") from None


def _refuse_expiry(name: str, dataset: Dataset, where: str) -> None:
    """Raises ReservedAttributeError: without a `ttl`, DynamoDB would delete the item by it."""
    why = "and `ttl` gives nothing for it" if dataset.ttl else "and its dataset has no `ttl`"
    raise ReservedAttributeError(
        f'{where} has a number in "{name}", the TTL attribute of the table, {why}: DynamoDB would '
        f'delete the item at that time. If this is meant, add "ttl": "{name}" to the dataset'
    )


def _why_no_key(name: str, dataset: Dataset) -> str:
    for member, expressions in (("key", dataset.key), ("attributes", dataset.attributes or {})):
        if name in expressions:
            return f"its expression in `{member}` finds none: {expressions[name].text[:200]}"
    if dataset.has_all_fields and name not in dataset.left_out:
        return "the record has no such field, and `key` no expression for it"
    return "neither `key` nor `attributes` has an expression for it"


def _set(item: Item, name: str, value: Any, where: str, what: str) -> None:
    """Sets what an expression gives; a field of the record with that name and another value is
    never dropped.
    """
    if value is None:
        return
    computed = _located(value, name, where)
    if item.get(name, computed) != computed:
        raise ReservedAttributeError(
            f'{where} has a field "{name}" of its own, '
            f"which the `{what}` of its dataset would overwrite"
        )
    item[name] = computed


def _unfit_name(names: Iterable[str]) -> str | None:
    """The first name that no attribute can have, or should: empty, too long, or with a byte order
    mark that a program took for a part of its first field's name.
    """
    for name in names:
        if not name or name[0] == BYTE_ORDER_MARK:
            return name
        if len(name) > MAX_NAME_BYTES // 4 and len(name.encode()) > MAX_NAME_BYTES:
            return name
    return None


def _named(name: str, path: Sequence[str | int]) -> str:
    """What is wrong with a field's name, and which field it is."""
    inside = f' inside "{shown(pointer(path))}"' if path else ""
    if not name:
        return f"a field{inside} has an empty name"
    if name[0] == BYTE_ORDER_MARK:
        rest = shown(name[1:])
        return f'the name of the field "{rest}"{inside} begins with a byte order mark (U+FEFF)'
    size = len(name.encode())
    return (
        f'the name of the field "{name[:40]}…"{inside} has {size:,} bytes, more than '
        f"{MAX_NAME_BYTES:,}"
    )


class _UnfitError(Exception):
    """A value that no attribute can hold."""

    def __init__(self, error: type[InvalidFileError], why: str) -> None:
        super().__init__(error, why)
        self.error, self.why = error, why


def _located(value: Any, name: str, where: str) -> AttributeValue:
    """An attribute. The error of a value names its JSON Pointer, which is looked for only then."""
    if isinstance(value, dict | list):
        _check_count(value, where)
    try:
        return _attribute(value)
    except _UnfitError as unfit:
        error = unfit
    for path, each in walk(value, (name,)):
        if len(path) > MAX_DEPTH + 1:
            place = f"{shown(pointer(path[:4]))}…"
            raise error.error(f'{where}, "{place}": {error.why}', pointer=place)
        bad = _unfit_name(each) if isinstance(each, dict) else None
        if bad is not None:
            place = shown(pointer(path))
            raise FieldNameError(f"{where}, {_named(bad, path)}", pointer=place)
        if not isinstance(each, dict | list):
            try:
                _attribute(each)
            except _UnfitError as unfit:
                place = shown(pointer(path))
                raise unfit.error(f'{where}, "{place}": {unfit.why}', pointer=place) from None
    place = shown(pointer((name,)))
    raise error.error(f'{where}, "{place}": {error.why}', pointer=place)


def _check_count(value: dict[str, Any] | list[Any], where: str) -> None:
    """Raises ItemTooLargeError when a value has more members than an item has bytes.

    Each takes a byte at least, and hundreds as DynamoDB JSON in memory. What an expression gives
    may hold one value at many places, and those count, each time.
    """
    count, pending = 0, [value]
    while pending:
        each = pending.pop()
        count += len(each)
        if count > MAX_ITEM_BYTES:
            raise ItemTooLargeError(
                f"{where} makes an item of more than {MAX_ITEM_BYTES:,} bytes, which is what "
                "DynamoDB holds"
            )
        members = each.values() if isinstance(each, dict) else each
        pending += [member for member in members if isinstance(member, dict | list)]


def _attribute(value: Any, depth: int = 0) -> AttributeValue:
    if isinstance(value, str):
        return {"B" if isinstance(value, Binary) else "S": value}
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | Decimal):
        try:
            check_number(value)
        except OutOfRangeError as error:
            why = f"DynamoDB cannot hold the number: {error}"
            raise _UnfitError(NumberRangeError, why) from None
        return {"N": format_number(value)}
    if depth == MAX_DEPTH:
        raise _UnfitError(NestingError, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, StringSet | BinarySet):
        return {"SS" if isinstance(value, StringSet) else "BS": list(value)}
    if isinstance(value, NumberSet):
        return {"NS": [_attribute(each)["N"] for each in value]}
    if isinstance(value, list):
        return {"L": [_attribute(each, depth + 1) for each in value]}
    if isinstance(value, dict):
        if _unfit_name(value) is not None:
            raise _UnfitError(FieldNameError, "a field has a name that DynamoDB does not take")
        return {"M": {name: _attribute(each, depth + 1) for name, each in value.items()}}
    raise _UnfitError(ExpressionError, "an expression gave no JSON value")


def _check_key(value: AttributeValue, name: str, kind: str, limit: int, where: str) -> None:
    ((actual, content),) = value.items()
    if actual != kind:
        types = {
            "S": "a string",
            "N": "a number",
            "BOOL": "a boolean",
            "NULL": "null",
            "L": "an array",
            "M": "an object",
            "B": "binary",
            **dict.fromkeys(("SS", "NS", "BS"), "a set"),
        }
        raise KeyTypeError(
            f'{where}: the key attribute "{name}" is {types[actual]}; the key of the table is '
            f"{types[kind]}"
        )
    length = len(content.encode())
    if kind == "S" and not length:
        raise KeyLengthError(f'{where}: the key attribute "{name}" is empty')
    if kind == "S" and length > limit:
        raise KeyLengthError(
            f'{where}: the key attribute "{name}" has {length:,} bytes, more than {limit:,}'
        )


def _epoch_seconds(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value > LATEST_TTL:
            raise TtlError(
                f"{where}: `ttl` gives {_finer_unit(value)}, not epoch seconds: as seconds it "
                "would be a time after the year 9999"
            )
        return value
    if isinstance(value, str):
        with suppress(ValueError):
            return int(epoch_seconds(value, "iso8601"))
    raise TtlError(
        f"{where}: `ttl` gives neither whole epoch seconds nor an ISO 8601 time with an offset in "
        "the years 1 to 9999"
    )


def _finer_unit(value: int) -> str:
    for factor, unit in ((10**3, "milliseconds"), (10**6, "microseconds")):
        if value <= LATEST_TTL * factor:
            return unit
    return "nanoseconds"


def _check_size(item: Item, index: int) -> None:
    size = item_size(item)
    if size > MAX_ITEM_BYTES:
        raise ItemTooLargeError(
            f"record {index} makes an item of {size:,} bytes, lineage included; "
            f"DynamoDB holds {MAX_ITEM_BYTES:,}"
        )
