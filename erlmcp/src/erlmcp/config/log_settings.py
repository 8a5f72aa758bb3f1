"""The section [log] of the configuration. What it means is ``erlmcp.telemetry``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from erlmcp.config.section import Section


class LogSettings(Section):
    """What is written about the running service: JSON lines on standard error, or to a file."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level written."
    )
    file: str = Field("", description="Path of the log; empty means standard error.")
    max_bytes: int = Field(
        100 * 1024 * 1024,
        ge=0,
        description="Size at which the file is rotated, bytes, looked at twice a second; zero means never.",
    )
    max_age_s: float = Field(
        0.0, ge=0, description="Age of its first line at which it is rotated, seconds; zero means never."
    )
    keep: int = Field(10, ge=1, le=1_000, description="Rotated files that stay: FILE.1 is the newest.")
    access: bool = Field(False, description="One line for each request.")
    access_sample: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the requests that get a line, of those that went well and were not slow; each"
        " line then tells its share as sample. Others always get theirs.",
    )
    access_slow_s: float = Field(
        1.0, gt=0, description="A request that took this long always gets its line, seconds."
    )
    refused_per_s: int = Field(
        100,
        ge=0,
        description="Requests that HTTP refuses and that get a line of their own, in a second of one worker;"
        " for any more there is one line with their number.",
    )
    redact_arguments: tuple[str, ...] = Field(
        (),
        max_length=64,
        description="Names of tool arguments, at any depth, whose values are taken out of every line.",
    )
