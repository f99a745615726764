"""Who Pullpass is to AWS: the server's own identity, and a role that an identity takes on."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

from pullpass.domain.credential import Secret
from pullpass.domain.errors import ExchangeRejected, ExchangeUnavailable
from pullpass.exchange.aws_request import AwsCalls, Endpoint, Keys, failure, parse_xml

_AMBIENT = "The server's own AWS identity"
_AMBIENT_SECONDS = 20
_FORM = {
    "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
    # Documented is XML alone; asked for JSON, STS would answer that.
    "Accept": "text/xml",
}
# The shortest there is: the session is for the one call that follows.
_SESSION_SECONDS = 900


async def ambient_keys(region: str) -> Keys:
    """The keys of the server's own identity, as every AWS tool finds it: environment, web
    identity token file, shared configuration, container, instance profile
    (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html). ``region``
    is where a web identity is exchanged, unless the environment names another.

    Raises: as ``Exchanger.exchange``.
    """
    try:
        async with asyncio.timeout(_AMBIENT_SECONDS):
            return await asyncio.to_thread(_find_keys, region)
    except TimeoutError:
        raise ExchangeUnavailable(
            f"{_AMBIENT} could not be obtained within {_AMBIENT_SECONDS} s. Check the instance "
            "metadata service, or where the web identity is exchanged."
        ) from None


async def assume_role(
    calls: AwsCalls,
    endpoint: Endpoint,
    keys: Keys,
    *,
    role_arn: str,
    session_name: str,
    external_id: str | None,
) -> Keys:
    """Temporary keys of the role (https://docs.aws.amazon.com/STS/latest/APIReference/
    API_AssumeRole.html).

    Raises: as ``Exchanger.exchange``.
    """
    form = {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": role_arn,
        "RoleSessionName": session_name,
        "DurationSeconds": str(_SESSION_SECONDS),
    }
    if external_id is not None:
        form["ExternalId"] = external_id
    answer = await calls.post(
        endpoint, keys, action="sts:AssumeRole", headers=_FORM, body=urlencode(form).encode()
    )
    root = parse_xml(answer.body)
    found = None if root is None else root.find("{*}AssumeRoleResult/{*}Credentials")
    values = [
        "" if found is None else found.findtext(f"{{*}}{name}", "").strip()
        for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
    ]
    if not all(values):
        raise ExchangeUnavailable(f"{endpoint.name} answers without keys for the role.")
    return Keys(values[0], Secret(values[1]), Secret(values[2]))


def _find_keys(region: str) -> Keys:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    session = Session()
    if session.get_config_variable("region") is None:
        session.set_config_variable("region", region)
    session.set_default_client_config(
        Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 2})
    )
    try:
        found = session.get_credentials()
        frozen = None if found is None else found.get_frozen_credentials()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        raise failure(_AMBIENT, "sts:AssumeRoleWithWebIdentity", code) from None
    except (BotoCoreError, OSError) as error:
        raise ExchangeUnavailable(
            f"{_AMBIENT} could not be obtained ({type(error).__name__}). Check the server's "
            "AWS environment variables and its token file."
        ) from None
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        raise ExchangeRejected(
            "The server has no AWS identity of its own: no AWS_* environment variables, web "
            "identity token file, or instance profile.",
            code="ambient_identity_missing",
        )
    token = Secret(frozen.token) if frozen.token else None
    return Keys(frozen.access_key, Secret(frozen.secret_key), token)
