"""The garbage collector, kept from what is there to stay."""

from __future__ import annotations

import gc


def settle() -> None:
    """Keep the garbage collector from going through all that is there by now, again and again.

    A full collection stops every request: for tens of milliseconds where it goes through code and
    its tables, for a second with a million records. What is dropped later is freed all the same, by
    its count of references, where it is in no cycle. What is garbage now is collected first, for it
    would stay otherwise.
    """
    gc.collect()
    gc.freeze()
