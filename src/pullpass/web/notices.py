"""What is said on the page after a form was taken: fixed texts, named in its address."""

from __future__ import annotations

from collections.abc import Mapping

NOTICES: Mapping[str, str] = {
    "created": "The record was created.",
    "created-works": "The record was created, and its credential works.",
    "saved": "The changes were saved.",
    "saved-works": "The changes were saved, and the credential works.",
    "deleted": "The record and its credential were deleted.",
    "user-created": "The user was added. Make a token for it next.",
    "user-changed": "The role was changed. It holds for the tokens there are.",
    "user-removed": "The user was removed, and its tokens stopped working.",
    "token-revoked": "The token was revoked. It stops working within a second.",
    "rule-created": "The rule was created. Tokens that come under it are taken from now on.",
    "rule-changed": "The rule was changed. Tokens that were given under it ended.",
    "rule-deleted": "The rule was deleted, and tokens that were given under it stop working.",
    "cluster-forgotten": "The cluster was forgotten. If its agent still runs, it is back soon.",
    "signed-out": "You are signed out.",
    "signed-out-here": "You are signed out of Pullpass.",
}
