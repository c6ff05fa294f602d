"""A process that records into a sealed folder is killed at random moments. No save that it acknowledged is lost."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from conftest import Server
from xundian_client import Client, RecordContent, Kind

SAVES = 200
KILLS = int(os.environ.get("XUNDIAN_KILLS", "10"))
KEY = bytes(range(32))

# Prints each save after the call has returned.
RECORDS = f"""
import sys
from xundian_client import Client, MovementCause, StockMovement

phone = Client.open(sys.argv[1], key=bytes(range(32)))
outlet = phone.outlet_named("BJ-1")
for at in range({SAVES}):
    movement = StockMovement(cause=MovementCause.SELL_IN, units={{"6901234567892": at + 1}})
    print(phone.move_stock(outlet, movement), at + 1, flush=True)
print("done", flush=True)
"""


async def test_a_kill_loses_no_acknowledged_save(server: Server, tmp_path: Path) -> None:
    seed = int(os.environ.get("XUNDIAN_SEED", random.randrange(2**32)))
    print(f"kills: XUNDIAN_SEED={seed}")
    rng = random.Random(seed)
    folder = tmp_path / "phone"
    phone = Client.open(str(folder), key=KEY)
    await phone.enrol(server.invitation("M001"), "a phone that is killed")
    await phone.sync()
    acknowledged: dict[str, int] = {}
    kills = 0
    for _ in range(KILLS):
        phone.close()
        kills += record_until_killed(folder, acknowledged, rng)
        phone = Client.open(str(folder), key=KEY)
        found = {}
        for line in phone.list(Kind.STOCK_MOVEMENT):
            assert isinstance(line.content, RecordContent.STOCK_MOVEMENT)
            found[line.id] = next(iter(line.content.entity.units.values()))
        missing = [id for id, units in acknowledged.items() if found.get(id) != units]
        assert missing == [], f"XUNDIAN_SEED={seed}: {missing} were acknowledged and are lost"
        # Each kill may leave one more durable save, killed before it was acknowledged.
        assert len(found) - len(acknowledged) <= KILLS
    assert kills > 0, "no process was killed before it finished"
    assert (await phone.sync()).merged == len(found)
    phone.close()


def record_until_killed(folder: Path, acknowledged: dict[str, int], rng: random.Random) -> bool:
    """Kills the process a moment after a random save. Returns whether it was still recording."""
    child = subprocess.Popen([sys.executable, "-c", RECORDS, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said: list[str] = []
    for _ in range(rng.randrange(SAVES)):
        said.append(child.stdout.readline())
    time.sleep(rng.random() * 0.003)
    child.kill()
    said += child.stdout.readlines()
    child.wait()
    for line in said:
        # The last line may be incomplete.
        if line.endswith("\n") and line != "done\n":
            id, units = line.split()
            acknowledged[id] = int(units)
    return "done\n" not in said
