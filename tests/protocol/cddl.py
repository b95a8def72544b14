"""Reads the part of CDDL (RFC 8610) that `protocol/orrange.cddl` uses, and holds CBOR to it.

Known: rules, choices, integers and ranges, `uint`, `bstr` and `bool`, `.size`, `.le` and `.cbor`, arrays with member
names and occurrences. Anything else in the file is a SyntaxError here, so that nothing goes unchecked in silence.
"""

import re
from collections.abc import Callable
from typing import Any

from protocol.reference.cbor import RefusedError, decode

Check = Callable[[Any], bool]
Member = tuple[int, int, Check]

TOKEN = re.compile(r"\s*(?:;[^\n]*\s*)*(\.\.|\.[a-z]+|\d*\*\d*|[\[\]()/=,:]|[a-z][a-z0-9-]*|\d+)", re.ASCII)
PRELUDE: dict[str, Check] = {
    "uint": lambda value: type(value) is int and value >= 0,
    "bstr": lambda value: type(value) is bytes,
    "bool": lambda value: type(value) is bool,
}


class Cddl:
    """A schema; `matches(rule, encoded)` says whether bytes are one item of that rule."""

    def __init__(self, text: str) -> None:
        self._tokens = self._split(text)
        self.rules: dict[str, Check] = {}
        while self._tokens:
            name = self._take()
            self._expect("=")
            self.rules[name] = self._choice()

    def matches(self, rule: str, encoded: bytes) -> bool:
        """Whether bytes are exactly one item and have the shape of a rule."""
        try:
            value = decode(encoded)
        except RefusedError:
            return False
        return self._check(rule)(value)

    def _check(self, name: str) -> Check:
        return PRELUDE[name] if name in PRELUDE else self.rules[name]

    @staticmethod
    def _split(text: str) -> list[str]:
        tokens, cursor = [], 0
        text = re.sub(r";[^\n]*", "", text).strip()
        while cursor < len(text):
            found = TOKEN.match(text, cursor)
            if found is None:
                raise SyntaxError(f"expected CDDL of the known part, was {text[cursor : cursor + 30]!r}")
            tokens.append(found.group(1))
            cursor = found.end()
        return tokens

    def _peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self) -> str:
        return self._tokens.pop(0)

    def _expect(self, token: str) -> None:
        taken = self._take()
        if taken != token:
            raise SyntaxError(f"expected {token!r}, was {taken!r}")

    def _choice(self) -> Check:
        options = [self._single()]
        while self._peek() == "/":
            self._take()
            options.append(self._single())
        return lambda value: any(option(value) for option in options)

    def _single(self) -> Check:
        token = self._take()
        if token == "[":
            return self._array()
        if token.isdigit():
            low = high = int(token)
            if self._peek() == "..":
                self._take()
                high = int(self._take())
            return lambda value: type(value) is int and low <= value <= high
        if self._peek().startswith("."):
            return self._control(token, self._take())
        return lambda value: self._check(token)(value)

    def _control(self, name: str, operator: str) -> Check:
        if operator == ".size":
            low, high = self._bounds()
            return lambda value: self._check(name)(value) and low <= len(value) <= high
        argument = self._take()
        if operator == ".le":
            return lambda value: self._check(name)(value) and value <= int(argument)
        if operator == ".cbor":
            return lambda value: self._check(name)(value) and self.matches(argument, value)
        raise SyntaxError(f"expected .size, .le or .cbor, was {operator!r}")

    def _bounds(self) -> tuple[int, int]:
        """A number, or two as `(low..high)`."""
        token = self._take()
        if token != "(":
            return int(token), int(token)
        low = int(self._take())
        self._expect("..")
        high = int(self._take())
        self._expect(")")
        return low, high

    def _array(self) -> Check:
        members: list[Member] = []
        while self._peek() != "]":
            members.append(self._member())
            if self._peek() == ",":
                self._take()
        self._expect("]")
        return lambda value: type(value) is list and _fits(members, value)

    def _member(self) -> Member:
        least, most = 1, 1
        if "*" in self._peek():
            low, high = self._take().split("*")
            least, most = int(low or 0), int(high or 2**64)
        if self._tokens[1] == ":":
            self._take()
            self._expect(":")
        return least, most, self._choice()


def _fits(members: list[Member], values: list[Any]) -> bool:
    """Whether values are the members in order; a repeated member takes all that it can."""
    cursor = 0
    for least, most, check in members:
        count = 0
        while count < most and cursor < len(values) and check(values[cursor]):
            cursor, count = cursor + 1, count + 1
        if count < least:
            return False
    return cursor == len(values)
