"""Whose signature a requirement of kind attest asks for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gonogo.model.people import Role

ROLE_OF: Mapping[str, Role] = MappingProxyType(
    {
        "approval.tech-lead": Role.TECH_LEAD,
        "approval.security": Role.SECURITY,
        "approval.operations-manager": Role.OPERATIONS_MANAGER,
        "approval.product-manager": Role.PRODUCT_MANAGER,
        "week.normal-operations": Role.SERVICE_OWNER,
        "signoff.build-lead": Role.BUILD_LEAD,
        "signoff.operations-lead": Role.OPERATIONS_LEAD,
        "signoff.security-officer": Role.SECURITY_OFFICER,
        "signoff.release-manager": Role.RELEASE_MANAGER,
    }
)

FINAL_SIGN_OFF = (
    "signoff.build-lead",
    "signoff.operations-lead",
    "signoff.security-officer",
    "signoff.release-manager",
)
FINAL_SIGN_OFF_PEOPLE_MIN = 3

WAIVES_BLOCKERS = (Role.RELEASE_MANAGER, Role.OPERATIONS_LEAD)
