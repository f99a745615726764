"""The OpenAPI document's examples: of every schema, by its name, and of every error, by its status.

Tests hold them against the schemas and against the codes that there are.
"""

from __future__ import annotations

from collections.abc import Mapping

_ID = "acme-ghcr"
_REGISTRY = "ghcr.io/acme"
_TIME = "2026-01-31T12:00:00.000Z"
_LATER = "2027-01-31T12:00:00.000Z"
_USER = "2d64eb4c-dbdb-425c-b387-48c1a6c62148"
_SECRETS: Mapping[str, object] = {
    "*": {"namespace": "pull-secrets", "secret": "ghcr"},
    "eu-1": {"namespace": "pull-secrets", "secret": "ghcr-eu"},
}
_IMAGE = "ghcr.io/acme/app:1.2"
_MATCHED: Mapping[str, object] = {"id": _ID, "registry": _REGISTRY, "type": "basic"}
_REFERENCE: Mapping[str, object] = {"domain": "ghcr.io", "repository": "acme/app", "tag": "1.2"}
_REASON = "ghcr.io/acme is the only prefix that matches ghcr.io/acme/app"
_MATCH: Mapping[str, object] = {
    "image": _IMAGE,
    "reference": _REFERENCE,
    "match": _MATCHED,
    "candidates": [],
    "reason": _REASON,
}
_CREDS: Mapping[str, object] = {
    "registry": _REGISTRY,
    "username": "bot",
    "password": "an-example",
    "expires": _LATER,
}
# Base64 of bot:an-example.
_ENTRY: Mapping[str, object] = {"auth": "Ym90OmFuLWV4YW1wbGU="}
_WORKS: Mapping[str, object] = {
    "ok": True,
    "code": "ok",
    "message": "The credential works.",
    "checked_at": _TIME,
}
_STEP: Mapping[str, object] = {"name": "login", "ok": True, "milliseconds": 84}
_FIELD: Mapping[str, object] = {
    "field": "creds.username",
    "problem": "is missing",
    "expected": "a string of 1 to 1024 characters",
}

_JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbi1leGFtcGxlIn0.c2lnbmF0dXJl"
_RULE: Mapping[str, object] = {
    "id": "app",
    "issuer": "https://token.actions.githubusercontent.com",
    "audience": "pullpass:acme",
    "claims": {"repository": ["acme/app"], "ref": ["refs/heads/main"]},
    "role": "ci",
    "lifetime": 900,
    "registries": [_ID],
}
_UNTAKEN: Mapping[str, object] = {
    "id": "release",
    "matches": False,
    "reason": "its claim 'ref' is 'refs/heads/main', not 'refs/heads/release'",
}

_PROBLEM: Mapping[str, object] = {
    "namespace": "team-a",
    "code": "secret_taken",
    "message": "There is a secret team-a/regcred-acme-ghcr that the agent has not made, and it is "
    "left alone. Delete or rename it.",
}
_IN_CLUSTER: Mapping[str, object] = {
    "id": _ID,
    "secrets": 11,
    "pending": 0,
    "failed": 1,
    "problems": [_PROBLEM],
}
_REPORT: Mapping[str, object] = {
    "version": "0.1.0",
    "mode": "needed",
    "revision": 7,
    "namespaces": 12,
}
_CLUSTER: Mapping[str, object] = {
    **_REPORT,
    "id": "eu-1",
    "connected": True,
    "reported_at": _TIME,
    "secrets": 11,
    "pending": 0,
    "failed": 1,
}

