"""``pullpass trust``: whose identity tokens the organization takes."""

from __future__ import annotations

from typing import Any

import click

from pullpass.cli.confirming import confirm, yes_option
from pullpass.cli.exit_codes import ExitCode
from pullpass.cli.lazy import WholeLines
from pullpass.cli.output import (
    moment,
    note,
    output_option,
    print_details,
    print_json,
    print_list,
    print_table,
    yes_no,
)
from pullpass.cli.secrets_input import read_secret
from pullpass.cli.session import Session
from pullpass.client.trust import TrustRule, TrustRuleFields

_id_argument = click.argument("rule_id", metavar="ID")
_CREATE_EXAMPLE = """\b
pullpass trust create github --issuer https://token.actions.githubusercontent.com \\
  --claim repository=acme/app --claim ref=refs/heads/main --role ci
"""


def _rule_options(command: Any) -> Any:
    for option in reversed(
        (
            click.option("--issuer", metavar="URL", help="As the tokens have it in iss."),
            click.option(
                "--claim",
                "claims",
                multiple=True,
                metavar="NAME=PATTERN",
                help="What a claim must be; * is any text without / and :, ** any. Repeatable; "
                "of several for one name, one has to match.",
            ),
            click.option(
                "--role", metavar="ROLE", help="One of editor, reader, puller, ci, cluster."
            ),
            click.option("--cluster", metavar="NAME", help="The cluster, for the role 'cluster'."),
            click.option(
                "--registry",
                "registries",
                multiple=True,
                metavar="PATTERN",
                help="Only the credentials of these records. Repeatable.",
            ),
            click.option(
                "--audience", metavar="TEXT", help="As the tokens have it in aud (pullpass:ORG)."
            ),
            click.option(
                "--lifetime", type=int, metavar="SECONDS", help="Of the Pullpass token (900)."
            ),
        )
    ):
        command = option(command)
    return command


@click.group(cls=WholeLines)
def trust() -> None:
    """Say whose identity tokens are taken, for which role."""


@trust.command("list")
@output_option
@click.pass_obj
def list_(session: Session, output: str) -> None:
    """List the trust rules of the organization."""
    with session.client() as client:
        rules = client.trust_rules.list()
    print_list(
        output,
        rules,
        ["ID", "ISSUER", "CLAIMS", "ROLE", "REGISTRIES"],
        lambda r: [r.id, r.issuer, _claims_text(r), _role(r), _registries_text(r)],
        empty="No trust rules. Add one, for example: pullpass trust create github --issuer "
        "https://token.actions.githubusercontent.com --claim repository=OWNER/NAME --role ci",
    )


@trust.command()
@_id_argument
@output_option
@click.pass_obj
def get(session: Session, rule_id: str, output: str) -> None:
    """Show a trust rule."""
    with session.client() as client:
        _show(client.trust_rules.get(rule_id), output)


@trust.command(epilog=_CREATE_EXAMPLE)
@_id_argument
@_rule_options
@output_option
@click.pass_obj
def create(session: Session, /, rule_id: str, output: str, **options: Any) -> None:
    """Trust the identity tokens of an issuer, those with certain claims, for a role."""
    for name, option in (("issuer", "--issuer"), ("claims", "--claim"), ("role", "--role")):
        if not options[name]:
            raise click.UsageError(f"{option} is missing.")
    fields = _fields(options)
    fields["id"] = rule_id
    with session.client() as client:
        _show(client.trust_rules.create(fields), output)


@trust.command()
@_id_argument
@_rule_options
@click.option("--all-registries", is_flag=True, help="No limit to records but the role's.")
@output_option
@click.pass_obj
def update(
    session: Session, /, rule_id: str, all_registries: bool, output: str, **options: Any
) -> None:
    """Change what is given of a trust rule; the rest stays.

    Claims and records are replaced as a whole. Tokens that were given under the rule end.
    """
    fields = _fields(options)
    if all_registries:
        if "registries" in fields:
            raise click.UsageError("Give --registry or --all-registries, not both.")
        fields["registries"] = None
    if not fields:
        raise click.UsageError("Nothing to change: give an option.")
    with session.client() as client:
        _show(client.trust_rules.update(rule_id, fields), output)


@trust.command()
@_id_argument
@yes_option
@click.pass_obj
def delete(session: Session, rule_id: str, yes: bool) -> None:
    """Delete a trust rule. Its tokens are refused within a second."""
    confirm(f"Delete the trust rule {rule_id!r}?", yes=yes)
    with session.client() as client:
        client.trust_rules.delete(rule_id)
    note(f"Deleted the trust rule {rule_id!r}.")


@trust.command()
@click.option("--token-stdin", is_flag=True, help="Read the identity token from stdin.")
@click.option("--token-file", metavar="FILE", help="Read it from a file.")
@output_option
@click.pass_context
def test(ctx: click.Context, token_stdin: bool, token_file: str | None, output: str) -> None:
    """Say which rule an identity token comes under, and why not (exit code 4 if none)."""
    token = read_secret("Token", from_stdin=token_stdin, file=token_file)
    session: Session = ctx.obj
    with session.client() as client:
        found = client.trust_rules.test(token)
    if output == "json":
        print_json(found)
    else:
        print_details({"Taken": yes_no(found.ok), "Rule": found.rule, "Why not": found.problem})
        if found.rules:
            click.echo()
            print_table(
                ["RULE", "MATCHES", "WHY NOT"],
                ([rule.id, yes_no(rule.matches), rule.reason or ""] for rule in found.rules),
            )
    if not found.ok:
        ctx.exit(ExitCode.NOT_FOUND)


def _fields(options: dict[str, Any]) -> TrustRuleFields:
    fields: TrustRuleFields = {}
    for name in ("issuer", "role", "cluster", "audience", "lifetime"):
        if options[name] is not None:
            fields[name] = options[name]
    if options["claims"]:
        claims: dict[str, list[str]] = {}
        for text in options["claims"]:
            name, equals, pattern = text.partition("=")
            if not (name and equals and pattern):
                raise click.UsageError(f"--claim {text!r} is not of the form NAME=PATTERN.")
            claims.setdefault(name, []).append(pattern)
        fields["claims"] = claims
    if options["registries"]:
        fields["registries"] = list(options["registries"])
    return fields


def _show(rule: TrustRule, output: str) -> None:
    if output == "json":
        print_json(rule)
        return
    print_details(
        {"ID": rule.id, "Issuer": rule.issuer, "Audience": rule.audience}
        | {f"Claim {name}": " or ".join(patterns) for name, patterns in rule.claims.items()}
        | {
            "Role": _role(rule),
            "Registries": _registries_text(rule),
            "Lifetime": f"{rule.lifetime} s",
            "User": rule.user_id,
            "Created": f"{moment(rule.created_at)} by {rule.created_by}",
        }
    )


def _claims_text(rule: TrustRule) -> str:
    return ", ".join(
        f"{name}={pattern}" for name, patterns in rule.claims.items() for pattern in patterns
    )


def _role(rule: TrustRule) -> str:
    return rule.role if rule.cluster is None else f"{rule.role} {rule.cluster}"


def _registries_text(rule: TrustRule) -> str:
    return "all" if rule.registries is None else ", ".join(rule.registries)
