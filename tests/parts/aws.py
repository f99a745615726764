"""AWS on loopback: moto's ECR, KMS and STS, behind what moto lacks and AWS does.

In front of moto every signature is verified (who signed, for what, when, with which secret), keys
expire, roles are trusted to somebody, and tokens differ from each other and expire in the future.
ECR Public and the instance metadata service answer here as well.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

from tests.parts.ports import free_port
from tests.parts.process import Process
from tests.parts.stand_in import StandIn
from tests.parts.wire import Received, Scripted, answer

ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ROLE = "arn:aws:iam::123456789012:role/puller"
WEB_IDENTITY = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJwdWxscGFzcyJ9.signature"
_INSTANCE_ROLE = "instance-role"
_CREDENTIALS = "/latest/meta-data/iam/security-credentials/"
_METADATA_TOKEN = "metadata-token"

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)"
    r"/(?P<service>[a-z0-9-]+)/aws4_request, SignedHeaders=(?P<headers>[a-z0-9;-]+), "
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_TARGETS = {
    "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken": "ecr:GetAuthorizationToken",
    "SpencerFrontendService.GetAuthorizationToken": "ecr-public:GetAuthorizationToken",
}
_ALLOWED_SKEW = 15 * 60


@dataclass
class AwsKey:
    """``expires`` is a Unix time by the stand-in's clock; ``denied`` are actions."""

    secret: str
    session_token: str | None = None
    expires: float | None = None
    denied: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class AwsRole:
    """``trusts`` are the access keys that may assume it; ``external_id`` is what they must say."""

    trusts: tuple[str, ...] = (ACCESS_KEY_ID,)
    external_id: str | None = None


@dataclass(eq=False)
class AwsError(Exception):
    """One of the documented errors. The services name some of them differently."""

    type: str
    message: str
    status: int = 400
    headers: tuple[tuple[str, str], ...] = ()


