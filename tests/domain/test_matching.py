"""The match index against a brute-force oracle that shares no code with it, and by example."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullpass.domain.image import ImageReference
from pullpass.domain.matching import MAX_LISTED, MatchIndex
from pullpass.domain.prefix import RegistryPrefix

# The oracle: matching.md read literally, over texts.

HUB = {"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
Parts = tuple[str, str, list[str]]


def parts_of_prefix(text: str) -> Parts:
    host, *path = re.sub(r"^https?://", "", text).rstrip("/").split("/")
    host = "docker.io" if host.lower() in HUB else re.sub(r"\*+", "*", host.lower())
    name, port = re.fullmatch(r"(\[.*\]|[^:]*)((?::\d+)?)", host, re.DOTALL).groups()  # type: ignore[union-attr]
    return name, port, [] if path in (["v1"], ["v2"]) else path


def parts_of_image(text: str) -> Parts:
    text = re.sub(r"@.*", "", text)
    text = re.sub(r":[^:/]*$", "", text)
    first, slash, _ = text.partition("/")
    if not (slash and (re.search(r"[.:A-Z]", first) or first == "localhost")):
        text = f"docker.io/{text}"
    name, port, path = parts_of_prefix(text)
    if name == "docker.io" and not port and len(path) == 1:
        path = ["library", *path]
    return name, port, path


def host_fits(prefix: Parts, name: str, port: str) -> bool:
    if "*" not in prefix[0]:
        return prefix[:2] == (name, port)
    pattern = re.escape(prefix[0]).replace(r"\*", r"[^.]*")
    return prefix[1] == port and re.fullmatch(pattern, name) is not None


def rank(prefix: Parts) -> tuple[int, bool, int, int, str]:
    name, port, path = prefix
    text = "/".join([name + port, *path])
    return -len(path), "*" in name, name.count("*"), -len(text), text


def oracle_match(records: dict[str, str], image: str) -> list[str]:
    """The keys of the records that match, the most specific first."""
    name, port, path = parts_of_image(image)
    found = []
    for key, text in records.items():
        prefix = parts_of_prefix(text)
        if host_fits(prefix, name, port) and path[: len(prefix[2])] == prefix[2]:
            found.append((rank(prefix), key))
    return [key for _, key in sorted(found)]


def oracle_for_host(records: dict[str, str], query: str) -> tuple[str | None, int]:
    name, port, path = parts_of_prefix(query)
    fitting = {
        key: prefix
        for key, text in records.items()
        if host_fits(prefix := parts_of_prefix(text), name, port)
    }
    holding = [(rank(p), key) for key, p in fitting.items() if path[: len(p[2])] == p[2]]
    if holding:
        return min(holding)[1], 1
    under = [key for key, p in fitting.items() if p[2][: len(path)] == path]
    return (under[0] if len(under) == 1 else None), len(under)


LABELS = ["a", "b", "ab", "ba", "aab", "a-b", "a-b-a", "abab"]
GLOBS = ["*", "**", "a*", "*b", "a*b", "*a*", "*-*", "a*-*", "*a*b*", "*ab*ab*", "*b*ba", "aa*b"]
PORTS = st.sampled_from(["", "", ":5000", ":80"])
PATHS = st.lists(st.sampled_from(["p", "q", "pq", "library"]), max_size=3)
ODD_HOSTS = [
    *sorted(HUB),
    "localhost",
    "localhost:5000",
    "[::1]:5000",
    "[::1]",
    "10.0.0.1:80",
    "Ab",
]


def _host(labels: list[str]) -> st.SearchStrategy[str]:
    several = st.lists(st.sampled_from(labels), min_size=2, max_size=3).map(".".join)
    single = st.sampled_from(labels).map(lambda label: f"{label}:5000")
    return st.builds(str.__add__, several, PORTS) | single


def _under(hosts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda host, path: "/".join([host, *path]), hosts, PATHS)


EXACT_HOSTS = _host(LABELS) | st.sampled_from(ODD_HOSTS)
PREFIXES = _under(EXACT_HOSTS | _host(LABELS + GLOBS) | _host(GLOBS) | st.just("*"))
PREFIX_LISTS = st.lists(PREFIXES, max_size=40, unique_by=lambda text: parts_text(text))
IMAGES = st.builds(
    lambda start, path, end: "/".join([*start, *path]) + end,
    st.lists(EXACT_HOSTS, max_size=1),
    st.lists(st.sampled_from(["p", "q", "pq", "library"]), min_size=1, max_size=4),
    st.sampled_from(["", ":1.2", "@sha256:" + "a" * 64]),
)


def parts_text(text: str) -> str:
    name, port, path = parts_of_prefix(text)
    return "/".join([name + port, *path])


def indexed(records: dict[str, str]) -> MatchIndex[str]:
    index = MatchIndex[str]()
    for key, text in records.items():
        index.put(key, RegistryPrefix.parse(text), key)
    return index


def answer(index: MatchIndex[str], image: str) -> list[str]:
    match = index.match(ImageReference.parse(image))
    return [] if match.winner is None else [match.winner, *match.candidates]


def depths(index: MatchIndex[str]) -> dict[str, tuple[int, ...]]:
    return {name: domain.depths for name, domain in index._domains.items()}


@given(PREFIX_LISTS, st.lists(IMAGES, min_size=1, max_size=10))
@settings(max_examples=400, deadline=None)
def test_answers_as_the_oracle_does(texts: list[str], images: list[str]) -> None:
    records = {f"r{number}": text for number, text in enumerate(texts)}
    index = indexed(records)
    for image in images:
        expected = oracle_match(records, image)
        assert answer(index, image) == expected
        parsed = ImageReference.parse(image)
        matching = [k for k, text in records.items() if RegistryPrefix.parse(text).matches(parsed)]
        assert sorted(matching) == sorted(expected)


@given(PREFIX_LISTS, st.lists(_under(EXACT_HOSTS), min_size=1, max_size=10))
@settings(max_examples=300, deadline=None)
def test_answers_for_hosts_as_the_oracle_does(texts: list[str], queries: list[str]) -> None:
    records = {f"r{number}": text for number, text in enumerate(texts)}
    index = indexed(records)
    for query in queries:
        prefix = RegistryPrefix.parse(query)
        found = index.for_host(prefix.domain, prefix.path)
        assert (found.winner, found.count) == oracle_for_host(records, query)
        assert len(found.prefixes) == min(found.count, MAX_LISTED)


@given(
    PREFIX_LISTS,
    st.lists(st.tuples(st.integers(0, 15), PREFIXES | st.none()), max_size=60),
    st.lists(IMAGES, min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
@settings(max_examples=300, deadline=None)
def test_history_never_matters(
    texts: list[str],
    changes: list[tuple[int, str | None]],
    images: list[str],
    chance: random.Random,
) -> None:
    """Puts, replacements and removals, with questions between them, leave no trace."""
    records = {f"r{number}": text for number, text in enumerate(texts)}
    index = indexed(records)
    for number, text in changes:
        key = f"r{number}"
        records.pop(key, None)
        if text is None:
            index.remove(key)
        else:
            index.put(key, RegistryPrefix.parse(text), key)
            taken = [k for k, other in records.items() if parts_text(other) == parts_text(text)]
            for each in taken:
                del records[each]
            records[key] = text
        answer(index, images[0])
        index.for_host(RegistryPrefix.parse(texts[0]).domain if texts else "gcr.io")
    assert len(index) == len(records)
    shuffled = list(records.items())
    chance.shuffle(shuffled)
    fresh = indexed(dict(shuffled))
    queries = [RegistryPrefix.parse(text) for text in (*texts, *records.values())]
    for image in images:
        assert answer(index, image) == answer(fresh, image) == oracle_match(records, image)
    for query in queries:
        host = query.domain.replace("*", "a")
        assert index.for_host(host, query.path) == fresh.for_host(host, query.path)
    # Seen from outside, what is left of earlier records would only be slow, and grow for ever.
    assert depths(index) == depths(fresh)
    for key in records:
        index.remove(key)
    for image in images:
        assert index.match(ImageReference.parse(image)).winner is None
    assert not index._values
    assert not index._domains
    assert not index._wildcards._roots


@pytest.mark.parametrize(
    ("texts", "image", "order"),
    [
        (["gcr.io", "gcr.io/proj"], "gcr.io/proj/app", ["gcr.io/proj", "gcr.io"]),
        (["gcr.io/proj"], "gcr.io/project/app", []),
        (["docker.io/library", "docker.io"], "nginx", ["docker.io/library", "docker.io"]),
        (["*.gcr.io/a", "eu.gcr.io"], "eu.gcr.io/a/b", ["*.gcr.io/a", "eu.gcr.io"]),
        (["*.gcr.io", "eu.gcr.io"], "eu.gcr.io/a", ["eu.gcr.io", "*.gcr.io"]),
        (["*.*.io", "e*.gcr.io", "*.gcr.io"], "eu.gcr.io/a", ["e*.gcr.io", "*.gcr.io", "*.*.io"]),
        (["*u.gcr.io", "e*.gcr.io"], "eu.gcr.io/a", ["*u.gcr.io", "e*.gcr.io"]),
        (["gcr.io", "*.*", "*"], "my_host.io/app", []),
    ],
)
def test_the_most_specific_first(texts: list[str], image: str, order: list[str]) -> None:
    assert answer(indexed({text: text for text in texts}), image) == order


@pytest.mark.parametrize(
    ("texts", "image", "reason"),
    [
        ([], "nginx", "no prefix matches docker.io/library/nginx"),
        (["gcr.io"], "gcr.io/a", "gcr.io is the only prefix that matches gcr.io/a"),
        (
            ["gcr.io", "gcr.io/proj"],
            "gcr.io/proj/app",
            "gcr.io/proj is the longest of 2 prefixes that match gcr.io/proj/app",
        ),
        (
            ["*.gcr.io", "eu.gcr.io"],
            "eu.gcr.io/a",
            "eu.gcr.io names the host exactly, and is the most specific of 2 prefixes that "
            "match eu.gcr.io/a",
        ),
        (
            ["*.*.io", "*.gcr.io"],
            "eu.gcr.io/a",
            "*.gcr.io has the fewest '*' among the longest of 2 prefixes that match eu.gcr.io/a",
        ),
        (
            ["*.gcr.io", "e*.gcr.io"],
            "eu.gcr.io/a",
            "e*.gcr.io has the most specific pattern of 2 prefixes that match eu.gcr.io/a",
        ),
    ],
)
def test_a_match_says_why(texts: list[str], image: str, reason: str) -> None:
    index = indexed({text: text for text in texts})
    assert index.match(ImageReference.parse(image)).reason == reason


@pytest.mark.parametrize(
    ("texts", "host", "winner", "reason"),
    [
        ([], "gcr.io", None, "no prefix matches gcr.io or lies under it"),
        (["gcr.io", "gcr.io/a"], "gcr.io", "gcr.io", "gcr.io is the prefix that answers"),
        (["gcr.io/a/b"], "gcr.io", "gcr.io/a/b", "gcr.io/a/b is the prefix that answers"),
        (["*.gcr.io"], "eu.gcr.io", "*.gcr.io", "*.gcr.io is the prefix that answers"),
        (
            ["eu.gcr.io/b", "eu.gcr.io/a", "*.gcr.io/c", "us.gcr.io/d"],
            "eu.gcr.io",
            None,
            "3 prefixes lie under eu.gcr.io and none is the host itself: "
            "*.gcr.io/c, eu.gcr.io/a, eu.gcr.io/b",
        ),
    ],
)
def test_a_host_alone(texts: list[str], host: str, winner: str | None, reason: str) -> None:
    found = indexed({text: text for text in texts}).for_host(host)
    assert found.winner == winner
    assert found.is_ambiguous is (" lie under " in found.reason)
    assert reason in found.reason


def test_a_host_with_a_path_is_never_answered_with_another_path() -> None:
    index = indexed({text: text for text in ("gcr.io/a", "gcr.io/proj2/x")})
    assert index.for_host("gcr.io", ("proj",)).winner is None
    assert index.for_host("gcr.io", ("a", "b")).winner == "gcr.io/a"
    assert index.for_host("gcr.io", ("proj2",)).winner == "gcr.io/proj2/x"


def test_an_ambiguous_host_lists_a_bounded_number() -> None:
    index = indexed({str(n): f"gcr.io/p{n:03}" for n in reversed(range(500))})
    found = index.for_host("gcr.io")
    assert found.prefixes == tuple(f"gcr.io/p{n:03}" for n in range(MAX_LISTED))
    assert found.count == 500
    assert found.reason.endswith("gcr.io/p009 and 490 more")


def test_an_answer_follows_every_change_of_the_patterns() -> None:
    index = indexed({"exact": "eu.gcr.io"})
    assert answer(index, "eu.gcr.io/a") == ["exact"]
    index.put("pattern", RegistryPrefix.parse("*.gcr.io"), "pattern")
    assert answer(index, "eu.gcr.io/a") == ["exact", "pattern"]
    index.put("pattern", RegistryPrefix.parse("us-*.gcr.io"), "pattern")
    assert answer(index, "eu.gcr.io/a") == ["exact"]
    assert answer(index, "us-1.gcr.io/a") == ["pattern"]
    index.put("pattern", RegistryPrefix.parse("e*.gcr.io"), "pattern")
    assert answer(index, "eu.gcr.io/a") == ["exact", "pattern"]
    index.remove("pattern")
    assert answer(index, "eu.gcr.io/a") == ["exact"]


def test_a_host_alone_follows_every_change_of_its_records() -> None:
    index = indexed({text: text for text in ("gcr.io/b", "gcr.io/d")})
    assert index.for_host("gcr.io").prefixes == ("gcr.io/b", "gcr.io/d")
    index.put("c", RegistryPrefix.parse("gcr.io/c"), "c")
    assert index.for_host("gcr.io").prefixes == ("gcr.io/b", "gcr.io/c", "gcr.io/d")
    index.remove("gcr.io/b")
    index.remove("gcr.io/d")
    assert index.for_host("gcr.io").winner == "c"


def test_a_record_replaces_the_one_with_its_key_or_its_prefix() -> None:
    index = indexed({"one": "gcr.io/a", "two": "gcr.io/b"})
    index.put("one", RegistryPrefix.parse("gcr.io/b"), "new")
    assert len(index) == 1
    assert answer(index, "gcr.io/a/app") == []
    assert answer(index, "gcr.io/b/app") == ["new"]
    index.remove("two")
    assert answer(index, "gcr.io/b/app") == ["new"]


def test_many_wildcard_domains_are_told_apart() -> None:
    texts = [f"proj{n}-*.example.com" for n in range(2000)]
    texts += [f"*-team{n}-*.example.com" for n in range(2000)]
    index = indexed({text: text for text in texts})
    found = answer(index, "proj77-team1234-x.example.com/app")
    assert found == ["*-team1234-*.example.com", "proj77-*.example.com"][::-1]
