"""What is said about a deployment, and that it is said once.

An announcement is an entry. Before saying anything the journal and the channel are asked whether it was
said already, so that a resumed deployment does not repeat itself.
"""

from __future__ import annotations

from gonogo.deploy.services import DeployServices
from gonogo.model.entry import EntryKind

TEMPLATES = {
    "started": "{service} {version}: deployment to {environment} begins. Expected downtime: none. "
    "Expected duration: up to {minutes:.0f} min. Contact: {contact}. Monitoring: {monitoring}",
    "done": "{service} {version}: deployment to {environment} is done. {reason}. Contact: {contact}",
    "aborted": "{service} {version}: deployment to {environment} was stopped before traffic moved; "
    "nothing changed. Reason: {reason}. Contact: {contact}",
    "held": "{service} {version} on {environment}: a decision is needed. {reason}. Contact: {contact}",
    "waiting": "{service} {version} on {environment}: the watch ended without proof either way, a decision "
    "is needed. {reason}. Contact: {contact}",
    "rolled-back": "{service} {version}: rolled back on {environment}; the previous version serves again. "
    "Reason: {reason}. Contact: {contact}",
    "rollback-failed": "{service} {version}: the rollback on {environment} FAILED, act now. "
    "Reason: {reason}. Contact: {contact}",
}


def announce(
    services: DeployServices,
    what: str,
    *,
    deployment: str,
    release: str,
    version: str,
    reason: str = "",
    duration_s: float = 0.0,
) -> bool:
    """Say ``what`` once; True if it was said now, False if it had been said before."""
    message_id = f"{deployment}/{what}"
    recorded = services.journal.entries(release=release, kinds=frozenset({EntryKind.ANNOUNCEMENT}))
    if any(entry.body.get("id") == message_id for entry in recorded):
        return False
    text = TEMPLATES[what].format(
        service=services.service,
        version=version,
        environment=services.environment_name,
        minutes=duration_s / 60,
        contact=services.contact or "not declared",
        monitoring=services.environment.admin_url,
        reason=reason,
    )
    at = services.clock().isoformat(timespec="seconds")
    before = services.channel.delivered(message_id)
    if not before:
        services.channel.send(message_id, text, at)
    delivery = "found delivered" if before else "read back"
    if not services.channel.delivered(message_id):
        delivery = "not confirmed"
    body = {"id": message_id, "channel": services.channel.name, "text": text, "delivery": delivery}
    services.journal.append(EntryKind.ANNOUNCEMENT, body, actor="gonogo", release=release)
    return not before
