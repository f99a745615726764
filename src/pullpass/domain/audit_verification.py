"""Whether a chain of audit entries is whole: nothing removed, altered, put elsewhere or added."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pullpass.domain import timestamp
from pullpass.domain.audit import (
    GENESIS,
    AuditAction,
    checkpoint_claim,
    entry_claim,
    head_claim,
    next_hash,
)

_MOST_PROBLEMS = 100


class Signer(Protocol):
    """Makes a keyed digest that only the holder of the audit key can make."""

    def sign(self, claim: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Chain:
    """Where a chain begins and ends. ``pruned_seal`` is None where nothing was pruned."""

    organization: str
    sequence: int = 0
    hash: bytes = GENESIS
    seal: bytes | None = None
    pruned_sequence: int = 0
    pruned_hash: bytes = GENESIS
    pruned_seal: bytes | None = None


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """An entry with all that is kept beside it; ``columns`` is what it is found by."""

    sequence: int
    document: str
    hash: bytes
    seal: bytes
    at: datetime
    columns: Mapping[str, str | None]


@dataclass(slots=True)
class Verification:
    """Call :meth:`begin`, give all entries in their order to :meth:`check`, call :meth:`finish`.

    ``noted`` is the number and the hash of an entry that somebody wrote down elsewhere: a log that
    was set back to an older state is whole in itself, but lacks that entry or has another.

    Runs of entries that share a problem are one problem. At most 100 are kept.
    """

    chain: Chain
    signer: Signer
    noted: tuple[int, bytes] | None = None
    count: int = 0
    problems: list[str] = field(default_factory=list)
    _seen: bool = False
    _at: int = 0
    _hash: bytes | None = GENESIS
    _run: tuple[int, int, str] | None = None

    def begin(self) -> None:
        """Look at the place up to which the chain was pruned. Comes first."""
        chain = self.chain
        self._at, self._hash = chain.pruned_sequence, chain.pruned_hash
        self._compare(self._at, self._hash)
        if chain.pruned_sequence == 0 and chain.pruned_seal is None:
            return
        claim = checkpoint_claim(chain.organization, chain.pruned_sequence, chain.pruned_hash)
        if not self._sealed(claim, chain.pruned_seal):
            self._problem(
                f"the checkpoint that says that entries up to {chain.pruned_sequence} were pruned "
                "is forged"
            )

    def check(self, entries: Iterable[KeptEntry]) -> None:
        """Look at the next entries, in the order of the chain."""
        for entry in entries:
            self.count += 1
            if entry.sequence > self._at + 1:
                self._note(self._at + 1, entry.sequence - 1, "removed")
                # The hash of the one before is gone, so the entry stands on its seal alone.
                self._hash = None
            fault = self._fault(entry)
            if fault is not None:
                self._note(entry.sequence, entry.sequence, fault)
            self._compare(entry.sequence, entry.hash)
            self._at, self._hash = max(self._at, entry.sequence), entry.hash

    def finish(self) -> None:
        """Look at the end of the chain. Comes last; then ``problems`` has all."""
        chain = self.chain
        if self._at < chain.sequence:
            self._note(self._at + 1, chain.sequence, "removed")
        elif self._at > chain.sequence:
            self._note(chain.sequence + 1, self._at, "added behind the end of the chain")
        self._end_run()
        if not self._sealed(
            head_claim(chain.organization, chain.sequence, chain.hash), chain.seal
        ) or (self._at == chain.sequence and self._hash not in (None, chain.hash)):
            self._problem(
                f"the end of the chain, at entry {chain.sequence}, is forged: "
                "entries behind it may have been removed"
            )

        if self.noted is not None and self.noted[0] > chain.pruned_sequence and not self._seen:
            self._problem(f"entry {self.noted[0]}: noted, and not there")

    def _compare(self, sequence: int, hash_: bytes) -> None:
        if self.noted is not None and self.noted[0] == sequence:
            self._seen = True
            if self.noted[1] != hash_:
                self._problem(f"entry {sequence}: not the one that was noted")

    def _fault(self, entry: KeptEntry) -> str | None:
        organization = self.chain.organization
        if entry.sequence <= self._at:
            return "added before the beginning of the chain"
        claim = entry_claim(organization, entry.sequence, entry.hash, entry.document)
        if not self._sealed(claim, entry.seal):
            return "altered"
        if self._hash is not None and entry.hash != next_hash(
            organization, entry.sequence, self._hash, entry.document
        ):
            return "not what followed the one before"
        document = json.loads(entry.document)
        found_by = {name: document.get(name) for name in entry.columns}
        if found_by != dict(entry.columns) or document["at"] != timestamp.render(entry.at):
            return "altered in what it is found by"
        if document["action"] == AuditAction.FIND_DAMAGE:
            return "written by the server, which found the end of the chain forged"
        return None

    def _sealed(self, claim: bytes, seal: bytes | None) -> bool:
        return seal is not None and hmac.compare_digest(self.signer.sign(claim), seal)

    def _note(self, first: int, last: int, what: str) -> None:
        if self._run is not None and self._run[1:] == (first - 1, what):
            self._run = (self._run[0], last, what)
            return
        self._end_run()
        self._run = (first, last, what)

    def _end_run(self) -> None:
        if self._run is not None:
            first, last, what = self._run
            which = f"entry {first}" if first == last else f"entries {first} to {last}"
            self._problem(f"{which}: {what}")
        self._run = None

    def _problem(self, sentence: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(sentence)
