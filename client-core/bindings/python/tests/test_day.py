"""A merchandiser's day: recorded offline, visible at once, synced, and seen by the manager."""

from pathlib import Path

from conftest import TODAY, Server, device
from xundian_client import (
    AbortReason,
    Client,
    DepartureCheck,
    Due,
    RecordContent,
    Home,
    IssueKind,
    IssueState,
    Kind,
    MovementCause,
    NewIssue,
    GpsFix,
    SaveState,
    Severity,
    ShelfObservation,
    StockCount,
    StockMovement,
    VisitBundle,
)

MILK = "6901234567892"
MILK_14 = "0" + MILK


def test_the_route_lists_the_calls_of_the_day(phone: Client) -> None:
    calls = phone.route(phone.today())
    assert [(call.order, call.code, call.must) for call in calls] == [(1, "BJ-2", True), (2, "BJ-1", False)]
    assert calls[0].name == "北京望京店" and calls[0].purpose == "盘点"


async def test_a_visit_is_saved_offline_and_synced_later(phone: Client) -> None:
    outlet = phone.outlet_named("BJ-2")
    place = GpsFix(latitude=39.9901, longitude=116.4701, accuracy_m=8.0)
    visit = phone.open_visit(outlet, place)
    assert phone.current_visit() == visit
    phone.update_visit(visit, {"poster": True}, "店长下周休假")
    phone.observe_shelf(visit, ShelfObservation(present={MILK: True}, facings_own={MILK: 4}))
    phone.count_stock(visit, StockCount(shelf_units={MILK: 12}, lot_units={f"{MILK}/L7": 12}))
    phone.close_visit(visit)
    assert phone.current_visit() is None

    line = phone.find(Kind.VISIT, visit)
    assert line is not None and isinstance(line.content, RecordContent.VISIT)
    assert line.state.is_SAVED() and line.home == Home.OUTLET(outlet)
    assert line.header is not None and line.header.business_day == str(TODAY)
    assert line.content.entity.task_answers == {"poster": True}
    assert line.content.entity.distance_m is not None and line.content.entity.distance_m < 50
    count = phone.find(Kind.STOCK_COUNT, visit)
    assert count is not None and isinstance(count.content, RecordContent.STOCK_COUNT)
    assert count.content.entity.shelf_units == {MILK_14: 12}
    assert count.content.entity.lot_units == {f"{MILK_14}/L7": 12}
    assert phone.status().unsent_ops > 0
    assert next(call.visit for call in phone.route(phone.today()) if call.code == "BJ-2") == visit

    report = await phone.sync()
    assert (report.merged, report.rejected, report.unsent_ops) == (5, 0, 0)
    state = phone.save_state(Kind.VISIT, visit)
    assert state is not None and state.is_CONFIRMED()
    status = phone.status()
    assert status.unsent_ops == 0 and status.safe_to_lose_up_to_ms is not None


async def test_the_manager_sees_and_acknowledges_an_issue(phone: Client, server: Server, tmp_path: Path) -> None:
    outlet = phone.outlet_named("BJ-1")
    issue = NewIssue(issue_kind=IssueKind.OUT_OF_STOCK, severity=Severity.URGENT, text="缺货", due=Due.SAME_DAY)
    raised = phone.raise_issue(outlet, issue)
    pushed = await phone.push()
    assert pushed.merged == 1

    manager = await device(server, tmp_path / "manager", "R001")
    line = manager.find(Kind.ISSUE, raised)
    assert line is not None and isinstance(line.content, RecordContent.ISSUE)
    assert line.content.entity.text == "缺货" and line.content.entity.due_on == str(TODAY)
    manager.acknowledge_issue(raised)
    await manager.sync()

    await phone.sync()
    seen = phone.find(Kind.ISSUE, raised)
    assert seen is not None and isinstance(seen.content, RecordContent.ISSUE)
    assert seen.content.entity.state is IssueState.ACKNOWLEDGED


async def test_a_whole_visit_is_one_save(phone: Client) -> None:
    outlet = phone.outlet_named("BJ-1")
    bundle = VisitBundle(
        outlet=outlet,
        opened_at_ms=1_795_400_000_000,
        ended_at_ms=1_795_400_600_000,
        fix=GpsFix(latitude=39.9, longitude=116.4),
        shelf=ShelfObservation(present={MILK: False}),
        count=StockCount(),
    )
    visit = phone.record_visit(bundle)
    bundle.id = visit
    assert phone.record_visit(bundle) == visit, "recording it again saves nothing"
    kinds = {type(line.content) for line in phone.list_home(Home.OUTLET(outlet)) if line.id == visit}
    assert kinds == {RecordContent.VISIT, RecordContent.SHELF_OBSERVATION}


def test_departure_check_abort_movement_and_day_report(phone: Client) -> None:
    outlet = phone.outlet_named("BJ-1")
    phone.check_departure(DepartureCheck(folder=True, cloth=True, knife=False))
    visit = phone.open_visit(outlet)
    phone.abort_visit(visit, AbortReason.CLOSED, "停业装修")
    phone.move_stock(outlet, StockMovement(cause=MovementCause.SELL_IN, units={MILK: 24}))
    report = phone.report_day("两店一访", 3)
    line = phone.find(Kind.DAY_REPORT, report)
    assert line is not None and isinstance(line.content, RecordContent.DAY_REPORT)
    assert (line.content.entity.visits_planned, line.content.entity.documents) == (2, 3)
    assert phone.day_summary(phone.today()).visits_aborted >= 1


def test_every_kind_can_be_listed(phone: Client) -> None:
    for kind in Kind:
        for line in phone.list(kind):
            assert isinstance(line.content, getattr(RecordContent, kind.name))
            assert isinstance(line.state, SaveState)
    assert len(phone.list(Kind.OUTLET)) == 2
