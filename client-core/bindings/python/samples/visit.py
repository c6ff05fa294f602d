"""Records a visit offline, then syncs: python visit.py FOLDER OUTLET [INVITATION]

The invitation is needed once; `xundian-server invite STAFF-NUMBER` prints one.
"""

import asyncio
import sys
from datetime import datetime

from xundian_client import (
    Client,
    ClientError,
    Due,
    IssueKind,
    NewIssue,
    GpsFix,
    Severity,
    ShelfObservation,
    StockCount,
)

MILK, BISCUITS = "6901234567892", "6901028075831"


def record(client: Client, outlet_code: str) -> None:
    """Records the visit. This needs no network."""
    outlet = client.outlet_named(outlet_code)
    visit = client.open_visit(outlet, GpsFix(latitude=39.9076, longitude=116.4591, accuracy_m=8.0))
    client.observe_shelf(visit, ShelfObservation(present={MILK: True, BISCUITS: False}, facings_own={MILK: 4}))
    client.count_stock(visit, StockCount(shelf_units={MILK: 12}, backroom_units={MILK: 48}))
    issue = NewIssue(issue_kind=IssueKind.OUT_OF_STOCK, severity=Severity.SEVERE, text="饼干缺货", due=Due.NEXT_DAY)
    client.raise_issue(outlet, issue, visit)
    client.close_visit(visit)
    print("saved visit", visit, "- waiting to be sent:", client.status().unsent_ops)


async def main(folder: str, outlet_code: str, *invitation: str) -> None:
    client = Client.open(folder)
    if invitation:
        identity = await client.enrol(invitation[0], "sample")
        print("enrolled for", identity.person_name)
        await client.sync()
    record(client, outlet_code)
    report = await client.sync()
    print("synced: merged", report.merged, "rejected", report.rejected)
    safe = client.status().safe_to_lose_up_to_ms
    if safe is not None:
        print("safe to lose this phone up to", datetime.fromtimestamp(safe / 1000).strftime("%H:%M"))


try:
    asyncio.run(main(*sys.argv[1:]))
except ClientError.Failed as error:
    sys.exit(f"{error.code.name}: {error.message_zh} / {error.message_en}")
