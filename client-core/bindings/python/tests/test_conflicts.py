"""Two people change the same field offline: everybody concerned sees both values, and one person settles the conflict."""

import copy
from pathlib import Path

import pytest
from conftest import Server, device, later
from test_errors import code
from xundian_client import (
    Channel,
    Client,
    ClientError,
    Decision,
    ErrorCode,
    RecordContent,
    Home,
    Kind,
    Outlet,
    Refusal,
    StockCount,
    Value,
    Visit,
)

MILK = "06901234567892"


@pytest.fixture
async def tablet(server: Server, tmp_path: Path) -> Client:
    """A device of the manager, who may also write the outlet."""
    return await device(server, tmp_path / "tablet", "R001")


@pytest.fixture
async def desk(server: Server, tmp_path: Path) -> Client:
    """Another device of the manager."""
    return await device(server, tmp_path / "desk", "R001")


def outlet_of(client: Client, outlet: str) -> Outlet:
    line = client.find(Kind.OUTLET, outlet)
    assert line is not None and isinstance(line.content, RecordContent.OUTLET)
    return line.content.entity


async def test_two_offline_edits_of_one_outlet_show_both_values_to_all(phone: Client, tablet: Client, desk: Client) -> None:
    outlet = phone.outlet_named("BJ-1")
    tablet.edit(outlet, RecordContent.OUTLET(Outlet(note="周一盘点", channel=Channel.SUPERMARKET)))
    later(tablet, desk)
    desk.edit(outlet, RecordContent.OUTLET(Outlet(note="周二盘点", channel=Channel.CONVENIENCE)))
    assert outlet_of(tablet, outlet).note == "周一盘点", "visible at once"
    for client in (desk, tablet, desk, phone):
        await client.sync()

    for client in (phone, tablet, desk):
        assert outlet_of(client, outlet).note == "周二盘点"
        found = {line.field: line for line in client.conflicts(Home.OUTLET(outlet)) if line.settlement is None}
        note, channel = found["note"], found["channel"]
        assert (note.kind, note.record, note.home) == (Kind.OUTLET, outlet, Home.OUTLET(outlet))
        assert (note.field_zh, note.field_en, note.line) == ("备注", "Note", None)
        assert (note.kept.text_zh, note.lost.text_zh) == ("周二盘点", "周一盘点")
        assert note.lost.content == RecordContent.OUTLET(Outlet(note="周一盘点"))
        assert (note.lost.person_name, note.kept.person_name) == ("李强", "李强")
        identity = tablet.identity()
        assert identity is not None and (note.lost.device, note.lost.person) == (identity.device, identity.person)
        assert (channel.kept.text_zh, channel.kept.text_en) == ("便利店", "Convenience")
        assert (channel.lost.text_zh, channel.lost.text_en) == ("超市", "Supermarket")
        assert channel.lost.content == RecordContent.OUTLET(Outlet(channel=Channel.SUPERMARKET))
        assert note.may_restore and note.state.is_CONFIRMED()

    tablet.settle_conflict(note.id, Decision.RESTORED)
    desk.settle_conflict(channel.id, Decision.KEPT)
    assert outlet_of(tablet, outlet).note == "周一盘点"
    for client in (tablet, desk, tablet, phone):
        await client.sync()
    for client in (phone, tablet, desk):
        assert (outlet_of(client, outlet).note, outlet_of(client, outlet).channel) == ("周一盘点", Channel.CONVENIENCE)
        settled = {line.id: line.settlement for line in client.conflicts()}
        restored, kept = settled[note.id], settled[channel.id]
        assert restored is not None and restored.decision is Decision.RESTORED and restored.by == note.lost.person
        assert kept is not None and kept.decision is Decision.KEPT and kept.at_ms is not None
    with pytest.raises(ClientError.Failed) as raised:
        phone.settle_conflict(note.id, Decision.KEPT)
    assert code(raised) is ErrorCode.CONFLICT_SETTLED
    with pytest.raises(ClientError.Failed) as raised:
        phone.settle_conflict(outlet, Decision.KEPT)
    assert code(raised) is ErrorCode.RECORD_UNKNOWN