class Aws(StandIn):
    """ECR, ECR Public, STS and the instance metadata service at one address.

    ``lifetime`` of the tokens is in seconds; ``issued`` has the passwords given out and when they
    end; ``refusal`` is what every signed call is refused with while that is set; ``region`` is
    the one that signatures must be made for, any where it is None.
    """

    def __init__(self, moto: str) -> None:
        self.keys = {ACCESS_KEY_ID: AwsKey(SECRET_ACCESS_KEY)}
        self.roles = {ROLE: AwsRole()}
        self.lifetime = 12 * 3600.0
        self.issued: dict[str, float] = {}
        self.refusal: AwsError | None = None
        self.region: str | None = None
        self._moto = moto
        super().__init__()

    @property
    def actions(self) -> list[str]:
        """What was called, in order, as an IAM policy names it."""
        return [_action(call) for call in self.calls]

    def count(self, action: str) -> int:
        return self.actions.count(action)

    def accepts(self, password: str) -> bool:
        """Whether a registry would let this in now."""
        return self.issued.get(password, 0) > self.time()

    def handle(self, request: Received) -> Scripted:
        if request.target.startswith("/latest/"):
            return self._metadata(request)
        action = _action(request)
        try:
            if self.refusal is not None:
                raise self.refusal
            if action == "sts:AssumeRoleWithWebIdentity":
                return self._assume_with_web_identity(request)
            key_id = self._verify(request, action)
            match action:
                case "ecr:GetAuthorizationToken":
                    return self._token(request)
                case "ecr-public:GetAuthorizationToken":
                    return answer({"authorizationData": self._fresh("public")})
                case "sts:AssumeRole":
                    return self._assume(request, key_id)
                case "kms:Encrypt" | "kms:Decrypt" | "kms:ReEncrypt":
                    return self._forward(request)
            raise AwsError("UnknownOperationException", "")
        except AwsError as error:
            return _error(request, error)

    def _verify(self, request: Received, action: str) -> str:
        """Who signed. https://docs.aws.amazon.com/IAM/latest/UserGuide/
        reference_sigv-create-signed-request.html
        """
        is_sts = action.startswith("sts:")
        wrong = "SignatureDoesNotMatch" if is_sts else "InvalidSignatureException"
        found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if found is None:
            raise AwsError("IncompleteSignature", "Authorization header is malformed.")
        names = found["headers"].split(";")
        stamp = request.headers.get("x-amz-date", "")
        sent = {"host", "x-amz-date", "x-amz-target", "x-amz-security-token"} & {*request.headers}
        if names != sorted(names) or not sent <= {*names} or stamp[:8] != found["date"]:
            raise AwsError("IncompleteSignature", "A header field that must be signed is not.")
        key = self.keys.get(found["key"])
        if key is None or request.headers.get("x-amz-security-token") != key.session_token:
            raise AwsError(
                "InvalidClientTokenId" if is_sts else "UnrecognizedClientException",
                "The security token included in the request is invalid.",
                403 if is_sts else 400,
            )
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        if abs(self.time() - signed_at) > _ALLOWED_SKEW:
            late = signed_at < self.time()
            kind = "expired" if late else "not yet current"
            raise AwsError(wrong, f"Signature {kind}: {stamp} is not now.", 403 if is_sts else 400)
        service = action.partition(":")[0]
        if found["service"] != service:
            raise AwsError(wrong, f"Credential should be scoped to correct service: '{service}'.")
        region = "us-east-1" if service == "ecr-public" else self.region or found["region"]
        if found["region"] != region:
            raise AwsError(wrong, "Credential should be scoped to a valid region.")
        if not hmac.compare_digest(found["signature"], _signature(request, found, key.secret)):
            raise AwsError(
                wrong,
                "The request signature we calculated does not match the signature you provided.",
                403 if is_sts else 400,
            )
        if key.expires is not None and key.expires <= self.time():
            raise AwsError(
                "ExpiredToken" if is_sts else "ExpiredTokenException",
                "The security token included in the request is expired",
                403 if is_sts else 400,
            )
        if action in key.denied:
            raise _denied(found["key"], action)
        return found["key"]

    def _token(self, request: Received) -> Scripted:
        if request.headers.get("content-type") != "application/x-amz-json-1.1":
            raise AwsError("UnknownOperationException", "")
        forwarded = self._forward(request)
        fields = json.loads(forwarded.body)
        for data in fields["authorizationData"]:
            _, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
            data.update(self._fresh(password))
        return answer(fields)

    def _fresh(self, password: str) -> dict[str, object]:
        password = f"{password}-{len(self.issued) + 1}"
        self.issued[password] = self.time() + self.lifetime
        return {
            "authorizationToken": base64.b64encode(f"AWS:{password}".encode()).decode(),
            "expiresAt": round(self.issued[password], 3),
        }

    def _assume(self, request: Received, key_id: str) -> Scripted:
        form = parse_qs(request.body.decode())
        role = self.roles.get(form["RoleArn"][0])
        if (
            role is None
            or key_id not in role.trusts
            or form.get("ExternalId", [None])[0] != role.external_id
        ):
            raise _denied(key_id, "sts:AssumeRole", 403)
        return self._issue_keys(request)

    def _assume_with_web_identity(self, request: Received) -> Scripted:
        form = parse_qs(request.body.decode())
        if form["WebIdentityToken"] != [WEB_IDENTITY]:
            raise AwsError("InvalidIdentityToken", "The web identity token could not be validated.")
        if form["RoleArn"][0] not in self.roles:
            raise _denied("web identity", "sts:AssumeRoleWithWebIdentity", 403)
        return self._issue_keys(request)

    def _issue_keys(self, request: Received) -> Scripted:
        forwarded = self._forward(request)
        if forwarded.status != 200:
            return forwarded
        found = ElementTree.fromstring(forwarded.body).find(".//{*}Credentials")
        assert found is not None
        keys = {part.tag.rpartition("}")[2]: part.text or "" for part in found}
        seconds = parse_qs(request.body.decode()).get("DurationSeconds", ["3600"])[0]
        self.keys[keys["AccessKeyId"]] = AwsKey(
            keys["SecretAccessKey"], keys["SessionToken"], self.time() + int(seconds)
        )
        # moto does not look at it, STS does.
        if "json" in request.headers.get("accept", ""):
            return answer({"AssumeRoleResponse": {"AssumeRoleResult": {"Credentials": keys}}})
        return forwarded

    def _metadata(self, request: Received) -> Scripted:
        """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html"""
        if request.method == "PUT" and request.target == "/latest/api/token":
            return Scripted(200, _METADATA_TOKEN.encode())
        if request.headers.get("x-aws-ec2-metadata-token") != _METADATA_TOKEN:
            return Scripted(401, b"")
        if request.target == _CREDENTIALS:
            return Scripted(200, _INSTANCE_ROLE.encode())
        if request.target != _CREDENTIALS + _INSTANCE_ROLE:
            return Scripted(404, b"")
        expires = self.time() + 6 * 3600
        self.keys["ASIAINSTANCEPROFILE1"] = AwsKey("instance-secret", "instance-token", expires)
        return answer(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": "ASIAINSTANCEPROFILE1",
                "SecretAccessKey": "instance-secret",
                "Token": "instance-token",
                "Expiration": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "LastUpdated": datetime.fromtimestamp(self.time(), UTC).isoformat(),
            }
        )

    def _forward(self, request: Received) -> Scripted:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in ("host", "content-length", "accept-encoding")
        }
        forwarded = urllib.request.Request(
            self._moto + request.target, request.body, headers, method=request.method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(forwarded, timeout=30) as reply:
                return Scripted(reply.status, reply.read(), {"Content-Type": "text/xml"})
        except urllib.error.HTTPError as error:
            with error:
                return Scripted(error.code, error.read(), {"Content-Type": "text/xml"})


def ecr_record(
    aws: Aws,
    record_id: str = "ecr",
    registry: str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    number: int = 0,
) -> dict[str, object]:
    """The record of a registry that ``aws`` stands for, with an access key for each ``number``."""
    key_id = ACCESS_KEY_ID if number == 0 else f"AKIAIOSFODNN{number:08}"
    secret = SECRET_ACCESS_KEY if number == 0 else f"{SECRET_ACCESS_KEY[:-3]}{number:03}"
    aws.keys[key_id] = AwsKey(secret)
    return {
        "id": record_id,
        "registry": registry,
        "type": "amazon_ecr",
        "creds": {"username": key_id, "password": secret},
        "options": {"endpoint": aws.url},
    }


@contextmanager
def moto_server(folder: Path) -> Iterator[str]:
    """moto's server, as long as the block runs; the URL of it. It takes a second to start."""
    port = free_port()
    process = Process(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=folder / "moto.log",
    )
    url = f"http://127.0.0.1:{port}"
    try:
        process.wait_until(lambda: _answers(f"{url}/moto-api/data.json"))
        yield url
    finally:
        process.kill()


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=5).close()
    except OSError:
        return False
    return True


