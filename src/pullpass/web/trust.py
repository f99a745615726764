"""Trust rules: whose identity tokens are taken instead of a stored token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from starlette.responses import Response

from pullpass.broker.federation import Trial
from pullpass.domain.access import Action
from pullpass.domain.credential import Secret
from pullpass.domain.errors import Conflict, FieldProblem, InvalidFields, PreconditionFailed
from pullpass.domain.identity import Role
from pullpass.domain.trust import DEFAULT_LIFETIME, ROLES, TrustRule, default_audience
from pullpass.web.page import Page
from pullpass.web.problems import NO_PROBLEMS, Problems, problems_of
from pullpass.web.stale import Difference, differences
from pullpass.web.users import ROLES as ROLE_TEXTS
from pullpass.web.visit import Visit

_MINUTE = timedelta(minutes=1)
_MINUTES = re.compile(r"[0-9]{1,9}", re.ASCII)
_CLAIMS_EXPECTED = "one line for each claim and pattern, like: repository = acme/shop"
# What is asked for most: an example for the field, and where the facts of the issuer stand.
_ISSUERS = {
    "https://token.actions.githubusercontent.com": "GitHub Actions",
    "https://gitlab.com": "GitLab",
}


async def list_rules(visit: Visit) -> Response:
    return await _list_page(visit)


async def add_rule(visit: Visit) -> Response:
    try:
        rule = await visit.services.trust.create(visit.caller, _body(visit.form))
    except (InvalidFields, Conflict) as error:
        return await _list_page(visit, visit.form, _problems(error), status=400)
    return visit.go(f"{visit.home}/trust/{rule.id}", "rule-created")


async def test_token(visit: Visit) -> Response:
    """Which rule an identity token comes under, and why not under the others."""
    token = visit.form.get("token", "").strip()
    if not token:
        problem = Problems({"token": "Paste an identity token here first."})
        return await _list_page(visit, test_problems=problem, status=400)
    trial = await visit.services.federation.test(visit.caller, Secret(token))
    return await _list_page(visit, trial=trial)


async def show_rule(visit: Visit) -> Response:
    rule = await visit.services.trust.rule(visit.caller, visit.path("rule"))
    return _rule_page(visit, rule, _values(rule))


async def change_rule(visit: Visit) -> Response:
    rule = await visit.services.trust.rule(visit.caller, visit.path("rule"))
    form = {**visit.form, "id": rule.id}
    try:
        await visit.services.trust.change(
            visit.caller, rule.id, _body(form), form.get("version", "")
        )
    except PreconditionFailed:
        stale = differences(_values(rule), form, _LABELS)
        return _rule_page(visit, rule, form, status=412, stale=stale)
    except (InvalidFields, Conflict) as error:
        return _rule_page(visit, rule, form, _problems(error), 400)
    return visit.go(f"{visit.home}/trust/{rule.id}", "rule-changed")


async def delete_rule(visit: Visit) -> Response:
    await visit.services.trust.delete(visit.caller, visit.path("rule"))
    return visit.go(f"{visit.home}/trust", "rule-deleted")


async def _list_page(
    visit: Visit,
    values: Mapping[str, str] | None = None,
    problems: Problems = NO_PROBLEMS,
    *,
    trial: Trial | None = None,
    test_problems: Problems = NO_PROBLEMS,
    status: int = 200,
) -> Response:
    return visit.page(
        "trust.html",
        status,
        rules=await visit.services.trust.rules(visit.caller),
        values=values or {"role": Role.CI, "minutes": str(DEFAULT_LIFETIME // _MINUTE)},
        problems=problems,
        trial=trial,
        test_problems=test_problems,
        **_shared(visit),
    )


def _rule_page(
    visit: Visit,
    rule: TrustRule,
    values: Mapping[str, str],
    problems: Problems = NO_PROBLEMS,
    status: int = 200,
    stale: list[Difference] | None = None,
) -> Response:
    return visit.page(
        "trust_rule.html",
        status,
        rule=rule,
        values=values,
        problems=problems,
        stale=stale,
        **_shared(visit),
    )


def _shared(visit: Visit) -> dict[str, object]:
    return {
        "roles": [(role.value, f"{role}: {ROLE_TEXTS[role]}") for role in ROLES],
        "issuers": _ISSUERS,
        "audience": default_audience(visit.caller.organization),
    }


def _values(rule: TrustRule) -> dict[str, str]:
    lines = [f"{name} = {pattern}" for name, all_ in rule.claims.items() for pattern in all_]
    return {
        "id": rule.id,
        "issuer": rule.issuer,
        "audience": rule.audience,
        "claims": "\n".join(lines),
        "role": rule.membership.role,
        "cluster": rule.membership.cluster or "",
        "registries": " ".join(rule.membership.registries or ()),
        "minutes": f"{rule.lifetime / _MINUTE:g}",
    }


def _body(form: Mapping[str, str]) -> dict[str, object]:
    """The form as the body that would create the rule. What cannot be read is left as it is, for
    the rule's own reader to refuse.
    """
    given = {name: form.get(name, "").strip() for name in ("id", "issuer", "audience", "role")}
    minutes = form.get("minutes", "").strip()
    return {
        **{name: text or None for name, text in given.items()},
        "claims": _claims(form.get("claims", "")),
        "cluster": form.get("cluster", "").strip() or None,
        "registries": form.get("registries", "").replace(",", " ").split() or None,
        "lifetime": int(minutes) * 60 if _MINUTES.fullmatch(minutes) else minutes,
    }


def _claims(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in filter(str.strip, text.splitlines()):
        name, sign, pattern = (part.strip() for part in line.partition("="))
        if not sign:
            problem = f"holds the line {line[:80]!a}"
            raise InvalidFields([FieldProblem("claims", problem, _CLAIMS_EXPECTED)])
        found.setdefault(name, []).append(pattern)
    return found


def _problems(error: InvalidFields | Conflict) -> Problems:
    found = problems_of(error)
    names = {"lifetime": "minutes"}
    fields: dict[str, str] = {}
    for path, sentence in found.fields.items():
        name = path.partition(".")[0]
        fields.setdefault(names.get(name, name), sentence)
    return Problems(fields, found.general)


_LABELS = {
    "issuer": "Issuer",
    "claims": "Claims",
    "role": "Role",
    "cluster": "Cluster",
    "registries": "Only these records",
    "minutes": "Minutes that a token lives",
    "audience": "Audience",
}
_RULES = "/orgs/{org}/trust"
_RULE = f"{_RULES}/{{rule}}"
_TESTS = "/orgs/{org}/trust-test"
_MANAGE = (Action.READ_TRUST, Action.WRITE_TRUST)

PAGES = (
    Page("GET", _RULES, Action.READ_TRUST, list_rules, "webTrust"),
    Page("POST", _RULES, _MANAGE, add_rule, "webAddTrust"),
    Page("GET", _TESTS, Action.READ_TRUST, list_rules, "webTrust"),
    Page("POST", _TESTS, Action.READ_TRUST, test_token, "webTestTrust"),
    Page("GET", _RULE, Action.READ_TRUST, show_rule, "webTrustRule"),
    Page("POST", _RULE, _MANAGE, change_rule, "webChangeTrust"),
    Page("POST", f"{_RULE}/delete", _MANAGE, delete_rule, "webDeleteTrust"),
)