async def test_an_edit_with_before_writes_only_the_changes(tablet: Client, desk: Client) -> None:
    outlet = tablet.outlet_named("BJ-2")
    tablet.edit(outlet, RecordContent.OUTLET(Outlet(phone="010-1", open_hours="9-21")))
    await tablet.sync()
    await desk.sync()
    before = outlet_of(desk, outlet)
    after = copy.copy(before)
    tablet.edit(outlet, RecordContent.OUTLET(Outlet(phone="010-2")))
    await tablet.sync()
    await desk.sync()
    after.phone, after.open_hours = "010-3", None
    desk.edit(outlet, RecordContent.OUTLET(after), RecordContent.OUTLET(before))
    await desk.sync()
    assert (outlet_of(desk, outlet).phone, outlet_of(desk, outlet).open_hours) == ("010-3", None)
    [conflict] = [line for line in desk.conflicts(Home.OUTLET(outlet)) if line.field == "phone"]
    assert (conflict.kept.text_en, conflict.lost.text_en) == ("010-3", "010-2"), "the other change arrived while the form was open"


async def test_a_conflict_in_a_line_names_the_product(phone: Client, server: Server, tmp_path: Path) -> None:
    outlet = phone.outlet_named("BJ-1")
    visit = phone.open_visit(outlet)
    await phone.sync()
    other = await device(server, tmp_path / "other", "M001")
    phone.count_stock(visit, StockCount(shelf_units={MILK: 3}))
    later(phone, other)
    other.count_stock(visit, StockCount(shelf_units={MILK: 4}))
    for client in (phone, other):
        await client.sync()
    [line] = [line for line in other.conflicts(Home.OUTLET(outlet)) if line.record == visit]
    assert (line.kind, line.field, line.line) == (Kind.STOCK_COUNT, "shelf_units", f"纯牛奶 {MILK}")
    assert line.lost.content == RecordContent.STOCK_COUNT(StockCount(shelf_units={MILK: 3}))
    assert not line.may_restore
    with pytest.raises(ClientError.Failed) as raised:
        other.settle_conflict(line.id, Decision.RESTORED)
    assert code(raised) is ErrorCode.NOT_EDITED and "盘点" in raised.value.message_zh
    # A conflict is a record too, and holds the raw values.
    record = other.find(Kind.CONFLICT, line.id)
    assert record is not None and isinstance(record.content, RecordContent.CONFLICT)
    lost = record.content.entity.lost
    assert lost is not None and lost.value == Value.INT(3) and lost.key.is_NUMBER()
    phone.close_visit(visit)
    await phone.sync()


async def test_a_rejected_op_is_mended_and_accepted(tablet: Client) -> None:
    outlet = tablet.outlet_named("BJ-2")
    # Only headquarters may write an outlet's unit.
    units = {line.content.entity.code: line.id for line in tablet.list(Kind.ORG_UNIT) if isinstance(line.content, RecordContent.ORG_UNIT)}
    tablet.edit(outlet, RecordContent.OUTLET(Outlet(unit=units["HQ"], address="望京街9号")))
    assert (await tablet.sync()).rejected == 1
    [refused] = tablet.rejected()
    assert refused.why is Refusal.NOT_A_WRITER and isinstance(refused.content, RecordContent.OUTLET)
    with pytest.raises(ClientError.Failed) as raised:
        tablet.mend_rejected(refused.id, RecordContent.VISIT(Visit(note="?")))
    assert code(raised) is ErrorCode.ARGUMENT
    form = refused.content.entity
    form.unit = None
    tablet.mend_rejected(refused.id, RecordContent.OUTLET(form))
    assert tablet.rejected() == [] and tablet.status().unsent_ops == 1
    assert (await tablet.sync()).merged == 1
    assert outlet_of(tablet, outlet).address == "望京街9号"
    with pytest.raises(ClientError.Failed) as raised:
        tablet.mend_rejected(refused.id, RecordContent.OUTLET(form))
    assert code(raised) is ErrorCode.REJECTED_UNKNOWN


def test_edits_that_are_refused(phone: Client) -> None:
    outlet = phone.outlet_named("BJ-1")
    calls: list[tuple[str, RecordContent, RecordContent | None, ErrorCode]] = [
        (outlet, RecordContent.VISIT(Visit(note="改")), None, ErrorCode.NOT_EDITED),
        (outlet, RecordContent.OUTLET(Outlet(note="改")), RecordContent.VISIT(Visit()), ErrorCode.ARGUMENT),
        ("01890a5d-ac96-774b-bcce-b302099a8057", RecordContent.OUTLET(Outlet(note="改")), None, ErrorCode.RECORD_UNKNOWN),
    ]
    for id, form, before, expected in calls:
        with pytest.raises(ClientError.Failed) as raised:
            phone.edit(id, form, before)
        assert code(raised) is expected
