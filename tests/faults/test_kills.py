"""kill -9 at any moment, again and again, while clients write, read and revoke.

Each time it is the whole server that is killed, the supervising process with its worker: what was
acknowledged is then in the database, or nowhere.
"""

from __future__ import annotations

import os
import random
import time

from tests.faults.conftest import Say
from tests.parts.api_client import ApiClient
from tests.parts.load import Load
from tests.parts.server import PullpassServer

KILLS = int(os.environ.get("PULLPASS_TEST_KILLS", "200"))
ROUNDS_OF_A_BATCH = 10
LONGEST_RUN = 0.3
# A start takes less on a machine that does nothing else.
LONGEST_START = 1.2


def test_nothing_acknowledged_is_lost(server: PullpassServer, kind: str, say: Say) -> None:
    dice = random.Random(kind)
    rounds = max(1, KILLS // 2)
    with Load([server]) as load:
        for number in range(1, rounds + 1):
            load.wait_for(1)
            time.sleep(dice.uniform(0, LONGEST_RUN))
            server.kill()
            server.launch()
            time.sleep(dice.uniform(0, LONGEST_START))
            server.kill()
            server.start()
            if number % ROUNDS_OF_A_BATCH == 0 or number == rounds:
                with load.paused(), ApiClient(server) as client:
                    load.book.check(client)
                    verified = server.local("audit", "verify")
                    assert (verified.returncode, verified.stderr) == (0, ""), verified.stdout
    entries = load.book.check_log(server)
    say(
        f"{2 * rounds} x kill -9 of the whole server, every other one during its start; "
        f"calls: {load.book.told()}; all {load.book.acknowledged} acknowledged ones are among "
        f"the {entries} entries of the audit log, which is whole"
    )
