"""A process that fills an outbox until it is killed, and says on its standard output what was accepted.

One line per commit: the ids of the records that are now on disk. Run as `python -m tests.outbox.victim <path> <seed>`.
"""

import os
import random
import sys
from pathlib import Path

from edge_agent.outbox import OutboxLimits
from tests.outbox.making import Box
from wire.topics import LANES, Lane


def main(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    # A short log, so that kills also fall into checkpoints.
    box = Box(path, limits=OutboxLimits(wal_pages=20, chunk_rows=10), seed=seed)
    number = box.store.lane_states()[Lane.D].last * 10
    os.write(1, b"ready\n")
    while True:
        group = [box.entry(chance.choice(LANES)) for _ in range(chance.randrange(1, 12))]
        number += 1
        group.append(box.numbered(number, at_s=number))
        box.put(*group)
        os.write(1, (" ".join(entry.record.id for entry in group) + "\n").encode())
        match chance.randrange(40):
            case 0:
                lane = chance.choice(LANES)
                box.store.acknowledge({lane: chance.randint(0, box.store.lane_states()[lane].last)})
            case 1:
                box.store.maintain()
            case 2:
                box.store.fork("killed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
