"""Trust rules: whose identity tokens an organization takes."""

from __future__ import annotations

from msgspec import UNSET
from starlette.responses import Response

from pullpass.api.call import Call, answer
from pullpass.api.models.trust import (
    TrustRuleRequest,
    TrustRuleResponse,
    TrustTestRequest,
    TrustTestResponse,
    TrustTestRule,
)
from pullpass.api.operation import Operation
from pullpass.broker.fields import Fields
from pullpass.domain import timestamp
from pullpass.domain.access import Action
from pullpass.domain.credential import Secret
from pullpass.domain.trust import TrustRule


async def list_trust_rules(call: Call) -> Response:
    rules = await call.services.trust.rules(call.caller)
    return answer([_rule(rule) for rule in rules])


async def create_trust_rule(call: Call) -> Response:
    return answer(_rule(await call.services.trust.create(call.caller, await call.body())), 201)


async def get_trust_rule(call: Call) -> Response:
    return answer(_rule(await call.services.trust.rule(call.caller, call.path("ruleId"))))


async def update_trust_rule(call: Call) -> Response:
    changed = await call.services.trust.change(call.caller, call.path("ruleId"), await call.body())
    return answer(_rule(changed))


async def delete_trust_rule(call: Call) -> Response:
    await call.services.trust.delete(call.caller, call.path("ruleId"))
    return Response(status_code=204)


async def test_trust_rules(call: Call) -> Response:
    body = await call.body()
    fields = Fields(body, ("token",))
    token = body.get("token")
    if not isinstance(token, str) or not token:
        # Not by the readers of Fields, which would repeat it.
        fields.problem("token", "is missing or no string", "an identity token")
    fields.done()
    trial = await call.services.federation.test(call.caller, Secret(str(token)))
    return answer(
        TrustTestResponse(
            ok=trial.problem is None,
            rules=[
                TrustTestRule(rule_id, reason is None, reason or UNSET)
                for rule_id, reason in trial.reasons
            ],
            rule=trial.rule_id or UNSET,
            problem=trial.problem or UNSET,
        )
    )


def _rule(rule: TrustRule) -> TrustRuleResponse:
    member = rule.membership
    return TrustRuleResponse(
        id=rule.id,
        issuer=rule.issuer,
        audience=rule.audience,
        claims={name: list(patterns) for name, patterns in rule.claims.items()},
        role=member.role,
        lifetime=int(rule.lifetime.total_seconds()),
        user_id=rule.user_id,
        created_at=timestamp.render(rule.created_at),
        created_by=rule.created_by,
        cluster=member.cluster or UNSET,
        registries=UNSET if member.registries is None else list(member.registries),
    )


_RULES = "/orgs/{orgId}/trust-rules"
_RULE = f"{_RULES}/{{ruleId}}"

OPERATIONS = (
    Operation(
        "listTrustRules",
        "GET",
        _RULES,
        Action.READ_TRUST,
        list_trust_rules,
        "Trust",
        "Lists the trust rules of the organization.",
        answer=list[TrustRuleResponse],
        errors=(401, 403, 404),
    ),
    Operation(
        "createTrustRule",
        "POST",
        _RULES,
        Action.WRITE_TRUST,
        create_trust_rule,
        "Trust",
        "Trusts identity tokens of an issuer, those with certain claims, for a role.",
        success=201,
        answer=TrustRuleResponse,
        body=TrustRuleRequest,
        errors=(400, 401, 403, 404, 409, 413),
    ),
    Operation(
        "getTrustRule",
        "GET",
        _RULE,
        Action.READ_TRUST,
        get_trust_rule,
        "Trust",
        "A trust rule.",
        answer=TrustRuleResponse,
        errors=(401, 403, 404),
    ),
    Operation(
        "updateTrustRule",
        "PATCH",
        _RULE,
        Action.WRITE_TRUST,
        update_trust_rule,
        "Trust",
        "Changes a trust rule; the tokens that were given under it end.",
        answer=TrustRuleResponse,
        body=TrustRuleRequest,
        errors=(400, 401, 403, 404, 409, 413),
    ),
    Operation(
        "deleteTrustRule",
        "DELETE",
        _RULE,
        Action.WRITE_TRUST,
        delete_trust_rule,
        "Trust",
        "Deletes a trust rule; the tokens that were given under it end.",
        success=204,
        errors=(401, 403, 404),
    ),
    Operation(
        "testTrustRules",
        "POST",
        f"{_RULES}/actions/test",
        Action.READ_TRUST,
        test_trust_rules,
        "Trust",
        "Says which rule an identity token comes under, and why not. Gives no token.",
        answer=TrustTestResponse,
        body=TrustTestRequest,
        errors=(400, 401, 403, 404, 413),
    ),
)
