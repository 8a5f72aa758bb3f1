"""The declared variations: three releases from one source, told apart by this table and nothing else.

``NOTES_RELEASE`` chooses one; without it the newest good one runs. 1.2.0 is bad on purpose, so that a
rollback can be rehearsed with a fault that a real change could bring: see ``notes.desk``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the service.

    Attributes:
        good: False for the one that must not stay in production.
        list_tags: has the tool ``list_tags``.
        snippets: a search hit shows the words around the first match.
        paged_search: a search may be continued; its results wait on a desk of bounded size.
        news: what is new, for people.
    """

    version: str
    good: bool
    list_tags: bool
    snippets: bool
    paged_search: bool
    news: str


RELEASES: Mapping[str, Release] = {
    release.version: release
    for release in (
        Release("1.0.0", True, False, False, False, "Notes, tags, search, summaries, change notifications."),
        Release("1.1.0", True, True, True, False, "list_tags, and a snippet with every search hit."),
        Release("1.2.0", False, True, True, True, "Searches can be continued. Leaks; bad on purpose."),
    )
}

NEWEST_GOOD = max((r for r in RELEASES.values() if r.good), key=lambda r: r.version.split(".")).version


def chosen(environ: Mapping[str, str]) -> Release:
    """The release that ``NOTES_RELEASE`` names.

    Raises:
        ValueError: it names none of them.
    """
    version = environ.get("NOTES_RELEASE") or NEWEST_GOOD
    try:
        return RELEASES[version]
    except KeyError:
        known = ", ".join(RELEASES)
        raise ValueError(
            f"NOTES_RELEASE names no release, got {version!r}; expected one of {known}"
        ) from None
