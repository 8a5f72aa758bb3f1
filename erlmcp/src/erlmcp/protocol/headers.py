"""Header fields as the protocol reads them: names without case, values without surrounding blanks.

Parsers differ in what they leave around a value, so blanks are cut here and nowhere else. A field sent twice
is joined by a comma as HTTP says, and remembered, because routing fields must not be sent twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

_BLANKS = b" \t"


class Headers(Mapping[str, str]):
    """The header fields of one request, by lower-case name."""

    __slots__ = ("_fields", "repeated")

    def __init__(self) -> None:
        self._fields: dict[bytes, bytes] = {}
        self.repeated: set[bytes] = set()

    def add(self, name: bytes, value: bytes) -> None:
        """Take one field line as it was sent."""
        key = name.lower()
        value = value.strip(_BLANKS)
        earlier = self._fields.get(key)
        if earlier is None:
            self._fields[key] = value
        else:
            self.repeated.add(key)
            self._fields[key] = earlier + b", " + value

    def with_more(self, fields: Iterable[tuple[bytes, bytes]]) -> Headers:
        """These and others, which are not among these."""
        more = Headers()
        more._fields.update(self._fields)
        more.repeated = self.repeated
        for name, value in fields:
            more._fields[name.lower()] = value
        return more

    def without(self, names: Iterable[bytes]) -> Headers:
        """These but for some, by their names in lower case."""
        fewer = Headers()
        left_out = set(names)
        fewer._fields.update((name, value) for name, value in self._fields.items() if name not in left_out)
        fewer.repeated = self.repeated - left_out
        return fewer

    def raw(self, name: bytes) -> bytes | None:
        """The value of a field by its lower-case name."""
        return self._fields.get(name)

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """All fields, names in lower case, in the order they came."""
        return list(self._fields.items())

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower().encode("latin-1", "replace")].decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._fields)

    def __len__(self) -> int:
        return len(self._fields)


def accepts(headers: Headers) -> tuple[bool, bool]:
    """Whether the client takes JSON, and whether it takes an event stream."""
    value = headers.raw(b"accept")
    if value is None:
        return False, False
    if value == b"application/json, text/event-stream":
        return True, True
    kinds = {part.split(b";", 1)[0].strip(_BLANKS).lower() for part in value.split(b",")}
    anything = b"*/*" in kinds
    return (
        anything or not kinds.isdisjoint((b"application/json", b"application/*")),
        anything or not kinds.isdisjoint((b"text/event-stream", b"text/*")),
    )


def is_json(headers: Headers) -> bool:
    """Whether the body is declared to be JSON."""
    value = headers.raw(b"content-type")
    if value is None:
        return False
    return value.split(b";", 1)[0].strip(_BLANKS).lower() == b"application/json"
