"""The form of a record: from what was typed to the fields of a record, and its problems back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pullpass.domain import timestamp
from pullpass.domain.errors import Conflict, FieldProblem, InvalidFields, PullpassError
from pullpass.domain.provider_rules import AMBIENT, IDENTITY
from pullpass.domain.record import Record
from pullpass.domain.record_types import RecordType
from pullpass.web.kinds import Kind
from pullpass.web.problems import shown

SECRET = "creds.password"  # noqa: S105
_USERNAME = "creds.username"
_END = "creds.expires"
_AMBIENT = f"options.{IDENTITY}"
_SECRETS_EXPECTED = "one line for each cluster, like: eu-1 = namespace/secret"


@dataclass(frozen=True, slots=True)
class RecordForm:
    """What the form shows: ``values`` by the dotted names of the record's fields, never a secret.
    ``problems`` by the name of the field where each is shown; ``general`` belong to none.
    """

    values: Mapping[str, str]
    problems: Mapping[str, str] = field(default_factory=dict)
    general: Sequence[str] = ()

    @property
    def is_wrong(self) -> bool:
        return bool(self.problems or self.general)


def blank(kind: Kind) -> RecordForm:
    return RecordForm({"registry": kind.registry})


def of_record(record: Record) -> RecordForm:
    options = {f"options.{name}": value for name, value in (record.options or {}).items()}
    return RecordForm(
        {
            "registry": record.registry,
            "enable_ci": "on" if record.enable_ci else "",
            "secrets": _secret_lines(record),
            **options,
        }
    )


def typed(form: Mapping[str, str], error: PullpassError) -> RecordForm:
    """What was typed, without its secret, and what is wrong with it."""
    values = {name: value for name, value in form.items() if name != SECRET}
    problems: dict[str, str] = {}
    general: list[str] = []
    for problem in _problems(error):
        name = _shown_at(problem.field)
        if name is None:
            general.append(f"{problem.sentence()}.")
        else:
            problems.setdefault(name, shown(problem))
    if isinstance(error, Conflict) and isinstance(error.details.get("field"), str):
        problems[str(error.details["field"])] = error.message
    elif not problems and not general:
        general.append(error.message)
    return RecordForm(values, problems, general)


def read(
    form: Mapping[str, str], kind: Kind, current: Record | None
) -> tuple[dict[str, object], list[FieldProblem]]:
    """The fields of the record that were typed, and what is wrong with what only the form has:
    days, and lines of secrets. Of ``current``, the credential is absent where none was typed.
    """
    problems: list[FieldProblem] = []
    options = _options(form, kind)
    fields: dict[str, object] = {
        "registry": form.get("registry", "").strip() or None,
        "enable_ci": form.get("enable_ci") == "on",
        "secrets": _secrets(form.get("secrets", ""), problems),
        "options": options or None,
    }
    if current is None:
        fields |= {"id": form.get("id", "").strip() or None, "type": kind.type.value}
    creds = _creds(form, kind, problems)
    if creds is not None:
        fields["creds"] = creds
    elif current is None or options.get(IDENTITY) == AMBIENT:
        fields["creds"] = None
    return fields, problems


def _options(form: Mapping[str, str], kind: Kind) -> dict[str, str]:
    names = [option.name for option in (*kind.options, *kind.more)]
    found = {name: form.get(f"options.{name}", "").strip() for name in names}
    if kind.may_be_ambient and form.get(_AMBIENT) == AMBIENT:
        found[IDENTITY] = AMBIENT
    return {name: value for name, value in found.items() if value}


def _creds(
    form: Mapping[str, str], kind: Kind, problems: list[FieldProblem]
) -> dict[str, object] | None:
    asked = kind.credential
    if asked is None:
        return None
    end = _end(form.get(_END, "").strip(), problems)
    secret = form.get(SECRET, "")
    username = form.get(_USERNAME, "").strip() or None
    if asked.is_file:
        secret = secret.strip()
    if not secret and username is None:
        return None
    if kind.type is RecordType.GOOGLE_GCR:
        username = "_json_key" if secret.startswith("{") else "_json_key_base64"
    elif asked.username is None:
        username = asked.fixed_username
    return {"username": username, "password": secret or None, "expires": end}


def _end(text: str, problems: list[FieldProblem]) -> str | None:
    """The end of a day that was chosen, as the wire has it."""
    if not text:
        return None
    wire = f"{text}T00:00:00Z"
    try:
        timestamp.parse(wire)
    except ValueError:
        problems.append(FieldProblem(_END, "is not a day", "a day like 2030-01-31"))
        return None
    return wire


def _secrets(text: str, problems: list[FieldProblem]) -> dict[str, object] | None:
    found: dict[str, object] = {}
    for line in filter(str.strip, text.splitlines()):
        cluster, _, place = (part.strip() for part in line.partition("="))
        namespace, slash, secret = place.partition("/")
        if not slash or cluster in found:
            problem = f"holds the line {line[:80]!a}" if not slash else f"names {cluster!a} twice"
            problems.append(FieldProblem("secrets", problem, _SECRETS_EXPECTED))
            continue
        found[cluster] = {"namespace": namespace, "secret": secret}
    return found or None


def _secret_lines(record: Record) -> str:
    return "\n".join(
        f"{cluster} = {reference.namespace}/{reference.secret}"
        for cluster, reference in (record.secrets or {}).items()
    )


def _problems(error: PullpassError) -> Iterable[FieldProblem]:
    return error.problems if isinstance(error, InvalidFields) else ()


def _shown_at(path: str) -> str | None:
    """The name of the form's field where a problem with ``path`` is shown."""
    if path.startswith("secrets"):
        return "secrets"
    if path == "creds":
        return SECRET
    return None if path in ("type", "options") else path
