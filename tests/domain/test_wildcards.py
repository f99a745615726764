"""Which wildcard domains match a host: as trying each would tell, whatever changed before."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pullpass.domain.prefix import host_matches
from pullpass.domain.wildcards import WildcardDomains

LABELS = ["a", "b", "ab", "ba", "aab", "abab"]
GLOBS = ["*", "a*", "*b", "a*b", "*a*", "*a*b*", "*b*a*", "*ab*ab*", "aa*b"]
PORTS = ["", "", ":5000", ":80"]


def _names(labels: list[str]) -> st.SearchStrategy[str]:
    several = st.lists(st.sampled_from(labels), min_size=1, max_size=4).map(".".join)
    return st.builds(str.__add__, several, st.sampled_from(PORTS))


HOSTS = _names(LABELS) | st.sampled_from(["[::1]", "[::1]:5000", ""])
DOMAINS = _names(LABELS + GLOBS).filter(lambda domain: "*" in domain)


def holding(domains: list[str]) -> WildcardDomains:
    found = WildcardDomains()
    for domain in domains:
        found.add(domain)
    return found


def tried(domains: set[str], host: str) -> list[str]:
    """The answer by trying each: fewer `*` first, then the longer text, then in order."""
    matching = [domain for domain in domains if host_matches(domain, host)]
    return sorted(matching, key=lambda domain: (domain.count("*"), -len(domain), domain))


@given(
    st.lists(DOMAINS, min_size=1, max_size=30),
    st.lists(st.integers(0, 29), max_size=80),
    st.lists(HOSTS, min_size=1, max_size=8),
)
@settings(max_examples=300, deadline=None)
def test_answers_as_trying_each_would(known: list[str], steps: list[int], hosts: list[str]) -> None:
    """At each step a domain comes, or goes where it was there, and a host is asked for."""
    there: set[str] = set()
    wildcards = WildcardDomains()
    for step in steps:
        domain = known[step % len(known)]
        if domain in there:
            there.remove(domain)
            wildcards.remove(domain)
        else:
            there.add(domain)
            wildcards.add(domain)
        host = hosts[step % len(hosts)]
        assert list(wildcards.matching(host)) == tried(there, host)
    fresh = holding(sorted(there))
    for host in hosts:
        assert list(wildcards.matching(host)) == tried(there, host)
        assert fresh.matching(host) == wildcards.matching(host)
    # Seen from outside, what changes left behind would only be slow, and grow for ever.
    assert wildcards._roots == fresh._roots
    for domain in there:
        wildcards.remove(domain)
    assert not wildcards._roots


def test_answers_for_any_number_of_hosts_keeping_few() -> None:
    wildcards = holding(["*.example.com", "x*.example.com"])
    for number in range(5010):
        assert wildcards.matching(f"x{number}.example.com") == ("x*.example.com", "*.example.com")
    assert len(wildcards._known) <= 5000
    wildcards.remove("*.example.com")
    assert wildcards.matching("x5009.example.com") == ("x*.example.com",)
