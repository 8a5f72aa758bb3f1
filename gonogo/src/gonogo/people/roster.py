"""The roster: who there is, by id and by role, with their public keys."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from gonogo.config.schema import PersonConfig
from gonogo.journal.sshsig import key_blob_from_line
from gonogo.model.errors import GonogoError
from gonogo.model.people import Person, Role


class Roster:
    """The people of gonogo.toml.

    Raises:
        GonogoError: ``people.bad-key`` for a line that is no public key, ``people.shared-key`` if two people
            have the same one, since then nobody could tell who signed.
    """

    def __init__(self, people: Mapping[str, PersonConfig]) -> None:
        self._people = {name: _person(name, config) for name, config in people.items()}
        _refuse_shared_keys(self._people.values())

    def __iter__(self) -> Iterator[Person]:
        return iter(self._people.values())

    def get(self, person_id: str) -> Person:
        """One person.

        Raises:
            GonogoError: ``people.unknown-person`` naming the nearest.
        """
        found = self._people.get(person_id)
        if found is None:
            near = difflib.get_close_matches(person_id, self._people, n=1)
            known = ", ".join(sorted(self._people)) or "nobody"
            raise GonogoError(
                "people.unknown-person",
                f"there is no such person on the roster, got {person_id!r}; expected one of: {known}",
                hint=f"did you mean {near[0]}?" if near else f"add [people.{person_id}] to gonogo.toml",
            )
        return found

    def with_role(self, role: Role) -> tuple[Person, ...]:
        """Everybody who holds a role."""
        return tuple(person for person in self if role in person.roles)

    @property
    def roles(self) -> Mapping[str, frozenset[Role]]:
        """Person id to roles, as the gate wants it."""
        return {person.id: person.roles for person in self}


def _person(name: str, config: PersonConfig) -> Person:
    return Person(
        id=name,
        name=config.name,
        email=config.email,
        phone=config.phone,
        roles=frozenset(config.roles),
        ssh_keys=config.ssh_keys,
    )


def _refuse_shared_keys(people: Iterable[Person]) -> None:
    holder: dict[bytes, str] = {}
    for person in people:
        for line in person.ssh_keys:
            try:
                blob = key_blob_from_line(line)
            except ValueError as cause:
                raise GonogoError(
                    "people.bad-key",
                    f"a key of {person.id} is no public key, got {line[:40]!r}; expected a .pub line",
                    hint="paste the line of the .pub file",
                ) from cause
            other = holder.setdefault(blob, person.id)
            if other != person.id:
                raise GonogoError(
                    "people.shared-key",
                    f"two people have the same key, got it for {other} and {person.id}; expected one owner",
                    hint="give everybody a key of their own",
                )
