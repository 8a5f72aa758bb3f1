"""What every section of the configuration is: closed, unchangeable, and made of numbers that are numbers."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

ONE_LINE: Final = r"^[^\r\n]*$"
"""A path. The text of a key or a certificate itself has lines, and does not belong in a configuration."""


class Section(BaseModel):
    """A table of ``erlmcp.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
