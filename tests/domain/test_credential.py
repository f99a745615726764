"""Secrets that do not show, tokens that carry a checksum, timestamps of the wire."""

from __future__ import annotations

import copy
import logging
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullpass.domain import timestamp, token
from pullpass.domain.credential import Credential, Secret

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_secret_shows_itself_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("canary-7d1e")
    credential = Credential("bot", secret)
    logging.getLogger("test").warning("%s %r %s", secret, secret, credential)
    shown = f"{secret} {secret!r} {credential} {[secret]} {caplog.text}"
    assert "canary" not in shown
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(credential)
    with pytest.raises(TypeError, match="pickled"):
        copy.deepcopy(secret)
    assert secret.reveal() == "canary-7d1e"


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_a_credential_knows_whether_it_lasts() -> None:
    hour = timedelta(hours=1)
    assert Credential("bot", Secret("x")).usable_for(NOW, hour)
    assert Credential("bot", Secret("x"), NOW + hour).usable_for(NOW, hour)
    assert not Credential("bot", Secret("x"), NOW + hour).usable_for(NOW, hour * 2)


def test_tokens_are_recognizable_and_differ() -> None:
    tokens = {token.generate().reveal() for _ in range(50)}
    assert len(tokens) == 50
    assert all(text.startswith("ppt_") and token.is_well_formed(text) for text in tokens)
    assert len({token.digest(text) for text in tokens}) == 50


@given(st.integers(4, 49), st.sampled_from("0Zz_ é\n"))
def test_a_typo_in_a_token_is_seen_without_a_look_up(place: int, other: str) -> None:
    text = token.generate().reveal()
    typo = text[:place] + other + text[place + 1 :]
    assert token.is_well_formed(typo) == (typo == text)


@given(st.text(max_size=60))
def test_other_text_is_no_token(text: str) -> None:
    assert not token.is_well_formed(text)


def test_a_token_with_something_behind_it_is_none() -> None:
    text = token.generate().reveal()
    assert not token.is_well_formed(text + "\n")
    assert not token.is_well_formed(text[:-1])


@given(st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9999, 12, 31)))
def test_timestamps_survive_the_wire(moment: datetime) -> None:
    cut = timestamp.whole_milliseconds(moment.replace(tzinfo=UTC))
    assert timestamp.parse(timestamp.render(cut)) == cut


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2020-06-22",
        "2020-06-22T09:37:23",
        "2020-06-22T09:37:23+02:00",
        "2020-06-22T09:37:23.5Z",
        "2020-13-22T09:37:23Z",
        "2020-06-22T25:37:23Z",
        "2020-06-22T09:37:23Z\n",
        "٢٠٢٠-06-22T09:37:23Z",
    ],
)
def test_what_is_no_timestamp_of_the_wire_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        timestamp.parse(text)