SCHEMAS: Mapping[str, object] = {
    "AccountCredsRequest": {"username": "bot", "password": "an-example", "expires": _LATER},
    "ChangesResponse": {"revision": 7, "registries": [_ID]},
    "CheckRequest": {"repository": "acme/app"},
    "CheckResponse": {**_WORKS, "steps": [_STEP]},
    "CheckStep": _STEP,
    "ClusterProblem": _PROBLEM,
    "ClusterRegistry": _IN_CLUSTER,
    "ClusterReportRequest": {**_REPORT, "registries": [_IN_CLUSTER]},
    "ClusterResponse": {**_CLUSTER, "registries": [_IN_CLUSTER]},
    "ClusterSecretRequest": {"namespace": "pull-secrets", "secret": "ghcr"},
    "ClusterSecretResponse": {"namespace": "pull-secrets", "secret": "ghcr"},
    "ClusterSecretsMapRequest": _SECRETS,
    "ClusterSecretsMapResponse": _SECRETS,
    "ClusterSummaryResponse": _CLUSTER,
    "Consumer": "docker",
    "DockerConfigEntry": _ENTRY,
    "DockerConfigRequest": {"images": [_IMAGE], "consumer": "docker"},
    "DockerConfigResponse": {"auths": {"ghcr.io": _ENTRY, _REGISTRY: _ENTRY}},
    "ErrorDetails": {"fields": [_FIELD]},
    "ErrorInfoResponse": {
        "error": "There is no registry record 'acme-ghcr' in this organization.",
        "code": "registry_not_found",
    },
    "FieldProblem": _FIELD,
    "HealthResponse": {"status": "ok"},
    "ImageCredsResponse": {**_CREDS, "id": _ID, "type": "basic"},
    "ImageMatch": _MATCH,
    "ImageReferenceResponse": _REFERENCE,
    "LogoResponse": {},
    "MatchRequest": {"images": [_IMAGE]},
    "MatchResponse": {"results": [_MATCH], "unmatched": [], "malformed": []},
    "MatchedRecord": _MATCHED,
    "NewServiceUserRequest": {"name": "eu-1", "role": "cluster", "cluster": "eu-1"},
    "OAuthErrorResponse": {
        "error": "invalid_request",
        "error_description": "The parameter audience is missing.",
        "code": "invalid_request",
    },
    "OrganizationResponse": {
        "id": "acme",
        "name": "Acme",
        "created_at": _TIME,
        "created_by": _USER,
        "trial_expires_at": None,
        "logo": {},
    },
    "RegistryCredsResponse": _CREDS,
    "RegistryOptions": {"role_arn": "arn:aws:iam::123456789012:role/pull"},
    "RegistryRequest": {
        "id": _ID,
        "registry": _REGISTRY,
        "type": "basic",
        "creds": {"username": "bot", "password": "an-example"},
        "enable_ci": False,
    },
    "RegistryResponse": {
        "id": _ID,
        "registry": _REGISTRY,
        "type": "basic",
        "enable_ci": False,
        "secrets": _SECRETS,
        "created_at": _TIME,
        "created_by": _USER,
        "status": {**_WORKS, "since": _TIME},
    },
    "RegistryStatusResponse": {**_WORKS, "since": _TIME},
    "RolesResponse": {"/orgs/acme": "admin"},
    "TokenDefinitionRequest": {"id": "first", "type": "static", "expires_at": _LATER},
    "TokenExchangeRequest": {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": _JWT,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "audience": "acme",
    },
    "TokenExchangeResponse": {
        "access_token": "ppt_an-example",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 900,
        "scope": "app",
    },
    "AuditLogEntry": {
        "sequence": 4,
        "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "action": "credential.read",
        "address": "192.0.2.10",
        "at": _TIME,
        "details": {"type": "basic"},
        "image": _IMAGE,
        "org_id": "acme",
        "registry_id": _ID,
        "request_id": "build-17",
        "request_method": "GET",
        "request_path": "/orgs/acme/image-creds",
        "response_status": 200,
        "result": "ok",
        "role": "puller",
        "token_id": "first",
        "user_agent": "pullpass/0.1.0",
        "user_id": _USER,
        "user_name": "build",
        "version": 1,
    },
    "TokenInfoResponse": {
        "id": "first",
        "type": "static",
        "description": "For the cluster eu-1",
        "created_at": _TIME,
        "created_by": _USER,
        "user_id": _USER,
        "expires_at": _LATER,
    },
    "TokenResponse": {"token": "ppt_an-example", "type": "static"},
    "TrustRuleRequest": _RULE,
    "TrustRuleResponse": {
        **_RULE,
        "user_id": _USER,
        "created_at": _TIME,
        "created_by": _USER,
    },
    "TrustTestRequest": {"token": _JWT},
    "TrustTestResponse": {"ok": True, "rule": "app", "rules": [{"id": "app", "matches": True}]},
    "TrustTestRule": _UNTAKEN,
    "UserProfileExtendedRequest": {"name": "Ada"},
    "UserProfileExtendedResponse": {
        "id": _USER,
        "name": "Ada",
        "type": "user",
        "created_at": _TIME,
        "properties": {},
        "roles": {"/orgs/acme": "admin"},
        "email": "ada@example.com",
    },
    "UserRoleRequest": {"role": "reader"},
    "UserRoleResponse": {
        "id": _USER,
        "name": "eu-1",
        "type": "service",
        "role": "cluster",
        "created_at": _TIME,
        "cluster": "eu-1",
    },
}

