"""HTML that cannot be wrong about who wrote it: every text is escaped, unless it was made here.

There are no templates and no way to put a string in as markup. What stands on the page is ``page`` and its
neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

_VOID: Final = frozenset({"link", "meta"})


class Html(str):
    """Markup. Only ``el`` and ``join`` make it."""

    __slots__ = ()


Child = Html | str | int | None | Iterable["Child"]


def el(tag: str, *children: Child, **attributes: str | bool | None) -> Html:
    """An element. ``class_`` and ``data_x`` become ``class`` and ``data-x``; None and False leave one out."""
    written = "".join(
        f" {_name(name)}" if value is True else f' {_name(name)}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{join(*children)}</{tag}>")


def join(*children: Child) -> Html:
    """Several pieces, one after the other."""
    return Html("".join(_text(child) for child in children))


def document(root: Html) -> bytes:
    """The bytes of a page."""
    return b"<!doctype html>\n" + root.encode()


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str | int):
        return escape(str(child))
    return join(*child)