def _action(request: Received) -> str:
    if request.target.startswith("/latest/"):
        return f"metadata:{request.target.rpartition('/')[2]}"
    if (target := request.headers.get("x-amz-target")) is not None:
        if target.startswith("TrentService."):
            return f"kms:{target.removeprefix('TrentService.')}"
        return _TARGETS.get(target, target)
    form = parse_qs(request.body.decode(errors="replace"))
    return f"sts:{form.get('Action', ['?'])[0]}"


def _signature(request: Received, scope: re.Match[str], secret: str) -> str:
    """Written from the specification, not by the library that the requests are signed with."""
    parts = urlsplit(request.target)
    fields = "".join(
        f"{name}:{' '.join(request.headers.get(name, '').split())}\n"
        for name in scope["headers"].split(";")
    )
    payload = hashlib.sha256(request.body).hexdigest()
    canonical = "\n".join(
        (request.method, parts.path or "/", parts.query, fields, scope["headers"], payload)
    )
    where = (scope["date"], scope["region"], scope["service"], "aws4_request")
    to_sign = "\n".join(
        (
            "AWS4-HMAC-SHA256",
            request.headers["x-amz-date"],
            "/".join(where),
            hashlib.sha256(canonical.encode()).hexdigest(),
        )
    )
    key = f"AWS4{secret}".encode()
    for part in (*where, to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def _denied(who: str, action: str, status: int = 400) -> AwsError:
    return AwsError(
        "AccessDenied" if action.startswith("sts:") else "AccessDeniedException",
        f"User: {who} is not authorized to perform: {action} on resource: *",
        status,
    )


def _error(request: Received, error: AwsError) -> Scripted:
    headers = dict(error.headers)
    if _action(request).startswith("sts:"):
        body = (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
            f"<Type>Sender</Type><Code>{error.type}</Code><Message>{error.message}</Message>"
            "</Error><RequestId>c6104cbe</RequestId></ErrorResponse>"
        )
        return Scripted(error.status, body.encode(), {"Content-Type": "text/xml", **headers})
    fields = {"__type": error.type, "message": error.message}
    return Scripted(
        error.status,
        json.dumps(fields).encode(),
        {"Content-Type": "application/x-amz-json-1.1", **headers},
    )
