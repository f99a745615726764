"""Which record an image gets: the most specific prefix that holds it, found without a scan.

Records stand by the text of their prefix, so that a match is a few look-ups: the image's name as
far as the longest path that its host has a record for, then as far as each shorter one. Which
wildcard domains match the host a trie of labels tells. Neither depends on the number of records.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from pullpass.domain.image import ImageReference
from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.wildcards import WildcardDomains

T = TypeVar("T")

# How many prefixes an ambiguous answer lists.
MAX_LISTED = 10


@dataclass(slots=True)
class Match(Generic[T]):
    """The answer for one image: every record that matches it, the most specific first.

    ``winner`` is the most specific record, or None where no prefix matches; ``found`` has it and
    the others, each after the text of its prefix.
    """

    location: str
    winner: T | None
    found: list[tuple[str, T]]

    @property
    def candidates(self) -> tuple[T, ...]:
        """The less specific records in order, for clients that try several."""
        return tuple(value for _, value in self.found[1:])

    @property
    def reason(self) -> str:
        """Why this winner, in one sentence (without a full stop)."""
        if not self.found:
            return f"no prefix matches {self.location}"
        first = _prefix(self.found[0][0])
        if len(self.found) == 1:
            return f"{first} is the only prefix that matches {self.location}"
        second = _prefix(self.found[1][0])
        among = f"of {len(self.found)} prefixes that match {self.location}"
        if len(first.path) != len(second.path):
            return f"{first} is the longest {among}"
        if not first.is_wildcard:
            return f"{first} names the host exactly, and is the most specific {among}"
        if first.domain.count("*") != second.domain.count("*"):
            return f"{first} has the fewest '*' among the longest {among}"
        return f"{first} has the most specific pattern {among}"


@dataclass(slots=True)
class HostMatch(Generic[T]):
    """The answer for a host alone, as Docker credential helpers ask.

    ``winner`` is None where nothing matches and where several prefixes under the host do;
    ``prefixes`` lists (at most MAX_LISTED of) what was found, ``count`` says how many there are.
    """

    host: str
    winner: T | None
    prefixes: tuple[str, ...]
    count: int

    @property
    def is_ambiguous(self) -> bool:
        return self.count > 1

    @property
    def reason(self) -> str:
        """Why this answer, in one sentence (without a full stop)."""
        if not self.count:
            return f"no prefix matches {self.host} or lies under it"
        if not self.is_ambiguous:
            return f"{self.prefixes[0]} is the prefix that answers for {self.host}"
        more = self.count - len(self.prefixes)
        rest = f" and {more} more" if more else ""
        return (
            f"{self.count} prefixes lie under {self.host} and none is the host itself: "
            f"{', '.join(self.prefixes)}{rest}"
        )


class MatchIndex(Generic[T]):
    """Records by prefix, changed one at a time; the answer never depends on the order of changes.

    None cannot be a record, since it stands for there being none. Holds no lock: whoever changes
    the index must not do so while another thread reads.
    """

    def __init__(self) -> None:
        # By the text of the prefix, for all domains at once: among many records nearly each object
        # that a look-up touches costs a wait for memory, so it goes through as few as can be.
        self._values: dict[str, T] = {}
        # The text of each record's prefix, by the record's key.
        self._texts: dict[str, str] = {}
        self._domains: dict[str, _Domain] = {}
        self._wildcards = WildcardDomains()

    def __len__(self) -> int:
        return len(self._texts)

    def put(self, key: str, prefix: RegistryPrefix, value: T) -> None:
        """Add a record, or replace the one with this key (a record's id) or with this prefix."""
        self.remove(key)
        name = prefix.domain
        domain = self._domains.get(name)
        if domain is None:
            domain = self._domains[name] = _Domain()
            if prefix.is_wildcard:
                self._wildcards.add(name)
        # The prefix's own text, where that is in lower case too: it need not be kept twice.
        text = prefix.text if prefix.text.islower() else prefix.text.lower()
        replaced = domain.put(text, key)
        if replaced is not None:
            del self._texts[replaced]
        self._texts[key] = text
        self._values[text] = value

    def remove(self, key: str) -> None:
        """Forget the record with this key; nothing happens where there is none."""
        text = self._texts.pop(key, None)
        if text is None:
            return
        del self._values[text]
        name, _, _ = text.partition("/")
        domain = self._domains[name]
        domain.remove(text)
        if not domain.keys:
            del self._domains[name]
            if "*" in name:
                self._wildcards.remove(name)

    def match(self, image: ImageReference) -> Match[T]:
        """Every record whose prefix holds ``image``, in the order of matching rule 2."""
        location = image.location
        found = self._holding(image.host, location)
        return Match(location, found[0][1] if found else None, found)

    def for_host(self, domain: str, path: tuple[str, ...] = ()) -> HostMatch[T]:
        """What to answer where only a host (and perhaps a path) is known, not an image.

        ``domain`` and ``path`` are a RegistryPrefix's. The most specific record that holds them
        answers; else the only record that lies under them; else none, with the prefixes there.
        """
        location = _text(domain, path)
        holding = self._holding(domain, location)
        if holding:
            text, value = holding[0]
            return HostMatch(location, value, (str(_prefix(text)),), 1)
        count = 0
        first: list[str] = []
        for name in (domain, *self._wildcards.matching(domain)):
            if name in self._domains:
                there, number = self._domains[name].under(_text(name, path))
                first += there
                count += number
        listed = sorted(str(_prefix(text)) for text in first)[:MAX_LISTED]
        winner = self._values[first[0]] if count == 1 else None
        return HostMatch(location, winner, tuple(listed), count)

    def _holding(self, host: str, location: str) -> list[tuple[str, T]]:
        """The records that hold ``location``, a name on ``host``, the most specific first."""
        found = self._of(host, location)
        patterns = self._wildcards.matching(host)
        if patterns:
            path = location[len(host) :]
            for pattern in patterns:
                found += self._of(pattern, pattern + path)
            if len(found) > 1:
                # The domains came in their order, in which this leaves what is equally long.
                found.sort(key=_depth, reverse=True)
        return found

    def _of(self, name: str, location: str) -> list[tuple[str, T]]:
        """The records of one domain that hold ``location``, the longest path first."""
        found: list[tuple[str, T]] = []
        domain = self._domains.get(name)
        if domain is None:
            return found
        left = location.count("/")
        for depth in domain.depths:
            if depth <= left:
                if depth < left:
                    location = location.rsplit("/", left - depth)[0]
                    left = depth
                value = self._values.get(location)
                if value is not None:
                    found.append((location, value))
        return found


def _text(domain: str, path: tuple[str, ...]) -> str:
    return "/".join((domain, *path))


def _prefix(text: str) -> RegistryPrefix:
    domain, *path = text.split("/")
    return RegistryPrefix(domain, tuple(path))


def _depth(found: tuple[str, object]) -> int:
    text, _ = found
    return text.count("/")


class _Domain:
    """The prefixes of one domain, as texts.

    Their order is established when it is first asked for, and kept from then on: loading many
    records costs nothing more, and no question about a host scans them all.
    """

    __slots__ = ("_counts", "_ordered", "depths", "keys")

    def __init__(self) -> None:
        # Each prefix with the key of its record.
        self.keys: dict[str, str] = {}
        # The numbers of components that their paths have, the largest first: what has another
        # number need not be looked up.
        self.depths: tuple[int, ...] = ()
        self._counts: list[int] = []
        self._ordered: list[str] | None = None

    def put(self, text: str, key: str) -> str | None:
        """Add a prefix, and give back the key of the record that had it."""
        replaced = self.keys.get(text)
        self.keys[text] = key
        if replaced is None:
            depth = text.count("/")
            self._counts.extend([0] * (depth + 1 - len(self._counts)))
            self._counts[depth] += 1
            if self._counts[depth] == 1:
                self.depths = _depths(self._counts)
            if self._ordered is not None:
                insort(self._ordered, text)
        return replaced

    def remove(self, text: str) -> None:
        del self.keys[text]
        depth = text.count("/")
        self._counts[depth] -= 1
        if not self._counts[depth]:
            self.depths = _depths(self._counts)
        if self._ordered is not None:
            del self._ordered[bisect_left(self._ordered, text)]

    def under(self, text: str) -> tuple[list[str], int]:
        """The first MAX_LISTED of the prefixes that continue ``text``, and how many do."""
        if self._ordered is None:
            self._ordered = sorted(self.keys)
        # Prefixes are ASCII, in which '0' comes right after '/'.
        low = bisect_left(self._ordered, f"{text}/")
        high = bisect_left(self._ordered, f"{text}0")
        return self._ordered[low : min(high, low + MAX_LISTED)], high - low


def _depths(counts: list[int]) -> tuple[int, ...]:
    return _shared(tuple([depth for depth in reversed(range(len(counts))) if counts[depth]]))


@lru_cache(maxsize=1000)
def _shared(depths: tuple[int, ...]) -> tuple[int, ...]:
    """One object for all equal ones, of which there are few: it is in the processor's cache."""
    return depths
