"""Errors have a stable code, and a message in Chinese and in English that says what to do."""

import asyncio
import resource
import uuid
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

import pytest
from conftest import Server, device
from test_life import raise_issue
from test_threads import record_visits
from xundian_client import (
    Client,
    ClientError,
    Due,
    ErrorCode,
    RecordContent,
    IssueKind,
    Kind,
    NewIssue,
    GpsFix,
    Refusal,
    Severity,
    ShelfObservation,
    StockCount,
    StockMovement,
    VisitBundle,
)


def code(raised: pytest.ExceptionInfo[ClientError.Failed]) -> ErrorCode:
    assert any("\u4e00" <= character <= "\u9fff" for character in raised.value.message_zh)
    assert raised.value.message_en
    return raised.value.code


@contextmanager
def fails(expected: ErrorCode) -> Iterator[pytest.ExceptionInfo[ClientError.Failed]]:
    """Expects that its body fails with a code, and with a message in Chinese and in English."""
    with pytest.raises(ClientError.Failed) as raised:
        yield raised
    assert code(raised) is expected


def test_an_unknown_outlet(phone: Client) -> None:
    with pytest.raises(ClientError.Failed) as raised:
        phone.outlet_named("GZ-9")
    assert code(raised) is ErrorCode.OUTLET_UNKNOWN
    assert "GZ-9" in raised.value.message_zh and not raised.value.is_retryable


def test_malformed_arguments(phone: Client) -> None:
    outlet = phone.outlet_named("BJ-1")
    calls: list[Callable[[], object]] = [
        lambda: phone.find(Kind.VISIT, "no id"),
        lambda: phone.route("yesterday"),
        lambda: phone.open_visit(outlet, GpsFix(latitude=91.0, longitude=0.0)),
        lambda: phone.count_stock(outlet, StockCount(shelf_units={"6901234567893": 1})),
        lambda: phone.count_stock(outlet, StockCount(lot_units={"6901234567892": 1})),
        lambda: phone.drop_rejected("twelve"),
    ]
    for call in calls:
        with pytest.raises(ClientError.Failed) as raised:
            call()
        assert code(raised) is ErrorCode.ARGUMENT


def test_one_visit_is_open_at_a_time(phone: Client) -> None:
    visit = phone.open_visit(phone.outlet_named("BJ-1"))
    with pytest.raises(ClientError.Failed) as raised:
        phone.open_visit(phone.outlet_named("BJ-2"))
    assert code(raised) is ErrorCode.VISIT_STILL_OPEN
    with pytest.raises(ClientError.Failed) as raised:
        phone.count_stock(visit, StockCount())
    assert code(raised) is ErrorCode.FORM_EMPTY
    phone.close_visit(visit)
    with pytest.raises(ClientError.Failed) as raised:
        phone.close_visit(visit)
    assert code(raised) is ErrorCode.VISIT_CLOSED


def test_invalid_saves(phone: Client) -> None:
    outlet = phone.outlet_named("BJ-1")
    with fails(ErrorCode.VISIT_UNKNOWN):
        phone.close_visit(str(uuid.uuid4()))
    with fails(ErrorCode.FORM_INVALID):
        phone.move_stock(outlet, StockMovement(units={"6901234567892": 1}))
    reversed_times = VisitBundle(
        outlet=outlet, opened_at_ms=1_795_400_000_000, ended_at_ms=0, shelf=ShelfObservation(), count=StockCount()
    )
    with fails(ErrorCode.TIMES_REVERSED):
        phone.record_visit(reversed_times)


async def test_an_issue_is_closed_once(server: Server, tmp_path: Path) -> None:
    manager = await device(server, tmp_path / "manager", "R001")
    issue = NewIssue(issue_kind=IssueKind.OUT_OF_STOCK, severity=Severity.SEVERE, text="缺货", due=Due.NEXT_DAY)
    raised = manager.raise_issue(manager.outlet_named("BJ-1"), issue)
    manager.close_issue(raised, "已补货")
    with fails(ErrorCode.ISSUE_STATE):
        manager.acknowledge_issue(raised)
    await manager.sync()


