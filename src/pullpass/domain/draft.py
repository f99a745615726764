"""Writing a record: from the fields of a request body to a valid draft.

Creating reads a whole body; patching lays what was given over what is there and reads that, so
that there is one set of rules and the result is valid as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from pullpass.domain import timestamp
from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import FieldProblem, InvalidFields, InvalidRegistryPrefix
from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.provider_rules import AMBIENT, IDENTITY
from pullpass.domain.record import (
    ANY_CLUSTER,
    CLUSTER_EXPECTED,
    ID_EXPECTED,
    Record,
    SecretReference,
    Secrets,
    is_cluster_name,
    is_id,
)
from pullpass.domain.record_types import TYPE_RULES, Need, RecordType
from pullpass.domain.registry_hosts import recognize

# RFC 1123 label and subdomain, as Kubernetes names namespaces and secrets
# (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/).
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE = re.compile(_LABEL)
_SECRET = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")

_USERNAME_LENGTH = 1024
_PASSWORD_LENGTH = 65536
_OWN_FIELDS = ("id", "registry", "type", "creds", "secrets", "enable_ci", "options")
# Clients send back what they read: these are taken and ignored, since they cannot be changed.
_READ_ONLY_FIELDS = ("created_at", "created_by", "status")


@dataclass(frozen=True, slots=True)
class Draft:
    """A valid record as written, with the long-lived credential where the type has one."""

    id: str
    registry: str
    prefix: RegistryPrefix
    type: RecordType
    enable_ci: bool
    secrets: Secrets | None
    options: Mapping[str, str] | None
    creds: Credential | None

    def record(
        self,
        *,
        created_at: datetime | None,
        created_by: str | None,
        version: int = 0,
        builtin: bool = False,
    ) -> Record:
        return Record(
            self.id,
            self.registry,
            self.prefix,
            self.type,
            self.enable_ci,
            self.secrets,
            self.options,
            created_at,
            created_by,
            version,
            builtin,
        )


def parse(fields: Mapping[str, object]) -> Draft:
    """A draft from the fields of a request body.

    Raises:
        InvalidFields: lists every field that is wrong. No value of `creds` is ever echoed.
    """
    return _Reader(fields).draft()


def patch(record: Record, creds: Credential | None, fields: Mapping[str, object]) -> Draft:
    """What ``record`` becomes: absent fields stay, given ones replace, null clears.

    Raises:
        InvalidFields: the result is not valid as a whole, or the id would change.
    """
    current: dict[str, object] = {
        "id": record.id,
        "registry": record.registry,
        "type": record.type.value,
        "enable_ci": record.enable_ci,
        "secrets": record.secrets
        and {
            cluster: {"namespace": reference.namespace, "secret": reference.secret}
            for cluster, reference in record.secrets.items()
        },
        "options": record.options and dict(record.options),
        "creds": creds
        and {
            "username": creds.username,
            "password": creds.password.reveal(),
            "expires": creds.expires and timestamp.render(creds.expires),
        },
    }
    reader = _Reader({**current, **fields})
    if reader.fields["id"] != record.id:
        reader.problem("id", "cannot be changed", f"'{record.id}', or no id at all")
    return reader.draft()


class _Reader:
    """Reads a record's fields one by one and keeps a list of what is wrong with them."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self.fields = fields
        self.problems: list[FieldProblem] = []

    def problem(self, field: str, problem: str, expected: str) -> None:
        self.problems.append(FieldProblem(field, problem, expected))

    def draft(self) -> Draft:
        self._unknown(self.fields, _OWN_FIELDS + _READ_ONLY_FIELDS, "")
        record_id = self._id()
        registry, prefix = self._registry()
        record_type = self._type()
        enable_ci = self._enable_ci()
        creds = self._creds()
        secrets = self._secrets()
        options = self._options(record_type)
        if record_type is not None:
            self._type_rules(record_type, prefix, creds, options or {})
        if self.problems or prefix is None or record_type is None:
            raise InvalidFields(self.problems)
        return Draft(record_id, registry, prefix, record_type, enable_ci, secrets, options, creds)

    def _id(self) -> str:
        text = self._text("id", ID_EXPECTED)
        if text is not None and not is_id(text):
            self.problem("id", f"is {_shown(text)}", ID_EXPECTED)
        return text or ""

    def _registry(self) -> tuple[str, RegistryPrefix | None]:
        text = self._text("registry", "'{domain}' or '{domain}/{project}'")
        if text is None:
            return "", None
        try:
            return text, RegistryPrefix.parse(text)
        except InvalidRegistryPrefix as error:
            self.problem("registry", error.problem, error.expected)
            return text, None

    def _type(self) -> RecordType | None:
        expected = "one of " + ", ".join(RecordType)
        text = self._text("type", expected)
        if text is None:
            return None
        try:
            return RecordType(text)
        except ValueError:
            self.problem("type", f"is {_shown(text)}, which is not supported", expected)
            return None

    def _enable_ci(self) -> bool:
        value = self.fields.get("enable_ci")
        if value is not None and not isinstance(value, bool):
            self.problem("enable_ci", f"is {_kind(value)}", "true or false")
        return value is True

    def _creds(self) -> Credential | None:
        value = self.fields.get("creds")
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.problem("creds", f"is {_kind(value)}", "an object with username and password")
            return None
        self._unknown(value, ("username", "password", "expires"), "creds.")
        username = self._creds_text(value, "username", _USERNAME_LENGTH)
        password = self._creds_text(value, "password", _PASSWORD_LENGTH)
        expires = self._expires(value.get("expires"))
        if username is None or password is None:
            return None
        return Credential(username, Secret(password), expires)

    def _creds_text(self, creds: Mapping[str, object], name: str, longest: int) -> str | None:
        field, expected = f"creds.{name}", f"a string of 1 to {longest} characters"
        value = creds.get(name)
        if value is None:
            self.problem(field, "is missing", expected)
        elif not isinstance(value, str):
            self.problem(field, f"is {_kind(value)}", expected)
        elif not 1 <= len(value) <= longest:
            self.problem(field, f"has {len(value)} characters", expected)
        elif "\0" in value:
            self.problem(field, "holds a NUL character", expected)
        else:
            return value
        return None

    def _expires(self, value: object) -> datetime | None:
        if value is None:
            return None
        expected = f"{timestamp.EXPECTED}, or null"
        if not isinstance(value, str):
            self.problem("creds.expires", f"is {_kind(value)}", expected)
            return None
        try:
            return timestamp.parse(value)
        except ValueError:
            self.problem("creds.expires", f"is {_shown(value)}", expected)
            return None

    def _secrets(self) -> Secrets | None:
        value = self.fields.get("secrets")
        if value is None:
            return None
        expected = "an object from cluster name or '*' to {namespace, secret}"
        if not isinstance(value, Mapping):
            self.problem("secrets", f"is {_kind(value)}", expected)
            return None
        secrets = {cluster: self._secret(cluster, item) for cluster, item in value.items()}
        return MappingProxyType({key: item for key, item in secrets.items() if item is not None})

    def _secret(self, cluster: str, value: object) -> SecretReference | None:
        field = f"secrets.{cluster[:80]}"
        if cluster != ANY_CLUSTER and not is_cluster_name(cluster):
            self.problem(field, "is not named after a cluster", CLUSTER_EXPECTED)
        if not isinstance(value, Mapping):
            self.problem(field, f"is {_kind(value)}", "an object with namespace and secret")
            return None
        self._unknown(value, ("namespace", "secret"), f"{field}.")
        namespace = self._kubernetes_name(
            value, field, "namespace", _NAMESPACE, "a Kubernetes namespace (an RFC 1123 label)"
        )
        secret = self._kubernetes_name(
            value, field, "secret", _SECRET, "a Kubernetes secret name (an RFC 1123 subdomain)"
        )
        if namespace is None or secret is None:
            return None
        return SecretReference(namespace, secret)

    def _kubernetes_name(
        self,
        parent: Mapping[str, object],
        path: str,
        name: str,
        shape: re.Pattern[str],
        expected: str,
    ) -> str | None:
        value = parent.get(name)
        if value is None:
            self.problem(f"{path}.{name}", "is missing", expected)
        elif not isinstance(value, str):
            self.problem(f"{path}.{name}", f"is {_kind(value)}", expected)
        elif shape.fullmatch(value) is None:
            self.problem(f"{path}.{name}", f"is {_shown(value)}", expected)
        else:
            return value
        return None

    def _options(self, record_type: RecordType | None) -> Mapping[str, str] | None:
        value = self.fields.get("options")
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            self.problem("options", f"is {_kind(value)}", "an object")
            return None
        if record_type is None:
            return None
        rules = TYPE_RULES[record_type].options
        for name in value:
            if name not in rules:
                known = "one of " + ", ".join(rules) if rules else "no options for this type"
                self.problem(
                    f"options.{name[:80]}", f"is not an option of type '{record_type}'", known
                )
        found = {}
        for name, rule in rules.items():
            text = value.get(name)
            if text is None and rule.required:
                self.problem(
                    f"options.{name}", f"is missing for type '{record_type}'", rule.expected
                )
            elif text is not None and not (isinstance(text, str) and rule.shape.fullmatch(text)):
                shown = _shown(text) if isinstance(text, str) else _kind(text)
                self.problem(f"options.{name}", f"is {shown}", rule.expected)
            elif isinstance(text, str):
                found[name] = text
        return MappingProxyType(found) if found else None

    def _type_rules(
        self,
        record_type: RecordType,
        prefix: RegistryPrefix | None,
        creds: Credential | None,
        options: Mapping[str, str],
    ) -> None:
        rules = TYPE_RULES[record_type]
        has_creds = self.fields.get("creds") is not None
        secrets = self.fields.get("secrets")
        ambient = options.get(IDENTITY) == AMBIENT
        if rules.creds is Need.NONE and has_creds:
            self.problem("creds", f"is given for type '{record_type}'", rules.credential)
        elif has_creds and ambient:
            self.problem(
                "creds", f"is given beside options.{IDENTITY}", f"no creds, or no '{AMBIENT}'"
            )
        elif rules.creds is Need.REQUIRED and not has_creds and not ambient:
            instead = f", or '{AMBIENT}' in options.{IDENTITY}" if IDENTITY in rules.options else ""
            self.problem(
                "creds", f"is missing for type '{record_type}'", rules.credential + instead
            )
        elif creds is not None:
            for found in rules.check(creds):
                self.problem(f"creds.{found.field}", found.problem, found.expected)
        if rules.secrets is Need.NONE and secrets is not None:
            self.problem("secrets", f"is given for type '{record_type}'", "no secrets")
        elif rules.secrets is Need.REQUIRED and (secrets is None or secrets == {}):
            self.problem(
                "secrets",
                f"is missing for type '{record_type}'",
                "at least one cluster name or '*' with {namespace, secret}",
            )
        if rules.hosts and prefix and not recognize(rules.hosts, prefix.domain):
            examples = ", ".join(dict.fromkeys(shape.example for shape in rules.hosts))
            self.problem(
                "registry", f"is not a host of type '{record_type}'", f"a host like {examples}"
            )
        # An invalid option is not among them: it would be said to be missing.
        if not any(problem.field.startswith("options") for problem in self.problems):
            for found in rules.relate(options):
                self.problem(f"options.{found.field}", found.problem, found.expected)

    def _text(self, name: str, expected: str) -> str | None:
        value = self.fields.get(name)
        if value is None:
            self.problem(name, "is missing", expected)
        elif not isinstance(value, str):
            self.problem(name, f"is {_kind(value)}", expected)
        else:
            return value
        return None

    def _unknown(self, given: Mapping[str, object], known: tuple[str, ...], path: str) -> None:
        for name in given:
            if name not in known:
                own = [field for field in known if field not in _READ_ONLY_FIELDS]
                self.problem(
                    f"{path}{name[:80]}", "is not a known field", "one of " + ", ".join(own)
                )


def _shown(text: str) -> str:
    clipped = text if len(text) <= 80 else text[:77] + "..."
    return ascii(clipped)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, list) else "null"
