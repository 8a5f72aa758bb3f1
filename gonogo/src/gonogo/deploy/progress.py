"""What a face is told while a deployment runs. Facts only; drawing them is the face's business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class StepState(StrEnum):
    """What happened to a step."""

    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One thing to show.

    Attributes:
        elapsed_s: since the step began, seconds.
        data: numbers behind the text.
    """

    step: str
    state: StepState
    text: str
    elapsed_s: float
    data: Mapping[str, Any] = field(default_factory=dict)


Progress = Callable[[ProgressEvent], None]
