"""The identity token of a GitHub Actions job that has the permission `id-token: write`.

https://docs.github.com/actions/reference/security/oidc, "Methods for requesting the OIDC token".
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import httpx

from pullpass.client.errors import ConnectionFailed, InvalidAnswer, InvalidArgument
from pullpass.client.fields import Fields, NotAsAgreed, decode
from pullpass.client.secret import Secret

_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105


def identity_token(environment: Mapping[str, str], audience: str, timeout: float) -> Secret:
    """The job's token for ``audience``, asked for where the runner's environment says.

    Raises:
        InvalidArgument: this is no such job, or it lacks the permission.
        ConnectionFailed, InvalidAnswer: GitHub gave no token.
    """
    url, token = environment.get(_URL), environment.get(_TOKEN)
    if not url or not token:
        raise InvalidArgument(
            f"{_URL} and {_TOKEN} are not set: this is no job of GitHub Actions, or it lacks "
            "'permissions: id-token: write'."
        )
    joined = f"{url}{'&' if '?' in url else '?'}audience={quote(audience, safe='')}"
    try:
        answer = httpx.get(joined, headers={"Authorization": f"Bearer {token}"}, timeout=timeout)
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise ConnectionFailed(f"GitHub gave no identity token: {type(error).__name__}.") from None
    try:
        if answer.status_code != 200:
            raise NotAsAgreed(f"it answered {answer.status_code}")
        return Secret(Fields(decode(answer.content)).text("value"))
    except NotAsAgreed as error:
        raise InvalidAnswer(
            f"GitHub gave no identity token: {error}.", status=answer.status_code
        ) from None
