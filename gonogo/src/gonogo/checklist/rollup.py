"""The rule by which a roll-up answers from its children.

The worst of the applicable children that matter; a missing child is unknown; failed advisory children become
a remark (warn); a waived failure does not count; without an applicable child there is nothing to roll up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gonogo.model.finding import Answer, Finding, worst
from gonogo.model.requirement import Requirement, Severity


def roll_up(
    children: Sequence[Requirement],
    findings: Mapping[str, Finding],
    *,
    waived: Collection[str] = (),
) -> tuple[Answer, str]:
    """The answer and its reason in a sentence.

    Args:
        children: the requirements that are rolled up.
        findings: current findings by requirement id, fresh ones only.
        waived: ids of children whose failure is validly waived.
    """
    answers = {child.id: _counted(child, findings.get(child.id), waived) for child in children}
    applicable = {name: answer for name, answer in answers.items() if answer is not Answer.NOT_APPLICABLE}
    if children and not applicable:
        return Answer.NOT_APPLICABLE, f"none of {len(children)} checks applies"
    answer = worst(applicable.values())
    if not applicable:
        return answer, "there is nothing to roll up"
    if answer is Answer.PASS:
        return answer, f"all {len(applicable)} applicable checks pass"
    named = [name for name, found in applicable.items() if found is answer]
    return answer, f"{len(named)} of {len(applicable)} checks: {answer} ({_listed(named)})"


def _counted(child: Requirement, finding: Finding | None, waived: Collection[str]) -> Answer:
    answer = Answer.UNKNOWN if finding is None else finding.answer
    if answer is Answer.FAIL and child.id in waived:
        return Answer.PASS
    if child.severity is Severity.ADVISORY and answer in (Answer.FAIL, Answer.UNKNOWN):
        return Answer.WARN
    return answer


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