async def test_an_unusable_folder(phone: Client, server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with fails(ErrorCode.STORE_DISK):
        Client.open(str(tmp_path / "file"))
    record_visits(phone, 1)
    phone.close()
    (tmp_path / "phone" / "device.key").write_text("no key", encoding="utf-8")
    damaged = Client.open(str(tmp_path / "phone"))
    with fails(ErrorCode.IDENTITY_BROKEN):
        await damaged.sync()
    await damaged.enrol(server.invitation("M001"), "the same phone, with another key")
    assert (await damaged.sync()).merged == 3


async def test_a_full_disk(phone: Client) -> None:
    before = raise_issue(phone)
    with no_room():
        with fails(ErrorCode.STORE_DISK) as raised:
            raise_issue(phone)
        assert not raised.value.is_retryable, "it may be stored anyway"
        with fails(ErrorCode.STORE_DISK) as raised:
            phone.status()
        assert raised.value.is_retryable
    after = raise_issue(phone)
    assert {before, after} <= {line.id for line in phone.list(Kind.ISSUE)}
    assert (await phone.sync()).rejected == 0


async def test_a_full_disk_while_a_sync_waits_for_the_server(phone: Client, server: Server) -> None:
    raise_issue(phone)
    with server.silent():
        sync = asyncio.create_task(phone.sync())
        await asyncio.sleep(0)
        with no_room(), fails(ErrorCode.STORE_DISK):
            raise_issue(phone)
        raise_issue(phone)
        with pytest.raises(ClientError.Failed) as ended:
            await sync
        assert code(ended) in (ErrorCode.BACKGROUNDED, ErrorCode.STORE_DISK) and ended.value.is_retryable
    assert (await phone.sync()).rejected == 0


@contextmanager
def no_room() -> Iterator[None]:
    """Lets every write of this process fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_store_of_a_newer_app(tmp_path: Path) -> None:
    key = bytes(range(32))
    Client.open(str(tmp_path), key=key).close()
    file = tmp_path / "store" / "key"
    content = bytes([file.read_bytes()[0] + 1]) + file.read_bytes()[1:-4]
    file.write_bytes(content + zlib.crc32(content).to_bytes(4, "big"))
    with fails(ErrorCode.STORE_NEWER) as raised:
        Client.open(str(tmp_path), key=key)
    assert "更新应用" in raised.value.message_zh and "update the app" in raised.value.message_en


async def test_a_device_that_is_not_enrolled(tmp_path: Path) -> None:
    client = Client.open(str(tmp_path / "phone"))
    assert client.identity() is None
    with pytest.raises(ClientError.Failed) as raised:
        client.report_day()
    assert code(raised) is ErrorCode.NOT_ENROLLED
    with pytest.raises(ClientError.Failed) as raised:
        await client.sync()
    assert code(raised) is ErrorCode.NOT_ENROLLED


async def test_invalid_invitations(server: Server, tmp_path: Path) -> None:
    client = Client.open(str(tmp_path / "phone"))
    with pytest.raises(ClientError.Failed) as raised:
        await client.enrol("xd1-", "phone")
    assert code(raised) is ErrorCode.INVITATION_MALFORMED
    used = server.invitation("M001")
    with fails(ErrorCode.LABEL_TOO_LONG):
        await client.enrol(used, "店" * 1000)
    await client.enrol(used, "phone")
    other = Client.open(str(tmp_path / "other"))
    with pytest.raises(ClientError.Failed) as raised:
        await other.enrol(used, "phone")
    assert code(raised) is ErrorCode.INVITATION_REFUSED
    with pytest.raises(ClientError.Failed) as raised:
        await client.enrol(server.invitation("R001"), "phone")
    assert code(raised) is ErrorCode.INVITATION_REFUSED and "another person" in raised.value.message_en


async def test_a_device_that_is_enrolled_again_keeps_its_unsent_work(phone: Client, server: Server) -> None:
    before = phone.identity()
    visit = phone.open_visit(phone.outlet_named("BJ-1"))
    phone.close_visit(visit)
    after = await phone.enrol(server.invitation("M001"), "the same phone")
    assert before is not None and after.device != before.device
    assert (await phone.sync()).merged == 2


def test_a_folder_is_open_once(phone: Client, tmp_path: Path) -> None:
    with pytest.raises(ClientError.Failed) as raised:
        Client.open(str(tmp_path / "phone"))
    assert code(raised) is ErrorCode.STORE_IN_USE and raised.value.is_retryable
    phone.close()
    with pytest.raises(ClientError.Failed) as raised:
        phone.today()
    assert code(raised) is ErrorCode.CLIENT_CLOSED
    again = Client.open(str(tmp_path / "phone"))
    assert again.identity() is not None


async def test_a_sealed_folder_opens_only_with_its_key(server: Server, tmp_path: Path) -> None:
    folder, key, other = tmp_path / "sealed", bytes(range(32)), bytes(32)
    phone = Client.open(str(folder), key=key)
    await phone.enrol(server.invitation("M001"), "a phone with a keystore")
    await phone.sync()
    visit = phone.open_visit(phone.outlet_named("BJ-1"))
    text = "店主要求下周补货"
    urgent = NewIssue(issue_kind=IssueKind.OUT_OF_STOCK, severity=Severity.URGENT, text=text, due=Due.NEXT_DAY)
    phone.raise_issue(phone.outlet_named("BJ-1"), urgent, visit)
    phone.close_visit(visit)
    assert phone.status().is_sealed
    phone.change_key(other)
    phone.close()
    assert not any(text.encode() in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    for wrong in (None, key):
        with pytest.raises(ClientError.Failed) as raised:
            Client.open(str(folder), key=wrong)
        assert code(raised) is ErrorCode.STORE_KEY and "密钥" in raised.value.message_zh
    with pytest.raises(ClientError.Failed) as raised:
        Client.open(str(folder), key=b"short")
    assert code(raised) is ErrorCode.ARGUMENT
    phone = Client.open(str(folder), key=other)
    assert (await phone.sync()).merged == 3
    phone.close()


async def test_rejected_ops_are_listed_resent_and_dropped(server: Server, tmp_path: Path) -> None:
    # From today on she holds no position, so the outlet is out of her scope. The device does not know that yet.
    phone = await device(server, tmp_path / "phone", "M001")
    visit = phone.open_visit(phone.outlet_named("BJ-1"))
    phone.close_visit(visit)
    people = tmp_path / "people.csv"
    people.write_text(f"code,name,position,position_from\nM001,王芳,,{phone.today()}\n", encoding="utf-8")
    server.run("import", "people", str(people))
    try:
        report = await phone.push()
        assert report.rejected == 2
        rejected = phone.rejected()
        assert {save.why for save in rejected} == {Refusal.OUT_OF_SCOPE} and rejected[0].record == visit
        assert isinstance(rejected[0].content, RecordContent.VISIT) and "范围" in rejected[0].message_zh
        phone.drop_rejected(rejected[1].id)
    finally:
        people.write_text(f"code,name,position,position_from\nM001,王芳,HB-M1,{phone.today()}\n", encoding="utf-8")
        server.run("import", "people", str(people))
    phone.resend_rejected(rejected[0].id)
    assert phone.rejected() == []
    assert (await phone.sync()).merged == 1
    with pytest.raises(ClientError.Failed) as raised:
        phone.drop_rejected(rejected[1].id)
    assert code(raised) is ErrorCode.REJECTED_UNKNOWN
