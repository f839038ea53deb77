"""Finds regular expressions that backtrack exponentially, by their structure.

A pattern becomes an automaton with one state for each character that it may read (Glushkov's). The
time is exponential where a state has two ways back to itself with the same text, which is where two
copies of the automaton, reading the same text, can part and meet again (Weber and Seidl, On the
degree of ambiguity of finite automata, 1991). Anchors, lookarounds and back references are read as
if they always matched, so a pattern may be named that is held in bounds by one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from importlib import import_module
from typing import Any, NamedTuple

_PARSER: Any = import_module("re._parser")
_COPIES = 30
"""A repeat of more than this is read as one without end."""
_STATES = 200
_PAIRS = 4_000_000
"""How much is looked at; what is larger is taken for good."""
_OTHERS = "é٣\u2003漢"
"""Letters, digits and spaces beyond ASCII."""

_CATEGORIES: dict[str, Callable[[str], bool]] = {
    "CATEGORY_DIGIT": str.isdecimal,
    "CATEGORY_SPACE": str.isspace,
    "CATEGORY_WORD": lambda each: each.isalnum() or each == "_",
}

_Ways = dict[int, int]
"""In how many ways a state is come to: one, or two, which stands for more."""


class _Part(NamedTuple):
    """A part of a pattern: the states it may begin and end with, and the ways to read nothing."""

    first: _Ways
    last: _Ways
    empty: int


_NOTHING = _Part({}, {}, 1)


def backtracks_exponentially(pattern: str) -> bool:
    """Whether there are texts for which a pattern takes time that doubles with each character.

    Raises:
        re.error: it is no pattern.
    """
    parsed = _PARSER.parse(pattern)
    try:
        return any(_is_ambiguous(_Automaton(pattern, part)) for part in _apart(parsed))
    except _TooLargeError:
        return False


class _TooLargeError(Exception):
    """Raised for a pattern that is too large to be looked at."""


def _apart(parsed: Any) -> Iterator[Any]:
    """A pattern, and those in it that are matched by themselves."""
    yield parsed
    pending = [parsed]
    while pending:
        each = pending.pop()
        if isinstance(each, _PARSER.SubPattern):
            pending += each.data
        elif isinstance(each, tuple | list):
            if each and str(each[0]) in ("ASSERT", "ASSERT_NOT"):
                yield each[1][1]
            if each and str(each[0]) in ("ATOMIC_GROUP", "POSSESSIVE_REPEAT"):
                yield each[1][-1] if isinstance(each[1], tuple) else each[1]
            pending += each


class _Automaton:
    def __init__(self, pattern: str, parsed: Any) -> None:
        """Raises _TooLargeError."""
        flags = parsed.state.flags
        self._ignores_case = bool(flags & re.IGNORECASE)
        self._dot_is_all = bool(flags & re.DOTALL)
        letters = {chr(each) for each in range(128)} | set(pattern) | set(_OTHERS)
        self._alphabet = frozenset(map(ord, letters))
        self.reads: list[frozenset[int]] = []
        self.follow: list[_Ways] = []
        self._sequence(parsed)

    def _state(self, reads: frozenset[int]) -> _Part:
        if len(self.reads) == _STATES:
            raise _TooLargeError
        self.reads.append(reads)
        self.follow.append({})
        state = len(self.reads) - 1
        return _Part({state: 1}, {state: 1}, 0)

    def _sequence(self, parsed: Iterable[Any]) -> _Part:
        return reduce(self._joined, (self._part(str(op), given) for op, given in parsed), _NOTHING)

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._connect(one.last, other.first)
        return _Part(
            _sum(one.first, other.first, one.empty),
            _sum(other.last, one.last, other.empty),
            min(one.empty * other.empty, 2),
        )

    def _connect(self, ends: _Ways, begins: _Ways) -> None:
        for end, ways in ends.items():
            self.follow[end] = _sum(self.follow[end], begins, ways)

    def _part(self, op: str, given: Any) -> _Part:
        if op in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            return self._state(self._reads(op, given))
        if op == "SUBPATTERN":
            return self._sequence(given[-1])
        if op == "BRANCH":
            return self._either(given[1])
        if op == "GROUPREF_EXISTS":
            return self._either([each or [] for each in given[1:]])
        if op in ("MAX_REPEAT", "MIN_REPEAT"):
            return self._repeated(*given)
        if op in ("ATOMIC_GROUP", "POSSESSIVE_REPEAT"):
            least = given[0] if op == "POSSESSIVE_REPEAT" else 1
            body = given[-1] if op == "POSSESSIVE_REPEAT" else given
            part = self._state(self._all_read(body))
            return part if least else part._replace(empty=1)
        return _NOTHING

    def _either(self, branches: Iterable[Any]) -> _Part:
        parts = [self._sequence(each) for each in branches]
        return _Part(
            reduce(_sum, (each.first for each in parts), {}),
            reduce(_sum, (each.last for each in parts), {}),
            min(sum(each.empty for each in parts), 2),
        )

    def _repeated(self, least: int, most: int, body: Any) -> _Part:
        if least == most and least > _COPIES:
            return self._sequence(body)
        endless = most > _COPIES
        needed = min(least, _COPIES)
        part = _NOTHING
        for _ in range(needed - 1 if endless and needed else needed):
            part = self._joined(part, self._sequence(body))
        if endless:
            once = self._sequence(body)
            self._connect(once.last, once.first)
            return self._joined(part, once._replace(empty=1 if least == 0 or once.empty else 0))
        optional = _NOTHING
        for _ in range(most - needed):
            once = self._joined(self._sequence(body), optional)
            optional = once._replace(empty=1)
        return self._joined(part, optional)

    def _all_read(self, parsed: Any) -> frozenset[int]:
        before = len(self.reads)
        self._sequence(parsed)
        reads = frozenset[int]().union(*self.reads[before:])
        del self.reads[before:], self.follow[before:]
        return reads

    def _reads(self, op: str, given: Any) -> frozenset[int]:
        if op == "ANY":
            return self._alphabet if self._dot_is_all else self._alphabet - {ord("\n")}
        if op in ("LITERAL", "NOT_LITERAL"):
            given = [(op, given)]
        negated = False
        reads: set[int] = set()
        for name, value in ((str(name), value) for name, value in given):
            if name == "NEGATE" or name == "NOT_LITERAL":
                negated = True
            if name in ("LITERAL", "NOT_LITERAL"):
                reads.add(value)
            elif name == "RANGE":
                reads |= {each for each in self._alphabet if value[0] <= each <= value[1]}
            elif name == "CATEGORY":
                reads |= self._category(str(value))
        if self._ignores_case:
            reads |= {ord(c) for each in reads for c in chr(each).swapcase() if len(c) == 1}
        return self._alphabet - reads if negated else frozenset(reads)

    def _category(self, name: str) -> frozenset[int]:
        belongs = _CATEGORIES[name.replace("_NOT_", "_")]
        members = frozenset(each for each in self._alphabet if belongs(chr(each)))
        return self._alphabet - members if "_NOT_" in name else members


def _sum(one: _Ways, other: _Ways, times: int = 1) -> _Ways:
    total = dict(one)
    for state, ways in other.items():
        if times:
            total[state] = min(total.get(state, 0) + ways * times, 2)
    return total


def _is_ambiguous(automaton: _Automaton) -> bool:
    """Whether a state has two ways back to itself with the same text."""
    follow, reads = automaton.follow, automaton.reads
    reached = [_reached(state, follow) for state in range(len(follow))]
    inner: list[_Ways] = [
        {to: ways for to, ways in follow[state].items() if state in reached[to]}
        for state in range(len(follow))
    ]
    if any(ways > 1 for each in inner for ways in each.values()):
        return True
    parted: dict[tuple[int, int], set[tuple[int, int]]] = {}
    pending = [(state, state) for state in range(len(follow)) if inner[state]]
    meeting = set(pending)
    back: dict[tuple[int, int], list[tuple[int, int]]] = {}
    while pending:
        pair = pending.pop()
        if pair in parted:
            continue
        one, other = pair
        parted[pair] = {
            (min(a, b), max(a, b))
            for a in inner[one]
            for b in inner[other]
            if reads[a] & reads[b] and a in reached[b]
        }
        if sum(map(len, back.values())) > _PAIRS // 100:
            raise _TooLargeError
        for to in parted[pair]:
            back.setdefault(to, []).append(pair)
        pending += parted[pair]
    pending, seen = list(meeting), set(meeting)
    while pending:
        for pair in back.get(pending.pop(), ()):
            if pair not in seen:
                if pair[0] != pair[1]:
                    return True
                seen.add(pair)
                pending.append(pair)
    return False


def _reached(state: int, follow: list[_Ways]) -> set[int]:
    """The states that one leads to."""
    states: set[int] = set()
    pending = list(follow[state])
    while pending:
        each = pending.pop()
        if each not in states:
            states.add(each)
            pending += follow[each]
    return states
