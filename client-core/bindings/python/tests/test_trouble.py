"""Failures between device and server: unreachable, revoked, restored and replaced ones."""

import asyncio
import shutil
from pathlib import Path

from conftest import Server, device
from test_errors import fails
from test_threads import record_visits
from xundian_client import Client, ErrorCode


async def test_one_sync_runs_at_a_time(phone: Client, server: Server) -> None:
    with server.silent():
        first = asyncio.create_task(phone.sync())
        await asyncio.sleep(0)
        with fails(ErrorCode.SYNC_RUNNING) as raised:
            await phone.sync()
        assert raised.value.is_retryable
        first.cancel()
        await asyncio.wait([first])
    await phone.sync()


async def test_a_revoked_device(phone: Client, server: Server) -> None:
    identity = phone.identity()
    assert identity is not None
    server.run("revoke", str(identity.device))
    with fails(ErrorCode.DEVICE_REVOKED) as raised:
        await phone.sync()
    assert not raised.value.is_retryable


async def test_a_phone_restored_from_a_backup(server: Server, tmp_path: Path) -> None:
    folder, backup = tmp_path / "phone", tmp_path / "backup"
    phone = await device(server, folder, "M001")
    phone.close()
    shutil.copytree(folder, backup)
    phone = Client.open(str(folder))
    record_visits(phone, 1)
    await phone.sync()
    phone.close()
    restore(backup, folder)
    phone = Client.open(str(folder))
    record_visits(phone, 1)
    with fails(ErrorCode.DEVICE_RESTORED):
        await phone.sync()
    await phone.enrol(server.invitation("M001"), "restored phone")
    assert (await phone.sync()).merged == 3


async def test_a_restored_server(another_server: Server, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    phone = await device(another_server, tmp_path / "phone", "M001")
    with another_server.stopped():
        shutil.copytree(another_server.data, backup)
    newcomer = await device(another_server, tmp_path / "newcomer", "M001")
    record_visits(phone, 1)
    await phone.sync()
    with another_server.stopped():
        restore(backup, another_server.data)
    assert (await phone.sync()).merged == 3, "the saves sent after the backup are sent again"
    with fails(ErrorCode.DEVICE_UNKNOWN):
        await newcomer.sync()
    await newcomer.enrol(another_server.invitation("M001"), "newcomer")
    await newcomer.sync()


async def test_a_replaced_server(phone: Client, another_server: Server, server: Server) -> None:
    with server.stopped(), another_server.at(server.address):
        with fails(ErrorCode.CONNECTION_REFUSED):
            await phone.sync()
    with fails(ErrorCode.OTHER_PERSON):
        await phone.enrol(another_server.invitation("R001"), "phone")


async def test_an_unreachable_server(server: Server, tmp_path: Path) -> None:
    async def enrol(name: str, address: str, expected: ErrorCode) -> None:
        phone = Client.open(str(tmp_path / name))
        with fails(expected) as raised:
            await phone.enrol(server.invitation("M001", address), name)
        assert raised.value.is_retryable

    await asyncio.gather(
        enrol("no name", "no-such-host.invalid:4433", ErrorCode.SERVER_ADDRESS),
        enrol("nobody", "127.0.0.1:9", ErrorCode.CONNECTION),
    )


def restore(backup: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
