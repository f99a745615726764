"""Registry prefixes: how they are normalized, what is refused and why, and their order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullpass.domain.errors import InvalidRegistryPrefix
from pullpass.domain.image import ImageReference
from pullpass.domain.prefix import RegistryPrefix, parse_helper_query


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("gcr.io", "gcr.io"),
        ("gcr.io/proj/sub", "gcr.io/proj/sub"),
        ("https://gcr.io/proj/", "gcr.io/proj"),
        ("HTTP://GCR.io", "gcr.io"),
        ("ghcr.io/v2/", "ghcr.io"),
        ("https://ghcr.io/v1", "ghcr.io"),
        ("ghcr.io/proj/v2", "ghcr.io/proj/v2"),
        ("docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io/team", "docker.io/team"),
        ("Registry.Hub.Docker.com", "docker.io"),
        ("docker.io/library", "docker.io/library"),
        ("docker.io/nginx", "docker.io/nginx"),
        ("registry-1.docker.io:443", "registry-1.docker.io:443"),
        ("localhost", "localhost"),
        ("localhost/team", "localhost/team"),
        ("registry:5000/a", "registry:5000/a"),
        ("127.0.0.1:5055", "127.0.0.1:5055"),
        ("[2001:DB8::1]:5000/a", "[2001:db8::1]:5000/a"),
        ("[::1]", "[::1]"),
        ("host.io:65535", "host.io:65535"),
        ("*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr.*.amazonaws.com"),
        ("Proj1-*.Example.com:8443/a", "proj1-*.example.com:8443/a"),
        ("**.example.com", "*.example.com"),
        ("*", "*"),
        ("Foo/bar", "FOO/bar"),
        ("foo.io/" + "a" * 255, "foo.io/" + "a" * 255),
    ],
)
def test_normalizes(text: str, normalized: str) -> None:
    prefix = RegistryPrefix.parse(text)
    assert str(prefix) == normalized
    assert RegistryPrefix.parse(normalized) == prefix
    assert RegistryPrefix.normalized(normalized) == prefix


@pytest.mark.parametrize(
    ("text", "problem", "expected"),
    [
        ("", "is empty", "ghcr.io/acme"),
        ("https://", "names no registry host", "ghcr.io/acme"),
        ("/proj", "names no registry host", "ghcr.io/acme"),
        ("nginx", "is not a registry host", "docker.io/nginx for Docker Hub"),
        ("team/app", "is not a registry host", "docker.io/team/app for Docker Hub"),
        ("te am/app", "holds a space", "ghcr.io/acme"),
        ("gcr.io\n", "holds a space or a control character", "ghcr.io/acme"),
        ("gcr.io/\x7f", "holds a space or a control character", "ghcr.io/acme"),
        ("bücher.example", "outside ASCII", "xn--"),
        ("\u212aelvin", "outside ASCII", "xn--"),
        ("ftp://gcr.io", "unknown URL scheme", "ghcr.io/acme"),
        ("gcr.io/proj?x=1", "query or a fragment", "ghcr.io/acme"),
        ("gcr.io/proj#x", "query or a fragment", "ghcr.io/acme"),
        ("gcr.io/proj:1.2", "holds a tag", "ghcr.io/acme"),
        ("gcr.io/proj@sha256:" + "a" * 64, "holds a digest", "ghcr.io/acme"),
        ("joe:hunter2@gcr.io", "holds credentials", "fields of their own"),
        ("gcr.io/proj*", "has a '*' after the host", "'*' in the host only"),
        ("gcr.io/*/app", "has a '*' after the host", "'*' in the host only"),
        ("[::*]:5000", "not an IPv6 address", "without '*'"),
        ("[fe80::1%eth0]", "not an IPv6 address", "[2001:db8::1]:5000"),
        ("gcr.io:*", "no valid port", "1 to 65535"),
        ("gcr.io:", "no valid port", "1 to 65535"),
        ("gcr.io:0", "no valid port", "1 to 65535"),
        ("gcr.io:080", "no valid port", "1 to 65535"),
        ("gcr.io:65536", "no valid port", "1 to 65535"),
        ("gcr.io:٣", "outside ASCII", "xn--"),
        ("gcr..io", "has an empty part", "ghcr.io"),
        (".gcr.io", "has an empty part", "ghcr.io"),
        ("gcr.io.", "has an empty part", "ghcr.io"),
        ("-gcr.io", "is not a host name", "between the dots"),
        ("my_host.io", "is not a host name", "between the dots"),
        ("::1", "is not a host name", "between the dots"),
        ("gcr.io/Proj", "upper-case", "lower case"),
        ("gcr.io//proj", "empty part between two slashes", "ghcr.io/acme"),
        ("gcr.io//", "empty part between two slashes", "ghcr.io/acme"),
        ("gcr.io/-proj", "that no image's name can have", "lower-case"),
        ("gcr.io/a___b", "that no image's name can have", "lower-case"),
        ("gcr.io/" + "a" * 256, "256 characters after the host", "at most 255"),
        ("a" * 5000 + ".io", "has 5003 characters", "at most 530"),
    ],
)
def test_refuses_and_says_what_would_be_right(text: str, problem: str, expected: str) -> None:
    with pytest.raises(InvalidRegistryPrefix) as caught:
        RegistryPrefix.parse(text)
    assert problem in caught.value.problem
    assert expected in caught.value.expected
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "text",
    [
        "joe:hunter2@gcr.io",
        "https://joe:hunter2@gcr.io/proj",
        "joe:hun/hunter2@gcr.io",
        "joe:x@hunter2@gcr.io",
        "hunter2@gcr.io:443/a b",
        "hunter2@" + "0" * 600,
        "gcr.io?password=hunter2",
        "ftp://joe:hunter2@gcr.io",
    ],
)
def test_never_repeats_credentials(text: str) -> None:
    for parse in (RegistryPrefix.parse, parse_helper_query):
        with pytest.raises(InvalidRegistryPrefix) as caught:
            parse(text)
        assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("prefix", "image", "matches"),
    [
        ("gcr.io/proj", "gcr.io/proj/app:1", True),
        ("gcr.io/proj", "gcr.io/proj", True),
        ("gcr.io/proj", "gcr.io/project/app", False),
        ("gcr.io/proj/app", "gcr.io/proj", False),
        ("gcr.io", "eu.gcr.io/proj", False),
        ("gcr.io", "GCR.io/proj/app@sha256:" + "a" * 64, True),
        ("gcr.io", "gcr.io:443/proj", False),
        ("registry:5000", "registry:5000/a/b", True),
        ("docker.io", "nginx", True),
        ("docker.io/library", "nginx", True),
        ("docker.io/nginx", "nginx", False),
        ("docker.io/team", "registry-1.docker.io/team/app", True),
        ("https://index.docker.io/v1/", "registry.hub.docker.com/nginx", True),
        ("Foo", "Foo/bar", True),
        ("Foo", "foo/bar", False),
        ("[2001:db8::1]:5000", "[2001:DB8::1]:5000/a", True),
        ("[2001:db8::1]", "[2001:db8::1]:5000/a", False),
        # kubernetes pkg/credentialprovider keyring_test.go, TestURLsMatch
        ("*.kubernetes.io", "prefix.kubernetes.io/a", True),
        ("prefix.*.io", "prefix.kubernetes.io/a", True),
        ("prefix.kubernetes.*", "prefix.kubernetes.io/a", True),
        ("*-good.kubernetes.io", "prefix-good.kubernetes.io/a", True),
        ("*.kubernetes.io/blah", "prefix.kubernetes.io/blah/a", True),
        ("prefix*.kubernetes.io:80", "prefix-good.kubernetes.io:80/a", True),
        ("*.kubernetes.io", "kubernetes.io/a", False),
        ("*.*.kubernetes.io", "prefix.kubernetes.io/a", False),
        ("*.kubernetes.io", "a.prefix.kubernetes.io/a", False),
        ("*.kubernetes.io:80", "prefix.kubernetes.io/a", False),
        ("*.kubernetes.io:443", "prefix.kubernetes.io:80/a", False),
        ("*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.eu-west-1.amazonaws.com/a", True),
        ("*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.amazonaws.com/a", False),
        ("proj*.example.com", "proj.example.com/a", True),
        ("a*a.example.com", "a.example.com/a", False),
        ("*ab*ab*.example.com", "xabxab.example.com/a", True),
        ("*ab*ab*.example.com", "xabx.example.com/a", False),
        ("*b*ba.example.com", "bba.example.com/a", True),
        ("*b*ba.example.com", "ba.example.com/a", False),
        ("*:5000", "[::1]:5000/a", True),
        ("*.*", "my_host.io/app", False),
        ("*", "my_host.io/app", False),
    ],
)
def test_matches(prefix: str, image: str, matches: bool) -> None:
    assert RegistryPrefix.parse(prefix).matches(ImageReference.parse(image)) is matches


def test_specificity_orders_from_the_most_specific() -> None:
    ordered = [
        "*.*.io/a/b",
        "eu.gcr.io/a",
        "eu-*.gcr.io/a",
        "eu*.gcr.io/a",
        "eu.gcr.io",
        "eu*.gcr.io",
        "*.gcr.io",
        "*.*.io",
    ]
    prefixes = [RegistryPrefix.parse(text) for text in reversed(ordered)]
    assert [str(p) for p in sorted(prefixes, key=lambda p: p.specificity)] == ordered


def test_specificity_is_total() -> None:
    same = [RegistryPrefix.parse(text) for text in ("a*.io", "*a.io")]
    assert same[0].specificity != same[1].specificity


@pytest.mark.parametrize(
    ("text", "domain", "path"),
    [
        ("https://index.docker.io/v1/", "docker.io", ()),
        ("docker.io", "docker.io", ()),
        ("127.0.0.1:5055", "127.0.0.1:5055", ()),
        ("https://reg.example.com", "reg.example.com", ()),
        ("reg.example.com\n", "reg.example.com", ()),
        ("reg.example.com/team/app", "reg.example.com", ("team", "app")),
        ("[::1]:5000", "[::1]:5000", ()),
    ],
)
def test_reads_what_a_credential_helper_is_asked(
    text: str, domain: str, path: tuple[str, ...]
) -> None:
    assert parse_helper_query(text) == RegistryPrefix(domain, path)


@pytest.mark.parametrize("text", ["*.example.com", "myserver", "", "a b.io", "reg.io?x"])
def test_refuses_what_no_helper_can_answer(text: str) -> None:
    with pytest.raises(InvalidRegistryPrefix):
        parse_helper_query(text)


@given(st.text(st.sampled_from("aZ0.*-_/:[]@ ") | st.characters(), max_size=30))
@settings(max_examples=500, deadline=None)
def test_any_text_is_either_refused_or_read_back(text: str) -> None:
    for candidate in (text, f"https://reg.io/{text}", f"{text}.io:80"):
        try:
            prefix = RegistryPrefix.parse(candidate)
        except InvalidRegistryPrefix as error:
            shown = error.message
        else:
            shown = str(prefix)
            assert RegistryPrefix.parse(shown) == prefix
            assert RegistryPrefix.normalized(shown) == prefix
            assert prefix.domain == prefix.domain.lower()
        assert shown.isprintable()
