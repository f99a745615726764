"""Which record an image gets: the most specific prefix that holds it, found without a scan.

Records stand under their domain by their path, so that a match is a few look-ups: the image's
path, then each shorter one at a component boundary. Which wildcard domains match the image's
host a trie of labels tells, from the right. Neither depends on the number of records.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pullpass.domain.image import ImageReference
from pullpass.domain.prefix import RegistryPrefix, label_matches, split_port

T = TypeVar("T")

# How many prefixes an ambiguous answer lists.
MAX_LISTED = 10


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    key: str
    prefix: RegistryPrefix
    value: T


@dataclass(slots=True)
class Match(Generic[T]):
    """The answer for one image: every record that matches it, the most specific first."""

    location: str
    entries: tuple[_Entry[T], ...]

    @property
    def winner(self) -> T | None:
        """The most specific record, or None where no prefix matches."""
        return self.entries[0].value if self.entries else None

    @property
    def candidates(self) -> tuple[T, ...]:
        """The less specific records in order, for clients that try several."""
        return tuple(entry.value for entry in self.entries[1:])

    @property
    def reason(self) -> str:
        """Why this winner, in one sentence (without a full stop)."""
        if not self.entries:
            return f"no prefix matches {self.location}"
        first = self.entries[0].prefix
        if len(self.entries) == 1:
            return f"{first} is the only prefix that matches {self.location}"
        second = self.entries[1].prefix
        among = f"of {len(self.entries)} prefixes that match {self.location}"
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

    Holds no lock: whoever changes it must not do so while another thread reads.
    """

    def __init__(self) -> None:
        self._by_key: dict[str, _Entry[T]] = {}
        self._domains: dict[str, _Domain[T]] = {}
        self._wildcards = _WildcardDomains()
        # Counts the changes of the set of wildcard domains.
        self._generation = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def put(self, key: str, prefix: RegistryPrefix, value: T) -> None:
        """Add a record, or replace the one with this key (a record's id) or with this prefix."""
        self.remove(key)
        domain = self._domains.get(prefix.domain)
        if domain is None:
            domain = self._domains[prefix.domain] = _Domain()
            if prefix.is_wildcard:
                self._wildcards.add(prefix.domain)
                self._generation += 1
        entry = _Entry(key, prefix, value)
        replaced = domain.put(_below(prefix.path), entry)
        if replaced is not None:
            del self._by_key[replaced.key]
        self._by_key[key] = entry

    def remove(self, key: str) -> None:
        """Forget the record with this key; nothing happens where there is none."""
        entry = self._by_key.pop(key, None)
        if entry is None:
            return
        prefix = entry.prefix
        domain = self._domains[prefix.domain]
        domain.remove(_below(prefix.path))
        if not domain.by_path:
            del self._domains[prefix.domain]
            if prefix.is_wildcard:
                self._wildcards.remove(prefix.domain)
                self._generation += 1

    def match(self, image: ImageReference) -> Match[T]:
        """Every record whose prefix holds ``image``, in the order of matching rule 2."""
        location = image.location
        domains = self._matching(image.host)
        return Match(location, _holding(domains, location[len(image.host) :]) if domains else ())

    def for_host(self, domain: str, path: tuple[str, ...] = ()) -> HostMatch[T]:
        """What to answer where only a host (and perhaps a path) is known, not an image.

        ``domain`` and ``path`` are a RegistryPrefix's. The most specific record that holds them
        answers; else the only record that lies under them; else none, with the prefixes there.
        """
        below = _below(path)
        domains = self._matching(domain)
        holding = _holding(domains, below)
        if holding:
            return HostMatch(domain + below, holding[0].value, (str(holding[0].prefix),), 1)
        count = 0
        first: list[_Entry[T]] = []
        for each in domains:
            count += each.count_under(below)
            first += each.first_under(below)
        listed = sorted(str(entry.prefix) for entry in first)[:MAX_LISTED]
        winner = first[0].value if count == 1 else None
        return HostMatch(domain + below, winner, tuple(listed), count)

    def _matching(self, host: str) -> list[_Domain[T]]:
        """The domains of records that match ``host``, the most specific first."""
        exact = self._domains.get(host)
        if exact is None:
            return [self._domains[pattern] for pattern in self._wildcards.matching(host)]
        if exact.generation != self._generation:
            patterns = self._wildcards.matching(host)
            exact.matching = [exact, *(self._domains[pattern] for pattern in patterns)]
            exact.generation = self._generation
        return exact.matching


def _below(path: tuple[str, ...]) -> str:
    """A path as `_Domain` keys it: empty, or with a slash before each component."""
    return "".join([f"/{component}" for component in path])


def _holding(domains: list[_Domain[T]], path: str) -> tuple[_Entry[T], ...]:
    """The entries of ``domains`` at ``path`` and at each shorter one, the longest path first."""
    found = []
    depth = path.count("/")
    while True:
        for domain in domains:
            if depth in domain.depths:
                entry = domain.by_path.get(path)
                if entry is not None:
                    found.append(entry)
        if not depth:
            return tuple(found)
        path = path[: path.rindex("/")]
        depth -= 1


