"""A real server with a small company, for tests that enrol devices and sync."""

import os
import re
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Iterator
from zoneinfo import ZoneInfo

import pytest
from xundian_client import Client

TODAY = datetime.now(ZoneInfo("Asia/Shanghai")).date()
YESTERDAY = TODAY - timedelta(days=1)

FILES = {
    "org": """row,code,name_zh,name_en,unit_type,parent,territory,title,unit,role,superior
unit,HQ,总公司,Company,company,,,,,,
unit,HUA_BEI,华北大区,North,region,HQ,11|12|13,,,,
position,HQ-DIR,,,,,,营销总监,HQ,headquarters,
position,HB-MGR,,,,,,华北大区经理,HUA_BEI,manager,HQ-DIR
position,HB-M1,,,,,,理货员,HUA_BEI,merchandiser,HB-MGR
""",
    "people": """code,name,position
R001,李强,HB-MGR
M001,王芳,HB-M1
""",
    "outlets": """code,name,channel,city,province_code,longitude,latitude
BJ-1,北京银泰店,chain,北京市,11,116.459086,39.907636
BJ-2,北京望京店,hypermarket,北京市,11,116.470000,39.990000
""",
    "products": """gtin,name,category,spec,unit,retail_price_cny,units_per_case
6901234567892,纯牛奶,食品,250ml,盒,3.50,24
""",
    "assignments": f"""outlet,position,from
BJ-1,HB-M1,{YESTERDAY}
BJ-2,HB-M1,{YESTERDAY}
""",
    "routes": f"""person,day,outlet,order,purpose,must
M001,{TODAY},BJ-2,1,盘点,yes
M001,{TODAY},BJ-1,2,,
""",
}
ORDER = ["org", "people", "outlets", "products", "assignments", "routes"]


class Server:
    """`xundian-server serve` on a folder of its own."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program = program
        self.data = folder / "company"
        for name in ORDER:
            file = folder / f"{name}.csv"
            file.write_text(FILES[name], encoding="utf-8")
            self.run("import", name, str(file))
        self.address = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
        self.http_port = free_port(socket.SOCK_STREAM)
        self.serve(self.address)

    def serve(self, address: str) -> None:
        self.process = subprocess.Popen(
            [self.program, "--data", self.data, "serve", "--quic", address, "--http", f"127.0.0.1:{self.http_port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.wait()

    def run(self, *arguments: str) -> str:
        done = subprocess.run([self.program, "--data", self.data, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def wait(self) -> None:
        """Waits until the console listens, which comes last."""
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, "the server exited at once"
            assert time.monotonic() < deadline, "the server does not start"
            try:
                socket.create_connection(("127.0.0.1", self.http_port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.01)

    def invitation(self, person: str, address: str | None = None) -> str:
        found = re.search(r"xd1-\S+", self.run("invite", person, "--address", address or self.address))
        assert found is not None
        return found.group()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Stops the server's process, so that it does not answer."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Shuts the server down: nothing listens at its address, and its folder is free."""
        self.stop()
        try:
            yield
        finally:
            self.serve(self.address)

    @contextmanager
    def at(self, address: str) -> Iterator[None]:
        """Runs the server at another address, which must be free."""
        self.stop()
        self.serve(address)
        try:
            yield
        finally:
            self.stop()
            self.serve(self.address)


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    program = os.environ.get("XUNDIAN_SERVER")
    assert program is not None, "XUNDIAN_SERVER names the server's program, such as target/debug/xundian-server"
    server = Server(Path(program), folder)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that all tests share."""
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def another_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own, for a test that damages or stops it."""
    with serving(tmp_path_factory.mktemp("another_server")) as server:
        yield server


@pytest.fixture
async def phone(server: Server, tmp_path: Path) -> Client:
    """The merchandiser's device, enrolled and synced once."""
    return await device(server, tmp_path / "phone", "M001")


async def device(server: Server, folder: Path, person: str) -> Client:
    client = Client.open(str(folder))
    await client.enrol(server.invitation(person), f"{person}'s phone")
    await client.sync()
    return client


def later(first: Client, then: Client) -> None:
    """Waits until a change made on `then` wins over one already made on `first`: until the clock of `then`, corrected by
    the server offset that it measured, is past that of `first` and past the present moment."""

    def now_ms() -> int:
        return time.time_ns() // 1_000_000

    before = now_ms() + max(0, first.status().server_offset_ms or 0)
    while now_ms() + (then.status().server_offset_ms or 0) <= before:
        pass
