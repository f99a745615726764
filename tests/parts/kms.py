"""Keys in moto's KMS, and a server's own AWS identity to use them with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import botocore.session

from tests.parts.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY


class KmsKeys:
    """What an administrator of the account does with its keys."""

    def __init__(self, moto: str) -> None:
        self._client: Any = botocore.session.Session().create_client(
            "kms",
            region_name="eu-west-1",
            endpoint_url=moto,
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
        )

    def create(self) -> str:
        """A new symmetric key; its ARN."""
        return str(self._client.create_key()["KeyMetadata"]["Arn"])


def identity(folder: Path) -> dict[str, str]:
    """The environment of a process that is ACCESS_KEY_ID to AWS."""
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_SESSION_TOKEN": "",
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
