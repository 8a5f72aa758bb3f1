"""What every section of the configuration is: closed, unchangeable, and made of numbers that are numbers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of ``erlmcp.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
