"""Observed lists, hints from the platform, and rescue."""

import asyncio
import json
import threading
from pathlib import Path

import pytest
from conftest import Server
from xundian_client import (
    Client,
    ClientError,
    Due,
    ErrorCode,
    FieldCondition,
    IssueKind,
    Kind,
    NewIssue,
    Query,
    RecordPage,
    RecordsObserver,
    Severity,
    rescue,
    set_aside,
)

OPEN = Query(kind=Kind.ISSUE, conditions=[FieldCondition(field="state", one_of=["open", "acknowledged"])])


def raise_issue(phone: Client) -> str:
    issue = NewIssue(issue_kind=IssueKind.PRICE, severity=Severity.NORMAL, text="标价不符", due=Due.NEXT_DAY)
    return phone.raise_issue(phone.outlet_named("BJ-1"), issue)


class Pages(RecordsObserver):
    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.seen: list[RecordPage] = []

    def on_records(self, page: RecordPage) -> None:
        with self.changed:
            self.seen.append(page)
            self.changed.notify_all()

    def wait_for(self, total: int, is_confirmed: bool = False) -> None:
        def is_there() -> bool:
            last = self.seen[-1] if self.seen else None
            lines = [] if last is None else last.lines
            return last is not None and last.total == total and all(line.state.is_CONFIRMED() for line in lines) >= is_confirmed

        with self.changed:
            assert self.changed.wait_for(is_there, 60)


async def test_an_observed_list_is_updated(phone: Client) -> None:
    pages, before = Pages(), phone.query(OPEN).total
    subscription = phone.observe_records(OPEN, pages)
    pages.wait_for(before)
    issue = raise_issue(phone)
    await asyncio.to_thread(pages.wait_for, before + 1)
    await phone.sync()
    await asyncio.to_thread(pages.wait_for, before + 1, True)
    phone.close_issue(issue, "已改价签")
    await asyncio.to_thread(pages.wait_for, before)
    assert all(one != next for one, next in zip(pages.seen, pages.seen[1:]))
    subscription.cancel()


def test_invalid_queries_and_pages(phone: Client) -> None:
    wrong = [
        Query(kind=Kind.ISSUE, conditions=[FieldCondition(field="colour", one_of=["red"])]),
        Query(kind=Kind.ISSUE, conditions=[FieldCondition(field="state", one_of=["new"])]),
        Query(kind=Kind.ISSUE, limit=10_001),
    ]
    for query in wrong:
        with pytest.raises(ClientError.Failed) as raised:
            phone.query(query)
        assert raised.value.code is ErrorCode.ARGUMENT
    route = [call.outlet for call in phone.route(phone.today())]
    assert phone.query(Query(kind=Kind.OUTLET, ids=route, limit=1)).total == len(route)


async def test_in_the_background_the_folder_is_free(phone: Client, tmp_path: Path) -> None:
    phone.network_changed()
    await phone.entering_background()
    other = Client.open(str(tmp_path / "phone"))
    other.close()
    phone.entering_foreground()
    phone.low_memory()
    assert phone.status().unsent_ops == 0
    with pytest.raises(ClientError.Failed) as raised:
        Client.open(str(tmp_path / "phone"))
    assert raised.value.code is ErrorCode.STORE_IN_USE


async def test_a_damaged_device_is_rescued_set_aside_and_enrolled_again(server: Server, tmp_path: Path) -> None:
    folder, key, file = tmp_path / "phone", bytes(range(32)), tmp_path / "rescued.ndjson"
    phone = Client.open(str(folder), key=key)
    await phone.enrol(server.invitation("M001"), "a phone that is damaged")
    await phone.sync()
    issues = [raise_issue(phone) for _ in range(3)]
    with pytest.raises(ClientError.Failed) as raised:
        await rescue(str(folder), str(file), key)
    assert raised.value.code is ErrorCode.STORE_IN_USE
    phone.close()
    (folder / "store" / "db").unlink()
    with pytest.raises(ClientError.Failed) as raised:
        Client.open(str(folder), key=key)
    assert raised.value.code is ErrorCode.STORE_BROKEN

    with pytest.raises(ClientError.Failed) as raised:
        await rescue(str(folder), str(file))
    assert raised.value.code is ErrorCode.STORE_KEY
    report = await rescue(str(folder), str(file), key)
    assert report.unsent == 3 and any("db" in loss for loss in report.losses)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines if line["is"] == "unsent"] == issues
    with pytest.raises(ClientError.Failed) as raised:
        await rescue(str(folder), str(file), key)
    assert raised.value.code is ErrorCode.RESCUE_FILE

    aside = Path(set_aside(str(folder)))
    assert (aside / "store" / "journal.sealed").exists()
    with pytest.raises(ClientError.Failed) as raised:
        set_aside(str(folder))
    assert raised.value.code is ErrorCode.NO_STORE
    phone = Client.open(str(folder), key=bytes(32))
    await phone.enrol(server.invitation("M001"), "the same phone, enrolled again")
    await phone.sync()
    assert phone.status().unsent_ops == 0
    phone.close()
