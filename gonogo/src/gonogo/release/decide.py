"""The decision on a release: the record, with every signature verified again, put before the gate.

The one way to a verdict: commands, deployments and pages all ask here, so none of them can forget a rule.
"""

from __future__ import annotations

from datetime import datetime

from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checklist.gate import judge_gate
from gonogo.checklist.profile import gate_profile
from gonogo.config.schema import Settings
from gonogo.model.verdict import GateResult
from gonogo.people.roster import Roster
from gonogo.people.trust import trusted
from gonogo.release.fingerprint import environment_of
from gonogo.release.record import Record


def decide(
    record: Record,
    settings: Settings,
    environment_name: str,
    *,
    fingerprint: str,
    now: datetime,
    profile_name: str | None = None,
) -> GateResult:
    """The verdict on what has this fingerprint, for one environment, at ``now``.

    Args:
        fingerprint: digest of what would be released now, computed afresh.
        profile_name: another profile than the environment's.

    Raises:
        GonogoError: ``release.unknown-environment``, ``checklist.unknown-profile``,
            ``checklist.unknown-pattern``, ``people.bad-key``, ``people.shared-key``.
    """
    environment = environment_of(settings, environment_name)
    roster = Roster(settings.people)
    statements = trusted(
        record.attestations, record.sign_offs, record.waivers, roster=roster, release=record.release
    )
    return judge_gate(
        CATALOGUE.all,
        record.all_findings.values(),
        statements.attestations,
        statements.sign_offs,
        statements.waivers,
        profile=gate_profile(profile_name or environment.profile, settings.profiles),
        fingerprint=fingerprint,
        now=now,
        roles=roster.roles,
    )
