"""Image references: the vectors, the reference implementation as a peer, and what errors say."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullpass.domain.errors import InvalidImageReference
from pullpass.domain.image import ImageReference
from tests.parts.peers import built_peer

TESTS = Path(__file__).parents[1]
VECTORS: list[dict[str, Any]] = json.loads((TESTS / "vectors" / "references.json").read_text())
SHA256 = "sha256:" + "0a" * 32


def _id(vector: dict[str, Any]) -> str:
    return ascii(vector["input"])[:40]


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["ok"]], ids=_id)
def test_accepts_what_the_grammar_accepts(vector: dict[str, Any]) -> None:
    image = ImageReference.parse(vector["input"])
    assert (image.domain, image.repository, image.tag, image.digest) == (
        vector["domain"],
        vector["repository"],
        vector["tag"],
        vector["digest"],
    )
    assert ImageReference.parse(str(image)) == image


@pytest.mark.parametrize("vector", [v for v in VECTORS if not v["ok"]], ids=_id)
def test_refuses_what_the_grammar_refuses(vector: dict[str, Any]) -> None:
    with pytest.raises(InvalidImageReference) as caught:
        ImageReference.parse(vector["input"])
    assert "is not an image reference: " in caught.value.message
    assert caught.value.code == "invalid_image_reference"


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("nginx", "docker.io", ("library", "nginx")),
        ("team/app:1", "docker.io", ("team", "app")),
        ("registry-1.docker.io/team/app", "docker.io", ("team", "app")),
        ("registry.hub.docker.com/nginx", "docker.io", ("library", "nginx")),
        ("Index.Docker.IO/nginx", "docker.io", ("library", "nginx")),
        ("GHCR.io/org/app", "ghcr.io", ("org", "app")),
        ("Foo/app", "foo", ("app",)),
        ("Registry:5000/a/b", "registry:5000", ("a", "b")),
        ("[2001:DB8::1]:5000/a", "[2001:db8::1]:5000", ("a",)),
        ("my_host.io/app", "", ("my_host.io", "app")),
    ],
)
def test_offers_what_matching_compares(text: str, host: str, path: tuple[str, ...]) -> None:
    image = ImageReference.parse(text)
    assert (image.host, image.path) == (host, path)
    assert image.location == "/".join((host, *path) if host else path)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("index.docker.io/a/b:1", "docker.io/a/b:1"),
        ("Foo/bar", "Foo/bar"),
        (f"app:1@{SHA256}", f"docker.io/library/app:1@{SHA256}"),
    ],
)
def test_canonical_form(text: str, canonical: str) -> None:
    assert str(ImageReference.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "it is empty"),
        ("0a" * 32, "image ID"),
        ("0A" * 32, "write it in lower case"),
        ("https://ghcr.io/org/app", "leave out the part up to and including '://'"),
        ("ghcr.io/org/app ", "a space"),
        ("nginx\n", "a control character"),
        ("ghcr.io/örg/app", "outside ASCII"),
        ("-host.io/app", "not a host"),
        ("host.io:port/app", "not a host"),
        ("fc00::1/app", "not a host"),
        ("ghcr.io/Org/app", "write it in lower case"),
        ("Nginx", "write it in lower case"),
        ("ghcr.io/org//app", "each part of the name"),
        ("ghcr.io/org/app:", "not a tag"),
        ("ghcr.io/org/app:" + "a" * 129, "not a tag"),
        ("ghcr.io/org/app@sha256:abc", "64 lower-case hex digits"),
        ("ghcr.io/" + "a" * 256, "longer than 255"),
    ],
)
def test_an_error_says_what_would_be_right(text: str, hint: str) -> None:
    with pytest.raises(InvalidImageReference) as caught:
        ImageReference.parse(text)
    assert hint in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "https://joe:hunter2@ghcr.io/app",
        "joe:hunter2@ghcr.io",
        "joe:p@hunter2/x@ghcr.io/app",
        "ghcr.io/app?token=hunter2",
    ],
)
def test_an_error_never_shows_what_may_be_a_password(text: str) -> None:
    with pytest.raises(InvalidImageReference) as caught:
        ImageReference.parse(text)
    assert "hunter2" not in caught.value.message
    assert "ghcr.io" in caught.value.message


@pytest.mark.parametrize("text", ["A" * 100_000, "a-" * 50_000, "\x00" * 5000, "\U0001f600" * 5000])
def test_an_error_stays_short_and_printable(text: str) -> None:
    with pytest.raises(InvalidImageReference) as caught:
        ImageReference.parse(text)
    assert len(caught.value.message) < 1500
    assert text[:101] not in caught.value.message
    assert caught.value.message.isprintable()


@given(st.text(st.sampled_from("aZ09._-/:@[]\n é٣?*") | st.characters()))
@settings(max_examples=500, deadline=None)
def test_any_text_is_either_refused_or_read_back(text: str) -> None:
    try:
        image = ImageReference.parse(text)
    except InvalidImageReference as error:
        shown = error.message
    else:
        shown = str(image)
        assert ImageReference.parse(shown) == image
    assert shown.isprintable()


# The peer: github.com/distribution/reference itself.

# fmt: off
HOSTS = [
    "docker.io", "index.docker.io", "registry-1.docker.io", "Docker.io", "localhost", "LOCALHOST",
    "localhost:5000", "ghcr.io", "GHCR.io", "gcr.io:443", "127.0.0.1", "127.0.0.1:5055", "[::1]",
    "[::1]:5000", "[2001:DB8::1]:80", "a", "b-c", "b--c.io", "Foo", "FOO:1", "xn--n3h.com",
    "a_b.io", "a..b", "-a.io", "a-.io", "a.io.", ".io", "host:", "host:x", "1.2", "[fe80::1%e]",
    "[]", "::1", "https:", "library", "reg.example.com:65536", "\uff45xample.com", "\u212aelvin",
    "\u00df.io", "a.io:\u0665",
]
GOOD_COMPONENTS = ["a", "app", "library", "nginx", "my-app", "my--app", "my_app", "my__app"]
COMPONENTS = [
    *GOOD_COMPONENTS, "my___app", "a.b", "a..b", "-a", "a-", "_a", "App", "\u00e9", "v1", "1",
    "*", "", "a" * 120, "a" * 255, "0a" * 32, "app\u0661",
]
TAGS = [
    ":", ":1", ":latest", ":v1.2-rc_3", ":.x", ":-x", ":_x", ":A", ":\u0661", ":a:b",
    ":" + "a" * 128, ":" + "a" * 129,
]
DIGESTS = [
    "@", "@" + SHA256, "@" + SHA256.upper(), "@sha256:" + "A" * 64, "@sha256:" + "a" * 63,
    "@sha256:" + "a" * 65, "@sha384:" + "b" * 96, "@sha512:" + "c" * 128, "@sha512:" + "a" * 64,
    "@md5:" + "d" * 32, "@sha256+b64:" + "a" * 43, f"@{SHA256}@{SHA256}",
]
NOISE = [
    *"aZ0._-/:@[]*% \n\t\r", "__", "//", "", "\x7f", "\x00", "\u00a0", "\u00e9", "\u0130",
    "\u0663", "\u212a", "\u2028", "\U0001f600",
]
# fmt: on


def generated_texts(seed: int, count: int) -> list[str]:
    """Names put together from good and bad parts, then often spoilt at random places."""
    chance = random.Random(seed)
    texts = []
    for _ in range(count):
        depth = chance.choice((0, 1, 1, 1, 2, 3))
        parts = [chance.choice(HOSTS)] if chance.random() < 0.7 else []
        good = chance.random() < 0.6
        parts += [chance.choice(GOOD_COMPONENTS if good else COMPONENTS) for _ in range(depth)]
        text = "/".join(parts)
        if chance.random() < 0.5:
            text += chance.choice(TAGS)
        if chance.random() < 0.4:
            text += chance.choice(DIGESTS)
        for _ in range(chance.choice((0, 0, 0, 1, 1, 3))):
            at = chance.randint(0, len(text))
            kept = at + chance.choice((0, 0, 1))
            text = text[:at] + chance.choice(NOISE) + text[kept:]
        texts.append(text)
    return texts


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_peer("reference", tmp_path_factory.mktemp("peer"))


def test_agrees_with_distribution_reference(peer: Path) -> None:
    texts = [vector["input"] for vector in VECTORS] + generated_texts(seed=8, count=6000)
    lines = "".join(f"{json.dumps(text)}\n" for text in texts)
    answered = subprocess.run(
        [peer], input=lines, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    answers = [json.loads(line) for line in answered.stdout.splitlines()]
    assert len(answers) == len(texts)
    accepted = 0
    for text, answer in zip(texts, answers, strict=True):
        try:
            image = ImageReference.parse(text)
        except InvalidImageReference:
            assert not answer["ok"], text
            continue
        accepted += 1
        assert answer["ok"], (text, answer["error"])
        assert (image.domain, image.repository) == (answer["domain"], answer["path"]), text
        assert (image.tag or "", image.digest or "") == (answer["tag"], answer["digest"]), text
        assert str(image) == answer["string"]
        assert ImageReference.parse(str(image)) == image
    assert accepted > 1000, "the generator no longer makes enough names that are accepted"
    assert len(texts) - accepted > 1000, "the generator no longer makes enough that are refused"