ERRORS: Mapping[int, Mapping[str, object]] = {
    400: {
        "error": "creds.username is missing; expected a string of 1 to 1024 characters.",
        "code": "invalid_fields",
        "details": {"fields": [_FIELD]},
    },
    401: {
        "error": "A token is required: send it as 'Authorization: Bearer <token>'.",
        "code": "token_required",
    },
    403: {
        "error": "The role 'reader' may not change registry records. "
        "Roles that may: admin, editor.",
        "code": "forbidden",
        "details": {"role": "reader", "action": "change registry records"},
    },
    404: {
        "error": "There is no registry record 'acme-ghcr' in this organization.",
        "code": "registry_not_found",
    },
    408: {"error": "The body did not arrive within 30 s.", "code": "body_too_slow"},
    409: {
        "error": "The registry record 'acme-ghcr' stands for 'ghcr.io/acme' already.",
        "code": "registry_taken",
        "details": {"field": "registry", "registry_id": _ID},
    },
    412: {
        "error": "The registry record 'acme-ghcr' was changed since you read it. "
        "Read it again and repeat the change.",
        "code": "precondition_failed",
        "details": {"registry_id": _ID},
    },
    413: {"error": "The body is larger than 1048576 bytes.", "code": "body_too_large"},
    502: {
        "error": "The upstream refuses the stored credential. Store another one.",
        "code": "upstream_rejected",
    },
    429: {
        "error": "This token makes more than 1000 calls a second. Try again in 1 s.",
        "code": "rate_limited",
    },
    503: {
        "error": "The database cannot be used now: it does not answer.",
        "code": "store_unavailable",
    },
}
# Of a token exchange, which has them as RFC 6749 does.
OAUTH_ERRORS: Mapping[int, Mapping[str, object]] = {
    400: {
        "error": "invalid_grant",
        "error_description": "The identity token comes under no trust rule of this organization, "
        "or is not valid. The log of the server says why.",
        "code": "invalid_grant",
    },
    408: {
        "error": "invalid_request",
        "error_description": "The body did not arrive within 30 s.",
        "code": "body_too_slow",
    },
    413: {
        "error": "invalid_request",
        "error_description": "The body is larger than 65536 bytes.",
        "code": "body_too_large",
    },
    429: {
        "error": "temporarily_unavailable",
        "error_description": "Too many unknown or refused tokens, or failed sign-ins, came from "
        "your address. Try again in 42 s.",
        "code": "too_many_attempts",
    },
    503: {
        "error": "temporarily_unavailable",
        "error_description": "The keys of the issuer cannot be fetched now. Try again later; the "
        "log of the server says why.",
        "code": "issuer_unavailable",
    },
}
NOT_READY: Mapping[str, object] = {
    "status": "unavailable",
    "problem": "The database cannot be used now: it does not answer.",
}


def of_schema(name: str) -> dict[str, object]:
    """The keyword `examples` of a schema."""
    return {"examples": [SCHEMAS[name]]} if name in SCHEMAS else {}
