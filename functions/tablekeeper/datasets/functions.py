"""The functions of expressions: JMESPath's own, which take Decimal here, and some that it lacks.

jmespath recognises types by the names of Python's classes, and Decimal is not among them; these
functions treat it as int. Each function of ours is exact, and raises where JMESPath's type check
does not suffice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from jmespath import functions
from jmespath.functions import signature

from tablekeeper.datasets.time_formats import TIME_FORMATS, epoch_seconds, iso_time
from tablekeeper.documents.numbers import OutOfRangeError, format_number, is_number, parse_number

_STRING: Any = {"types": ["string"]}
_NUMBER: Any = {"types": ["number"]}
_OPTIONAL_NUMBER: Any = {"types": ["number"], "optional": True}


class FunctionError(Exception):
    """Raised when a function got what it does not take; the message holds nothing of the value."""


_ALSO = {
    "number": ("Decimal",),
    "string": ("Binary",),
    "array": ("StringSet", "NumberSet", "BinarySet"),
}
"""The names of Python types that are JMESPath's types, too."""


class ExactFunctions(functions.Functions):
    """The functions by their names; `FUNCTION_TABLE` has their signatures."""

    def call_function(self, function_name: str, resolved_args: Any) -> Any:
        """The function's result. Raises JMESPathError and FunctionError."""
        if function_name not in self.FUNCTION_TABLE:
            raise FunctionError(
                f"there is no function {function_name}(); there are {', '.join(FUNCTIONS)}"
            )
        return super().call_function(function_name, resolved_args)

    def _validate_arguments(self, args: Any, signature: Any, function_name: str) -> Any:
        least, most = arity(signature)
        if not least <= len(args) or (most is not None and len(args) > most):
            raise FunctionError(
                f"{function_name}() takes {arity_text(signature)}, and got {len(args)}"
            )
        return self._type_check(args, signature[: len(args)], function_name)  # type: ignore[attr-defined]

    def _get_allowed_pytypes(self, types: Any) -> Any:
        allowed, subtypes = super()._get_allowed_pytypes(types)  # type: ignore[misc]
        for kind, also in _ALSO.items():
            known = functions.REVERSE_TYPES_MAP[kind]
            if any(each.partition("-")[0] == kind for each in types):
                allowed = [*allowed, *also]
            subtypes = [(*each, *also) if each == known else each for each in subtypes]
        return allowed, subtypes

    def _convert_to_jmespath_type(self, pyobject: str) -> Any:
        plain = next((kind for kind, also in _ALSO.items() if pyobject in also), None)
        return plain or super()._convert_to_jmespath_type(pyobject)  # type: ignore[misc]

    # ---- JMESPath's own ----

    @signature({"types": ["array", "string"]}, {"types": []})
    def _func_contains(self, subject: Any, search: Any) -> bool:
        if isinstance(subject, str):
            return isinstance(search, str) and search in subject
        return any(is_equal(each, search) for each in subject)

    @signature({"types": []})
    def _func_type(self, arg: Any) -> Any:
        return super()._func_type(0 if isinstance(arg, Decimal) else arg)  # type: ignore[misc]

    @signature({"types": []})
    def _func_to_string(self, arg: Any) -> str | None:
        """None of null, which JMESPath makes the text "null": a key of a field that is not there
        would be one and the same text for all such records.
        """
        if arg is None or isinstance(arg, str):
            return None if arg is None else str(arg)  # no longer binary
        return compact_json(arg)

    @signature({"types": []})
    def _func_to_number(self, arg: Any) -> Any:
        if is_number(arg):
            return arg
        if not isinstance(arg, str):
            return None
        try:
            value = json.loads(
                arg, parse_float=parse_number, parse_int=parse_number, parse_constant=str
            )
        except OutOfRangeError as error:
            raise FunctionError(
                f"to_number() got a text whose number cannot be kept: {error}"
            ) from None
        except (ValueError, RecursionError):
            return None
        return value if is_number(value) else None

    @signature({"types": ["array-number"]})
    def _func_avg(self, arg: Any) -> Any:
        return Decimal(sum(arg)) / len(arg) if arg else None

    # ---- text ----

    @signature(_STRING)
    def _func_lower(self, text: str) -> str:
        return text.lower()

    @signature(_STRING)
    def _func_upper(self, text: str) -> str:
        return text.upper()

    @signature(_STRING)
    def _func_trim(self, text: str) -> str:
        return text.strip()

    @signature(_STRING, _STRING, _STRING)
    def _func_replace(self, text: str, old: str, new: str) -> str:
        if not old:
            raise FunctionError("replace() takes a text to look for that is not empty")
        return text.replace(old, new)

    @signature(_STRING, _STRING, _OPTIONAL_NUMBER)
    def _func_split(self, text: str, separator: str, most: Any = None) -> list[str]:
        if not separator:
            raise FunctionError("split() takes a separator that is not empty")
        bound = -1 if most is None else _whole(most, "split", "number of splits", least=0)
        return text.split(separator, min(bound, len(text)))  # a record's number may be any

    @signature(_STRING, _NUMBER, _OPTIONAL_NUMBER)
    def _func_substring(self, text: str, start: Any, length: Any = None) -> str:
        begin = _whole(start, "substring", "start")
        if begin < 0:
            begin = max(0, len(text) + begin)
        if length is None:
            return text[begin:]
        return text[begin : begin + _whole(length, "substring", "length", least=0)]

    @signature(_STRING)
    def _func_sha256(self, text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    # ---- times ----

    @signature({"types": ["string", "number"]}, _STRING)
    def _func_to_epoch(self, value: Any, time_format: str) -> Any:
        return _seconds("to_epoch", value, time_format)

    @signature({"types": ["string", "number"]}, _STRING)
    def _func_to_iso(self, value: Any, time_format: str) -> str:
        return iso_time(_seconds("to_iso", value, time_format))

    # ---- objects ----

    @signature({"types": ["object"]})
    def _func_items(self, value: dict[str, Any]) -> list[list[Any]]:
        return [[name, each] for name, each in value.items()]

    @signature({"types": ["array"]})
    def _func_from_items(self, pairs: list[Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
                raise FunctionError("from_items() takes pairs: arrays of a name and a value")
            if pair[0] in made:
                raise FunctionError("from_items() takes each name once")
            made[pair[0]] = pair[1]
        return made


def is_equal(one: Any, other: Any) -> bool:
    """Whether two exact values are one JSON value. To Python `true` is 1, inside an array or an
    object too, and jmespath looks no deeper than the two values themselves.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_equal(one[k], other[k]) for k in one)
    return bool(one == other)


FUNCTIONS: Sequence[str] = sorted(ExactFunctions.FUNCTION_TABLE)
"""The names of all functions."""


def made_by(name: str, given: Sequence[Any]) -> int:
    """How many characters a function would join or put in, which may be more than it got."""
    if name == "join" and len(given) == 2 and isinstance(given[1], list):
        parts = [each for each in (given[0], *given[1]) if isinstance(each, str)]
        between = len(given[0]) if isinstance(given[0], str) else 0
        return sum(map(len, parts)) + between * len(given[1])
    if name == "replace" and len(given) == 3 and all(isinstance(each, str) for each in given):
        text, old, new = given
        return int(text.count(old) * len(new)) if old else 0
    return 0


def arity(signature: Sequence[dict[str, Any]]) -> tuple[int, int | None]:
    """The least and the most arguments of a function; None: any number."""
    least = sum(not each.get("optional") for each in signature)
    variadic = bool(signature) and bool(signature[-1].get("variadic"))
    return least, None if variadic else len(signature)


def arity_text(signature: Sequence[dict[str, Any]]) -> str:
    """How many arguments a function takes, in words."""
    least, most = arity(signature)
    if most is None:
        return f"at least {least} argument{'s' if least > 1 else ''}"
    number = str(least) if least == most else f"{least} or {most}"
    return f"{number} argument{'s' if most > 1 else ''}"


def _seconds(function: str, value: Any, time_format: str) -> Any:
    try:
        return epoch_seconds(value, time_format)
    except KeyError:
        raise FunctionError(
            f"{function}() has no such format; there are {', '.join(TIME_FORMATS)}"
        ) from None
    except ValueError:
        raise FunctionError(
            f"{function}() got no time of the format {time_format} in the years 1 to 9999"
        ) from None


def _whole(value: Any, function: str, what: str, least: int | None = None) -> int:
    if value != int(value) or (least is not None and value < least):
        bound = "" if least is None else f", {least} or more"
        raise FunctionError(f"{function}() takes a whole number as its {what}{bound}")
    return int(value)


def compact_json(value: Any) -> str:
    """JSON text of an exact value without spaces, numbers in their shortest form.

    Raises:
        TypeError: the value holds something that JSON does not.
    """
    if isinstance(value, dict):
        members = (
            f"{json.dumps(key, ensure_ascii=False)}:{compact_json(item)}"
            for key, item in value.items()
        )
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact_json, value)) + "]"
    if is_number(value):
        return format_number(value)
    return json.dumps(value, ensure_ascii=False)
