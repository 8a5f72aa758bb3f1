"""The file format of a bundle: a ZIP without compression, in which every byte follows from the contents.

Because nothing in it is free to choose (order, times, modes, compression), reading can write it again and
compare: a flipped byte anywhere is found, also in headers. Reading is bounded, takes only the names it knows
and never writes a member to disk.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from gonogo.journal.durable import sync_folder
from gonogo.model.errors import GonogoError

SIZE_LIMIT_BYTES = 512 * 1024 * 1024
MEMBERS_LIMIT = 50_000
NAMES = re.compile(
    r"README\.txt|bundle\.json|chain\.jsonl|keys\.json|allowed_signers"
    r"|evidence/[0-9a-f]{64}|statements/[0-9]{1,12}\.(?:txt|sig)"
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_archive(target: Path, members: Mapping[str, bytes]) -> None:
    """Write ``members`` to ``target``, whole or not at all.

    Raises:
        GonogoError: ``journal.bundle-too-large``.
    """
    size = sum(len(data) for data in members.values())
    if size > SIZE_LIMIT_BYTES or len(members) > MEMBERS_LIMIT:
        raise GonogoError(
            "journal.bundle-too-large",
            f"the bundle would be too large, got {size} bytes in {len(members)} files; "
            f"expected at most {SIZE_LIMIT_BYTES} in {MEMBERS_LIMIT}",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    with temporary.open("wb") as file:
        _encode(file, members)
    temporary.replace(target)
    sync_folder(target.parent)


def read_archive(path: Path) -> dict[str, bytes]:
    """The members of the archive at ``path``.

    Raises:
        ValueError: it is not exactly what ``write_archive`` writes; the message says how.
        OSError: it cannot be read.
    """
    if path.stat().st_size > SIZE_LIMIT_BYTES + MEMBERS_LIMIT * 1024:
        raise ValueError("larger than a bundle may be")
    members: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
            if len(listed) > MEMBERS_LIMIT:
                raise ValueError("more files than a bundle may hold")
            for info in listed:
                _refuse_odd(info, members)
                members[info.filename] = archive.read(info)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, UnicodeError) as cause:
        raise ValueError(f"not a ZIP file that can be read: {cause}") from cause
    _refuse_inexact(path, members)
    return members


def _encode(file: IO[bytes], members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # Unix, also where it is written elsewhere
            info.external_attr = 0o100644 << 16
            archive.writestr(info, members[name])


def _refuse_odd(info: zipfile.ZipInfo, members: Mapping[str, bytes]) -> None:
    if not NAMES.fullmatch(info.filename) or info.filename in members:
        raise ValueError(f"a file that no bundle holds, or holds twice: {info.filename[:100]!r}")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise ValueError(f"compressed, which no bundle is: {info.filename}")
    if sum(len(data) for data in members.values()) + info.file_size > SIZE_LIMIT_BYTES:
        raise ValueError("more bytes than a bundle may hold")


def _refuse_inexact(path: Path, members: Mapping[str, bytes]) -> None:
    with TemporaryFile() as again, path.open("rb") as given:
        _encode(again, members)
        again.seek(0)
        if file_digest(again, "sha256").digest() != file_digest(given, "sha256").digest():
            raise ValueError("its bytes are not those that these contents give")
