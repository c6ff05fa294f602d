"""An app that goes to the background during a sync."""

import asyncio

from conftest import Server
from test_errors import fails
from test_threads import record_visits
from xundian_client import Client, ErrorCode


async def test_a_running_sync_ends_and_the_next_one_resumes(phone: Client, server: Server) -> None:
    record_visits(phone, 1)
    with server.silent():
        sync = asyncio.create_task(phone.sync())
        await asyncio.sleep(0)
        phone.network_changed()
        await phone.entering_background()
        with fails(ErrorCode.BACKGROUNDED) as raised:
            await sync
        assert raised.value.is_retryable
    assert (await phone.sync()).merged == 3
