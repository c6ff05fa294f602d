"""Threads, cancellation, observers and versions."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import xundian_client
from xundian_client import Client, DeviceStatus, Kind, ProgressObserver, StatusObserver, StockCount, SyncProgress

MILK = "6901234567892"


class Steps(ProgressObserver):
    def __init__(self) -> None:
        self.seen: list[SyncProgress] = []

    def on_progress(self, progress: SyncProgress) -> None:
        self.seen.append(progress)


def record_visits(phone: Client, visits: int) -> None:
    outlet = phone.outlet_named("BJ-1")
    for at in range(visits):
        visit = phone.open_visit(outlet)
        phone.count_stock(visit, StockCount(shelf_units={MILK: at}))
        phone.close_visit(visit)


async def test_other_threads_record_during_a_sync(phone: Client) -> None:
    record_visits(phone, 20)
    reads = 0

    def read() -> int:
        return len(phone.list(Kind.VISIT))

    with ThreadPoolExecutor(2) as threads:
        recording = threads.submit(record_visits, phone, 20)
        reading = threads.submit(lambda: [read() for _ in range(20)])
        steps = Steps()
        await phone.sync(steps)
        recording.result()
        reads = max(reading.result())
    assert reads >= 20
    assert steps.seen and all(step.ops_done <= step.ops_total for step in steps.seen)
    await phone.sync()
    assert phone.status().unsent_ops == 0


async def test_a_cancelled_sync_leaves_a_device_that_syncs(phone: Client) -> None:
    record_visits(phone, 10)
    for _ in range(5):
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        class Begun(ProgressObserver):
            def on_progress(self, progress: SyncProgress) -> None:
                loop.call_soon_threadsafe(begun.set)

        sync = asyncio.create_task(phone.sync(Begun()))
        await begun.wait()
        sync.cancel()
        await asyncio.wait([sync])
    await phone.sync()
    assert phone.status().unsent_ops == 0


async def test_an_observer_that_raises_does_not_end_the_sync(phone: Client) -> None:
    class Raises(ProgressObserver):
        def on_progress(self, progress: SyncProgress) -> None:
            raise RuntimeError("a fault of the app")

    record_visits(phone, 1)
    assert (await phone.sync(Raises())).merged == 3


class Statuses(StatusObserver):
    """Records the last status, and waits for an expected one."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.changed = threading.Condition()
        self.last: DeviceStatus | None = None

    def on_status(self, status: DeviceStatus) -> None:
        # An observer may call the client.
        self.client.today()
        with self.changed:
            self.last = status
            self.changed.notify_all()

    def wait_for_unsent(self, unsent: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.last is not None and self.last.unsent_ops == unsent, 60)


async def test_an_observer_sees_saves_and_syncs(phone: Client) -> None:
    statuses = Statuses(phone)
    subscription = phone.observe_status(statuses)
    statuses.wait_for_unsent(0)
    record_visits(phone, 2)
    await asyncio.to_thread(statuses.wait_for_unsent, 6)
    await phone.sync()
    await asyncio.to_thread(statuses.wait_for_unsent, 0)
    subscription.cancel()


def test_library_and_package_have_one_version() -> None:
    assert xundian_client.library_version() == xundian_client.__version__
