"""Image to record among 100 to 1,000,000 prefixes, beside two others in the same run.

    python -m bench.matching [MOST]

1% of the prefixes have a wildcard host. Half of the images lie under a record's prefix, a tenth
under a wildcard's, the rest match nothing. ``parsed`` is the look-up alone, ``text`` parses the
image too, ``batch`` is each of 10,000 in one call, as the API takes them. ``dict`` is one look-up
of a random key in a dictionary with as many: what the machine's memory costs at that size.

The others, in Python as well: ``docker_py`` is docker-py's ``AuthConfig.resolve_authconfig``, which
knows hosts only and scans where none is there by that name; ``kubelet`` a straight port of
``BasicDockerKeyring.Lookup`` with ``URLsMatchStr`` (Kubernetes 1.30,
pkg/credentialprovider/keyring.go), which goes through a sorted list. Above 10,000 prefixes they are
left out.
"""

from __future__ import annotations

import fnmatch
import gc
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import SplitResult, urlsplit

from docker.auth import AuthConfig

from pullpass.domain.image import ImageReference
from pullpass.domain.matching import MatchIndex
from pullpass.domain.prefix import RegistryPrefix

SIZES = (100, 10_000, 1_000_000)
ASKED = 10_000
ROUNDS = 5
MOST_FOR_SCANS = 10_000
SCANS = 20


def prefixes(count: int) -> list[str]:
    wildcards = count // 100
    plain = [f"r{n % 97}.example{n // 97 % 89}.com/team{n % 13}/app{n}" for n in range(count)]
    return plain[wildcards:] + [f"*.zone{n}.*.example.net/team{n % 7}" for n in range(wildcards)]


def images(of: Sequence[str], count: int) -> list[str]:
    chosen = random.Random(1)
    wildcards = [each for each in of if "*" in each]
    plain = of[: len(of) - len(wildcards)]

    def one() -> str:
        share = chosen.random()
        if share < 0.5:
            return f"{chosen.choice(plain)}/service:1.{chosen.randrange(99)}"
        if share < 0.6:
            return f"{chosen.choice(wildcards).replace('*', 'east-1')}/service:2"
        return f"registry{chosen.randrange(9999)}.example.org/team/app{chosen.randrange(9999)}:3"

    return [one() for _ in range(count)]


class Keyring:
    """The kubelet's index: sorted backwards, so that the more specific come first."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._index = sorted(keys, reverse=True)

    def lookup(self, image: str) -> list[str]:
        return [key for key in self._index if urls_match(schemeless(key), schemeless(image))]


def schemeless(text: str) -> SplitResult:
    return urlsplit(f"https://{text}")


def split_host(url: SplitResult) -> tuple[list[str], str]:
    host, _, port = url.netloc.partition(":")
    return host.split("."), port


def urls_match(glob: SplitResult, target: SplitResult) -> bool:
    glob_parts, glob_port = split_host(glob)
    target_parts, target_port = split_host(target)
    if glob_port != target_port or len(glob_parts) != len(target_parts):
        return False
    if not target.path.startswith(glob.path):
        return False
    return all(
        fnmatch.fnmatchcase(target_part, glob_part)
        for glob_part, target_part in zip(glob_parts, target_parts, strict=True)
    )


def median_of(call: Callable[..., object], asked: Sequence[object]) -> float:
    """Microseconds."""
    clock = time.perf_counter_ns
    times = []
    for each in asked:
        began = clock()
        call(each)
        times.append(clock() - began)
    return statistics.median(times) / 1000


class Subject:
    """So many prefixes, what is asked of them, and how long each round took."""

    def __init__(self, count: int) -> None:
        self._known = prefixes(count)
        self._index: MatchIndex[str] = MatchIndex()
        for number, text in enumerate(self._known):
            self._index.put(str(number), RegistryPrefix.parse(text), text)
        self._asked = images(self._known, ASKED)
        self._references = [ImageReference.parse(image) for image in self._asked]
        self._dict = {f"key-{number}": text for number, text in enumerate(self._known)}
        chosen = random.Random(2)
        self._keys = [f"key-{chosen.randrange(count)}" for _ in range(ASKED)]
        self._rounds: dict[str, list[float]] = {}

    def text(self, image: str) -> str | None:
        return self._index.match(ImageReference.parse(image)).winner

    def parsed(self, reference: ImageReference) -> str | None:
        return self._index.match(reference).winner

    def round(self) -> None:
        self._note("parsed_us", median_of(self.parsed, self._references))
        self._note("dict_us", median_of(self._dict.get, self._keys))
        self._note("text_us", median_of(self.text, self._asked))
        # Processor time, since a long stretch is sure to be interrupted.
        began = time.thread_time()
        for image in self._asked:
            self.text(image)
        self._note("batch_us", (time.thread_time() - began) / ASKED * 1e6)

    def round_of_scans(self) -> None:
        few = self._asked[:: ASKED // SCANS]
        auths = AuthConfig({"auths": {key: {"username": "u"} for key in self._known}})
        keyring = Keyring(self._known)
        for image in few:
            assert keyring.lookup(image)[:1] == [each for each in [self.text(image)] if each]
        hosts = [image.partition("/")[0] for image in few]
        self._note("docker_py_us", median_of(auths.resolve_authconfig, hosts))
        self._note("kubelet_us", median_of(keyring.lookup, few))

    def figures(self) -> dict[str, float]:
        found = {name: statistics.median(times) for name, times in self._rounds.items()}
        for name in ("docker_py", "kubelet"):
            if f"{name}_us" in found:
                found[f"{name}_ratio"] = found[f"{name}_us"] / found["text_us"]
        return found

    def _note(self, name: str, time: float) -> None:
        self._rounds.setdefault(name, []).append(time)


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    subjects = {count: Subject(count) for count in SIZES if count <= most}
    gc.collect()
    gc.freeze()
    for _ in range(ROUNDS):
        for subject in subjects.values():
            subject.round()
    for count, subject in subjects.items():
        if count <= MOST_FOR_SCANS:
            subject.round_of_scans()
    found = {count: subject.figures() for count, subject in subjects.items()}
    names = list(found[SIZES[0]])
    print(f"{'prefixes':>10}" + "".join(f"{name:>18}" for name in names))
    for count, figures in found.items():
        cells = [f"{figures[name]:>18,.2f}" if name in figures else f"{'-':>18}" for name in names]
        print(f"{count:>10,}" + "".join(cells))
    flat = {
        name: max(figures[name] for figures in found.values())
        / min(figures[name] for figures in found.values())
        for name in ("parsed_us", "text_us", "batch_us", "dict_us")
    }
    print(
        "largest by smallest: " + ", ".join(f"{name} {value:.2f}" for name, value in flat.items())
    )
    print(json.dumps({"sizes": found, "flat": flat}))


if __name__ == "__main__":
    main()