class _Domain(Generic[T]):
    """The records of one domain by path.

    Their order is established when it is first asked for, and kept from then on: loading many
    records costs nothing more, and no question about a host scans them all.
    """

    __slots__ = ("_ordered", "by_path", "depths", "generation", "matching")

    def __init__(self) -> None:
        self.by_path: dict[str, _Entry[T]] = {}
        # How many records have a path of so many components: other depths need no look-up.
        self.depths: dict[int, int] = {}
        self._ordered: list[str] | None = None
        # This domain and the wildcard ones that match it, as of that generation of the index.
        self.matching: list[_Domain[T]] = []
        self.generation = -1

    def put(self, path: str, entry: _Entry[T]) -> _Entry[T] | None:
        """Add an entry, and give back the one that it replaces."""
        replaced = self.by_path.get(path)
        self.by_path[path] = entry
        if replaced is None:
            depth = path.count("/")
            self.depths[depth] = self.depths.get(depth, 0) + 1
            if self._ordered is not None:
                insort(self._ordered, path)
        return replaced

    def remove(self, path: str) -> None:
        del self.by_path[path]
        depth = path.count("/")
        self.depths[depth] -= 1
        if not self.depths[depth]:
            del self.depths[depth]
        if self._ordered is not None:
            del self._ordered[bisect_left(self._ordered, path)]

    def count_under(self, path: str) -> int:
        low, high = self._range_under(path)
        return high - low

    def first_under(self, path: str) -> list[_Entry[T]]:
        """The entries of the first MAX_LISTED longer paths."""
        low, high = self._range_under(path)
        return [self.by_path[each] for each in self._order()[low : min(high, low + MAX_LISTED)]]

    def _range_under(self, path: str) -> tuple[int, int]:
        order = self._order()
        # Paths are ASCII, in which '0' comes right after '/'.
        return bisect_left(order, f"{path}/"), bisect_left(order, f"{path}0")

    def _order(self) -> list[str]:
        if self._ordered is None:
            self._ordered = sorted(self.by_path)
        return self._ordered


class _WildcardDomains:
    """The domains that hold a `*`, by port and number of labels, then label by label."""

    def __init__(self) -> None:
        self._roots: dict[tuple[str, int], _Node] = {}

    def add(self, domain: str) -> None:
        root, labels = _route(domain)
        node = self._roots.setdefault(root, _Node())
        for label in labels:
            node = node.child(label)
        node.domain = domain

    def remove(self, domain: str) -> None:
        root, labels = _route(domain)
        node = self._roots[root]
        route = []
        for label in labels:
            route.append((node, label))
            node = node.child(label)
        # What is left empty goes, or a tenant who renames patterns would grow the trie for ever.
        for parent, label in reversed(route):
            parent.drop(label)
            if not parent.is_empty():
                return
        del self._roots[root]

    def matching(self, host: str) -> list[str]:
        """The domains that match ``host``, the most specific first."""
        if not self._roots or not host:
            return []
        root, labels = _route(host)
        start = self._roots.get(root)
        if start is None:
            return []
        nodes = [start]
        for label in labels:
            below: list[_Node] = []
            for node in nodes:
                exact = node.exact.get(label)
                if exact is not None:
                    below.append(exact)
                if node.shapes:
                    node.add_matching(label, below)
            if not below:
                return []
            nodes = below
        domains = [node.domain for node in nodes]
        if len(domains) > 1:
            domains.sort(key=lambda domain: (domain.count("*"), -len(domain), domain))
        return domains


def _route(domain: str) -> tuple[tuple[str, int], list[str]]:
    name, port = split_port(domain)
    labels = name.split(".")
    labels.reverse()
    return (port, len(labels)), labels


# What a glob label must hold at least: its literals before the first `*` and after the last, and
# the longest in between. As they are substrings of any label that matches, looking all of them up
# finds the glob, however many other globs there are.
_Literals = tuple[str, str, str]


@dataclass(slots=True)
class _Node:
    """A label of the trie. ``domain`` is set where a wildcard domain ends."""

    domain: str = ""
    exact: dict[str, _Node] = field(default_factory=dict)
    globs: dict[_Literals, dict[str, _Node]] = field(default_factory=dict)
    # The lengths of the literals of all globs here, with the number of globs that have them.
    shapes: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def is_empty(self) -> bool:
        return not self.exact and not self.globs

    def child(self, label: str) -> _Node:
        """The node below for ``label``, made where it is missing."""
        if "*" not in label:
            return self.exact.setdefault(label, _Node())
        literals = _literals(label)
        same = self.globs.setdefault(literals, {})
        if label not in same:
            same[label] = _Node()
            shape = _shape(literals)
            self.shapes[shape] = self.shapes.get(shape, 0) + 1
        return same[label]

    def drop(self, label: str) -> None:
        if "*" not in label:
            del self.exact[label]
            return
        literals = _literals(label)
        same = self.globs[literals]
        del same[label]
        if not same:
            del self.globs[literals]
        shape = _shape(literals)
        self.shapes[shape] -= 1
        if not self.shapes[shape]:
            del self.shapes[shape]

    def add_matching(self, label: str, found: list[_Node]) -> None:
        """Append to ``found`` the nodes below whose glob matches ``label``."""
        length = len(label)
        for before, after, between in self.shapes:
            last = length - after - between
            if before > last:
                continue
            head, tail = label[:before], label[length - after :]
            if not between:
                # One `*`: the literals are all there is to it.
                found.extend(self.globs.get((head, tail, ""), {}).values())
                continue
            for middle in {label[at : at + between] for at in range(before, last + 1)}:
                for glob, node in self.globs.get((head, tail, middle), {}).items():
                    if label_matches(glob, label):
                        found.append(node)


def _literals(glob: str) -> _Literals:
    head, *middles, tail = glob.split("*")
    return head, tail, max(middles, key=len, default="")


def _shape(literals: _Literals) -> tuple[int, int, int]:
    head, tail, middle = literals
    return len(head), len(tail), len(middle)
