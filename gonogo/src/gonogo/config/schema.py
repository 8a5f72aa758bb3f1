"""The schema of ``gonogo.toml``. It is also the manual: field descriptions become the reference page.

It only says what a configuration is; reading files and reporting faults is ``gonogo.config.load``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from gonogo.model.people import Role


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Service(_Section):
    """The service that is released."""

    name: str = Field(description="Short name; part of release ids.", pattern=r"^[a-z][a-z0-9-]{0,62}$")
    kind: Literal["mcp", "http"] = Field(
        "mcp", description="mcp adds the MCP journeys; http leaves them out."
    )
    critical_components: tuple[str, ...] = Field(
        (), description="Components of /ready that must be up; empty means every component marked critical."
    )


class ReleaseSource(_Section):
    """How a version is found."""

    manifest: str = Field(
        "releases/{version}.toml", description="File that declares one version; {version} is replaced."
    )
    artefact: tuple[str, ...] = Field(
        ("src",), description="Tracked paths whose content is the artefact digest of the fingerprint."
    )
    lock: str = Field("requirements.lock", description="The lock file that is committed.")
    tests_cover: tuple[str, ...] = Field((), description="Packages that the coverage floor counts.")


class PersonConfig(_Section):
    """One person of the roster."""

    name: str = Field(description="As it stands on reports.")
    email: str = Field(description="Where messages reach the person.")
    phone: str = Field(description="International form, such as +44 20 7946 0000.")
    roles: tuple[Role, ...] = Field((), description="What the person may sign, and is asked for.")
    ssh_keys: tuple[str, ...] = Field((), description="Public keys in authorized_keys form.")


class Thresholds(_Section):
    """Limits of the watch. Defaults are those of the method described in docs/concepts/verdict.md."""

    error_ratio: float = Field(
        0.01, description="p0 of the sequential error test; PASS needs proof below it."
    )
    error_ratio_rollback: float = Field(0.10, description="Sustained errors above this roll back at once.")
    latency_p99_rollback_s: float = Field(
        5.0, description="Sustained p99 above this rolls back at once, seconds."
    )
    latency_ratio: float = Field(1.25, description="Margin of latency against the baseline, as a ratio.")
    memory_ratio: float = Field(1.25, description="Margin of memory against the baseline, as a ratio.")
    unhealthy_s: float = Field(
        30.0, description="A critical component unhealthy this long rolls back, seconds."
    )
    sustained_s: float = Field(120.0, description="Span over which a safety limit must hold true, seconds.")
    sustained_min_requests: int = Field(50, description="Requests that the span must hold.")
    step_s: float = Field(15.0, description="Time between two evaluations, seconds.")
    watch_s: float = Field(900.0, description="Length of the watch after the switch, seconds.")
    watch_extensions: int = Field(
        2, description="How often an inconclusive watch is doubled before a person decides."
    )
    warm_up_s: float = Field(0.0, description="Discarded span after the switch, seconds.")
    decide_s: float = Field(
        600.0, description="Between hold and rollback; nobody decides: roll back, seconds."
    )
    baseline_s: float = Field(3600.0, description="Span that the baseline should cover, seconds.")
    baseline_sample_s: float = Field(
        5.0, description="Span that `gonogo check` samples itself if no baseline is recorded yet, seconds."
    )
    coverage_floor: float = Field(0.80, description="Line coverage that unit tests must reach.")


class Commands(_Section):
    """Declared commands, each an argument list run without a shell in the repository."""

    unit_tests: tuple[str, ...] = Field(
        (), description="Writes JUnit XML to {junit} and coverage JSON to {coverage}."
    )
    scratch: tuple[str, ...] = Field(
        (),
        description=(
            "Starts a scratch copy in the guest's folder; {target}, {version}, {http} and {admin} "
            "(HOST:PORT), {control} (a path), {scratch} (a folder that is removed afterwards), {repo} "
            "and {python} are replaced."
        ),
    )
    scratch_env: dict[str, str] = Field(
        default_factory=dict,
        description=(
            "Variables of the scratch copy, with {scratch} replaced; they win over the manifest's, so that "
            "exercises never open production's data."
        ),
    )


class ToolCall(_Section):
    """A declared call of a tool."""

    tool: str = Field(description="Name of the tool.")
    arguments: dict[str, JsonValue] = Field(
        default_factory=dict,
        description=(
            "Arguments; in texts {name} is a fresh unique name and {result.FIELD} a field of the structured "
            "result of the creating call. An argument that is only {result.FIELD} keeps the field's type."
        ),
    )
    expect: str = Field("", description="Text that the answer must hold; placeholders as in arguments.")


class Journeys(_Section):
    """What a user does with the service, for the journeys that gonogo walks on the scratch copy."""

    pure_tool: ToolCall | None = Field(None, description="A call without effects whose answer is known.")
    slow_tool: ToolCall | None = Field(None, description="A call that reports progress.")
    invalid_tool: ToolCall | None = Field(None, description="A call with wrong arguments.")
    create: ToolCall | None = Field(None, description="A call that adds a resource named {name}.")
    change: ToolCall | None = Field(None, description="A call that changes the created resource.")
    remove: ToolCall | None = Field(None, description="A call that removes the created resource.")
    resource: str = Field(
        "",
        description="Address of the created resource, such as note://{result.id}; placeholders as in calls.",
    )
    listed_in: str = Field(
        "",
        description="Resource whose text lists the created ones; empty means it appears in resources/list.",
    )
    resource_holds: str = Field("", description="Text that the created resource must hold.")


class Environment(_Section):
    """One place where the service runs."""

    platform: Literal["erlmcp"] = Field("erlmcp", description="How new code comes to run and traffic moves.")
    base_url: str = Field(description="Where clients reach the service, such as https://mcp.example.com.")
    mcp_path: str = Field("/mcp", description="Path of the MCP endpoint.")
    admin_url: str = Field(description="The read-only admin listener.")
    control: str = Field("", description="Path of the control socket; needed to deploy.")
    profile: str = Field("full", description="Which requirements the gate demands; full means all 366.")
    log_file: str = Field("", description="JSON log of the service, if it writes one.")
    drain_timeout_s: float = Field(
        30.0, description="How long the old generation may finish its work, seconds."
    )
    thresholds: Thresholds = Field(default_factory=Thresholds)


class Profile(_Section):
    """A named subset of the checklist that a gate demands. The rest is shown, never hidden."""

    reason: str = Field(description="Why this subset is enough here; printed beside every verdict.")
    checks: tuple[str, ...] = Field(description="Requirement ids; a trailing * stands for a whole group.")


class NotApplicable(_Section):
    """A group that is declared out of scope. Listed on every report."""

    reason: str = Field(description="Why it does not apply; printed on every report.")
    by: str = Field(description="Id of the person who decided it.")
    until: str = Field(description="Last day on which this holds, as YYYY-MM-DD.")


class Settings(_Section):
    """All of gonogo.toml."""

    service: Service
    release: ReleaseSource = Field(default_factory=ReleaseSource)
    people: dict[str, PersonConfig] = Field(default_factory=dict)
    commands: Commands = Field(default_factory=Commands)
    environments: dict[str, Environment] = Field(default_factory=dict)
    profiles: dict[str, Profile] = Field(default_factory=dict)
    not_applicable: dict[str, NotApplicable] = Field(default_factory=dict)
    journeys: Journeys = Field(default_factory=Journeys)
    state: str = Field(".gonogo", description="Folder of the journal and the evidence, beside gonogo.toml.")


class Guest(_Section):
    """What runs: the part of a release manifest that is sent to the server."""

    target: str = Field(description="module:object, or path/file.py:object.")
    python: str = Field("", description="Interpreter; empty means the server's own.")
    cwd: str = Field(".", description="Working folder, relative to the repository.")
    env: dict[str, str] = Field(default_factory=dict, description="Environment variables; never secrets.")
    config: dict[str, str | int | float | bool | list[str]] = Field(
        default_factory=dict,
        description="erlmcp settings of this generation, by dotted name, such as log.level.",
    )


class Manifest(_Section):
    """A release manifest, such as releases/1.1.0.toml."""

    version: str = Field(description="The version; the same as in the name of the file.")
    guest: Guest
