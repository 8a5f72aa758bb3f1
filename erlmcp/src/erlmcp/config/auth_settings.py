"""What ``[auth]`` of ``erlmcp.toml`` may say: whose access tokens are good, and how long that is believed.

Judging tokens is ``erlmcp.edge.auth``; the rest of the configuration is ``erlmcp.config.schema``.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from erlmcp.config.section import ONE_LINE, Section
from erlmcp.config.urls import identifier, loopback_or_https
from erlmcp.protocol.methods import METHODS

_Url = Annotated[str, AfterValidator(loopback_or_https)]
_Identifier = Annotated[str, AfterValidator(identifier)]
_Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Of signatures with a public key; a shared secret is no way to check the tokens of others."""


class IssuerSettings(Section):
    """One authorization server whose tokens are good: an entry of [[auth.issuers]]."""

    issuer: _Identifier = Field(
        description="Its identifier, exactly as in its tokens (iss) and its metadata (RFC 8414 or OpenID)."
    )
    jwks_url: _Url = Field(
        "", description="Where its keys are; empty: where its metadata says. https, or loopback."
    )
    audiences: tuple[str, ...] = Field(
        (),
        description="Audiences that are taken beside auth.resource, for an issuer that does not know resource"
        " indicators (RFC 8707) and writes, say, a client id into aud.",
    )
    algorithms: tuple[_Algorithm, ...] = Field(
        ("RS256", "PS256", "ES256", "ES384", "EdDSA"),
        min_length=1,
        description="Algorithms of signatures that are taken.",
    )
    typ_at_jwt: bool = Field(
        False,
        description="Take only tokens that call themselves access tokens (typ at+jwt, RFC 9068), so that the"
        " issuer's other tokens cannot be used instead.",
    )
    introspection_url: _Url = Field(
        "",
        description="Where it can be asked about tokens that are no JWTs (RFC 7662); one issuer only. https,"
        " or loopback. Empty refuses them.",
    )
    client_id: str = Field(
        "", pattern=r"^[!-~]*$", description="As whom this server asks there; needed with introspection_url."
    )
    client_secret_file: str = Field(
        "",
        pattern=ONE_LINE,
        description="Path of the secret for that, open to its owner only; needed with introspection_url.",
    )

    @model_validator(mode="after")
    def _can_ask(self) -> IssuerSettings:
        if self.introspection_url and not (self.client_id and self.client_secret_file):
            raise ValueError("client_id and client_secret_file with introspection_url")
        return self


def _method(pattern: str) -> str:
    """A rule for a method that nobody calls would protect nothing."""
    if "*" not in pattern and pattern not in METHODS:
        near = get_close_matches(pattern, METHODS, n=1)
        raise ValueError(
            f"a method of MCP, such as {near[0] if near else 'tools/call'}; one of the guest's own needs a *"
        )
    return pattern


_Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]
"""A word of RFC 6749, 3.3."""

_Pattern = Annotated[str, Field(min_length=1, max_length=1_000)]


class ScopeRule(Section):
    """What some requests need: an entry of [[auth.scopes]]. Of several that apply, all are needed."""

    scopes: tuple[_Scope, ...] = Field(min_length=1, description="Scopes that the token must have.")
    methods: tuple[Annotated[_Pattern, AfterValidator(_method)], ...] = Field(
        (), description="For requests of these methods, such as resources/*; * stands for any text."
    )
    tools: tuple[_Pattern, ...] = Field((), description="For calls of these tools, such as delete_*.")
    prompts: tuple[_Pattern, ...] = Field(
        (), description="For getting these prompts, and completing their arguments."
    )
    resources: tuple[_Pattern, ...] = Field(
        (), description="For reading these URIs, subscribing to them and completing their templates."
    )

    @model_validator(mode="after")
    def _is_for_something(self) -> ScopeRule:
        if not (self.methods or self.tools or self.prompts or self.resources):
            raise ValueError("methods, tools, prompts or resources for which the scopes are needed")
        return self


class BroaderScope(Section):
    """A scope that stands for others, too: an entry of [[auth.broader_scopes]]."""

    scope: _Scope = Field(description="Who has it...")
    includes: tuple[_Scope, ...] = Field(min_length=1, description="...has these, and what they include.")


class AuthSettings(Section):
    """Access tokens on HTTP, HTTP+SSE, WebSocket and TCP. Off while neither tokens nor issuers are named."""

    resource: _Identifier = Field(
        "",
        description="This server as its clients name it, such as https://mcp.example.com/mcp: the audience"
        " that tokens must be made for (RFC 8707). Needed with issuers.",
    )
    issuers: tuple[IssuerSettings, ...] = Field(
        (), max_length=16, description="Authorization servers whose tokens are good."
    )

    tokens_file: str = Field(
        "",
        pattern=ONE_LINE,
        description="Path of the digests of static tokens, which only its owner may write; erlmcp token NAME"
        " makes a line. Empty takes none.",
    )
    required_scopes: tuple[_Scope, ...] = Field(
        (), description="Scopes that every token must have, whatever it is used for."
    )
    anonymous: bool = Field(
        False,
        description="Declares that anybody may use this server without a token, which allows a public address"
        " without tokens_file and issuers.",
    )
    scopes: tuple[ScopeRule, ...] = Field(
        (), max_length=1_000, description="Scopes that some requests need beside those that all need."
    )
    broader_scopes: tuple[BroaderScope, ...] = Field(
        (), max_length=1_000, description="Scopes that include others."
    )
    reload_interval_s: float = Field(
        5.0, gt=0, description="How often the file of tokens is looked at for changes, seconds."
    )
    verdict_max_age_s: float = Field(
        300.0, gt=0, description="How long a token that was found good is not looked at again, seconds."
    )
    clock_skew_s: float = Field(
        30.0,
        ge=0,
        le=300,
        description="By how much the clock of an issuer may differ from ours, for exp, nbf and iat, seconds.",
    )
    keys_refresh_s: float = Field(
        300.0, gt=0, description="How often the keys of an issuer are fetched, seconds."
    )
    keys_max_age_s: float = Field(
        3_600.0,
        gt=0,
        description="How long keys are used while they cannot be fetched again; then the issuer's tokens are"
        " refused with 503, seconds.",
    )
    keys_cooldown_s: float = Field(
        10.0,
        gt=0,
        description="Least time between two fetches that are asked for by tokens with unknown keys, seconds.",
    )
    fetch_timeout_s: float = Field(5.0, gt=0, description="How long an issuer may take to answer, seconds.")

    @model_validator(mode="after")
    def _means_one_thing(self) -> AuthSettings:
        if self.anonymous and self.enabled:
            raise ValueError("anonymous only where no tokens_file and no issuers are named")
        return self

    @property
    def enabled(self) -> bool:
        """Whether clients must send a token."""
        return bool(self.tokens_file or self.issuers)

    @field_validator("issuers")
    @classmethod
    def _each_once(cls, issuers: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
        if len({each.issuer for each in issuers}) < len(issuers):
            raise ValueError("each issuer once")
        if sum(bool(each.introspection_url) for each in issuers) > 1:
            raise ValueError("one issuer with introspection_url: an opaque token does not say whose it is")
        return issuers
