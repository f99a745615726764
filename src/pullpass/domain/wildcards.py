"""Which of many wildcard domains match a host, found without trying each."""

from __future__ import annotations

from dataclasses import dataclass, field

from pullpass.domain.prefix import host_matches, label_matches, split_port

# Hosts whose answer is kept: far more than the registries that an organization pulls from.
_MOST_KNOWN = 5000

# What a glob label must hold at least: its literals before the first `*` and after the last, and
# the longest in between. As they are substrings of any label that matches, looking all of them up
# finds the glob, however many other globs there are.
_Literals = tuple[str, str, str]


class WildcardDomains:
    """A trie of the domains that hold a `*`: by number of dots, then port, then label by label
    from the right.

    It branches only where domains differ: what one domain alone has left is compared as a whole.
    """

    def __init__(self) -> None:
        self._roots: dict[int, _Node] = {}
        # The answers for hosts that were asked for since the last change.
        self._known: dict[str, tuple[str, ...]] = {}

    def add(self, domain: str) -> None:
        self._known.clear()
        node = self._roots.setdefault(domain.count("."), _Node())
        labels = _route(domain)
        for depth, label in enumerate(labels):
            below = node.children.get(label)
            if below is None:
                node.put(label, domain)
                return
            if isinstance(below, str):
                only = below
                below = node.children[label] = _Node()
                below.put(_route(only)[depth + 1], only)
            node = below

    def remove(self, domain: str) -> None:
        self._known.clear()
        dots = domain.count(".")
        node = self._roots[dots]
        above: list[tuple[_Node, str]] = []
        for label in _route(domain):
            above.append((node, label))
            below = node.children[label]
            if isinstance(below, str):
                break
            node = below
        parent, label = above.pop()
        parent.drop(label)
        # Nothing of a branch stays that is none any more, or a tenant who renames patterns would
        # grow the trie for ever.
        while above and (only := parent.only_domain()) is not None:
            parent, label = above.pop()
            parent.children[label] = only
        if not parent.children:
            del self._roots[dots]

    def matching(self, host: str) -> tuple[str, ...]:
        """The domains that match ``host``, the most specific first."""
        root = self._roots.get(host.count("."))
        if root is None or not host:
            return ()
        known = self._known.get(host)
        if known is None:
            domains = _matching(root, host)
            domains.sort(key=lambda domain: (domain.count("*"), -len(domain), domain))
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[host] = tuple(domains)
        return known


def _route(domain: str) -> list[str]:
    name, port = split_port(domain)
    route = name.split(".")
    route.append(port)
    route.reverse()
    return route


def _matching(root: _Node, host: str) -> list[str]:
    domains: list[str] = []
    nodes = [root]
    for label in _route(host):
        below: list[_Node | str] = []
        for node in nodes:
            node.add_matching(label, below)
        nodes = []
        for each in below:
            if not isinstance(each, str):
                nodes.append(each)
            elif host_matches(each, host):
                domains.append(each)
    return domains


@dataclass(slots=True)
class _Node:
    """What may follow in a wildcard domain: more nodes, or a domain where there is but one."""

    children: dict[str, _Node | str] = field(default_factory=dict)
    # The labels of children that hold a `*`.
    globs: dict[_Literals, set[str]] = field(default_factory=dict)
    # The lengths of the literals of all globs here, with the number of literals that have them.
    shapes: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def only_domain(self) -> str | None:
        """The domain below, where there is no more than that."""
        if len(self.children) == 1:
            (child,) = self.children.values()
            if isinstance(child, str):
                return child
        return None

    def put(self, label: str, domain: str) -> None:
        self.children[label] = domain
        if "*" in label:
            literals = _literals(label)
            if literals not in self.globs:
                shape = _shape(literals)
                self.shapes[shape] = self.shapes.get(shape, 0) + 1
            self.globs.setdefault(literals, set()).add(label)

    def drop(self, label: str) -> None:
        del self.children[label]
        if "*" in label:
            literals = _literals(label)
            self.globs[literals].remove(label)
            if not self.globs[literals]:
                del self.globs[literals]
                shape = _shape(literals)
                self.shapes[shape] -= 1
                if not self.shapes[shape]:
                    del self.shapes[shape]

    def add_matching(self, label: str, found: list[_Node | str]) -> None:
        """Append to ``found`` what is below where the label matches ``label``."""
        exact = self.children.get(label)
        if exact is not None:
            found.append(exact)
        length = len(label)
        for before, after, between in self.shapes:
            last = length - after - between
            if before > last:
                continue
            head, tail = label[:before], label[length - after :]
            middles = {label[at : at + between] for at in range(before, last + 1)}
            for middle in middles if between else ("",):
                for glob in self.globs.get((head, tail, middle), ()):
                    if label_matches(glob, label):
                        found.append(self.children[glob])


def _literals(glob: str) -> _Literals:
    head, *middles, tail = glob.split("*")
    return head, tail, max(middles, key=len, default="")


def _shape(literals: _Literals) -> tuple[int, int, int]:
    head, tail, middle = literals
    return len(head), len(tail), len(middle)
