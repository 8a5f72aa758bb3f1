"""Signed statements as they stand in entries: the fact, its exact text and its signature. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gonogo.model.codec import from_json
from gonogo.model.entry import EntryKind
from gonogo.model.people import Attestation, SignOff, Waiver
from gonogo.model.statement import NAMESPACE, Statement, statement_bytes

SIGNED_KINDS: Mapping[str, type[Attestation | SignOff | Waiver]] = MappingProxyType(
    {EntryKind.ATTESTATION: Attestation, EntryKind.SIGN_OFF: SignOff, EntryKind.WAIVER: Waiver}
)


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """One statement from an entry; ``text`` is computed from the fact, so it cannot differ from it."""

    fact: Statement
    person: str
    text: bytes
    signature: str


def signed_statement(kind: str, body: Mapping[str, Any], release: str) -> SignedStatement:
    """The statement in an entry of one of ``SIGNED_KINDS``.

    Raises:
        ValueError: the body is no such statement.
    """
    fact = from_json(SIGNED_KINDS[kind], body)
    person = fact.owner if isinstance(fact, Waiver) else fact.person
    return SignedStatement(fact, person, statement_bytes(fact, release=release), fact.signature)


def allowed_signers(keys: Mapping[str, Sequence[str]]) -> str:
    """Public keys by person in the form that ``ssh-keygen -Y verify -f`` reads."""
    return "".join(
        f'{person} namespaces="{NAMESPACE}" {" ".join(line.split()[:2])}\n'
        for person, lines in sorted(keys.items())
        for line in lines
    )
