"""Photos: attached offline, sent after the records, and repaired after damage to their files."""

import uuid
from pathlib import Path

from conftest import Server, device
from test_errors import fails
from xundian_client import (
    Client,
    Due,
    ErrorCode,
    IssueKind,
    MediaType,
    NewIssue,
    NewPhoto,
    PhotoOf,
    PhotoReport,
    PhotoSource,
    PhotoState,
    PhotoSubject,
    GpsFix,
    ProgressObserver,
    Refusal,
    Severity,
    ShelfObservation,
    StockCount,
    SyncProgress,
    VisitBundle,
)

PICTURES = Path(__file__).parents[4] / "tests" / "data" / "pictures"
SHELF = NewPhoto(subject=PhotoSubject.SHELF, source=PhotoSource.IN_APP, fix=GpsFix(latitude=39.9076, longitude=116.4591))


def picture() -> bytes:
    """Returns a picture of some shelves, each time another one."""
    return (PICTURES / "baseline.jpg").read_bytes() + str(uuid.uuid4()).encode()


def visited(phone: Client) -> str:
    visit = phone.open_visit(phone.outlet_named("BJ-1"))
    phone.close_visit(visit)
    return visit


async def test_a_picture_is_attached_to_a_visit_offline_and_sent_by_the_next_sync(phone: Client) -> None:
    visit, shown = visited(phone), picture()
    id = phone.attach_photo(PhotoOf.VISIT(visit), SHELF, shown)
    assert phone.attach_photo(PhotoOf.VISIT(visit), SHELF, shown) == id, "the same picture is one photo"
    [line] = phone.photos_of(PhotoOf.VISIT(visit))
    assert line.id == id and line.save_state.is_SAVED() and line.state == PhotoState.WAITING(0)
    assert line.header is not None and line.header.business_day == phone.today()
    photo = line.photo
    assert (photo.visit, photo.subject, photo.media_type) == (visit, PhotoSubject.SHELF, MediaType.JPEG)
    assert (photo.latitude_e7, photo.longitude_e7) == (399_076_000, 1_164_591_000)
    assert photo.content_hash is not None and phone.photo_bytes(photo.content_hash) == shown
    assert (phone.status().unsent_photos, phone.status().unsent_photo_bytes) == (1, len(shown))

    report = await phone.sync()
    assert report.photos == PhotoReport(stored=1, declined=0, damaged=0, bytes_sent=len(shown), waiting=0)
    [sent] = phone.photos_of(PhotoOf.VISIT(visit))
    assert sent.save_state.is_CONFIRMED() and sent.state.is_STORED()
    assert (phone.status().unsent_photos, phone.status().stuck_photos) == (0, 0)


async def test_a_picture_of_an_issue_is_copied_from_its_file(phone: Client, server: Server, tmp_path: Path) -> None:
    issue = NewIssue(issue_kind=IssueKind.OUT_OF_STOCK, severity=Severity.URGENT, text="缺货", due=Due.SAME_DAY)
    raised = phone.raise_issue(phone.outlet_named("BJ-1"), issue)
    shown, file = picture(), tmp_path / "gallery.jpg"
    file.write_bytes(shown)
    chosen = NewPhoto(subject=PhotoSubject.PROBLEM, source=PhotoSource.CHOSEN, taken_at_ms=1_700_000_000_000, note="缺货")
    id = phone.attach_photo_file(PhotoOf.ISSUE(raised), chosen, str(file))
    file.unlink()
    await phone.sync()
    manager = await device(server, tmp_path / "manager", "R001")
    for client, state in ((phone, PhotoState.STORED()), (manager, PhotoState.NOT_HERE())):
        [line] = client.photos_of(PhotoOf.ISSUE(raised))
        assert (line.id, line.state, line.photo.issue) == (id, state, raised)
        assert (line.photo.taken_at_ms, line.photo.note) == (1_700_000_000_000, "缺货")
    assert line.photo.content_hash is not None
    assert phone.photo_bytes(line.photo.content_hash) == shown
    with fails(ErrorCode.PHOTO_NOT_HERE):
        manager.photo_bytes(line.photo.content_hash)


async def test_records_sync_without_their_pictures(phone: Client, server: Server) -> None:
    class Steps(ProgressObserver):
        last: SyncProgress | None = None

        def on_progress(self, progress: SyncProgress) -> None:
            self.last = progress

    visit, shown = visited(phone), picture()
    phone.attach_photo(PhotoOf.VISIT(visit), SHELF, shown)
    records = await phone.sync_records()
    assert (records.merged, records.photos.stored, records.photos.waiting) == (3, 0, 1)
    [line] = phone.photos_of(PhotoOf.VISIT(visit))
    assert line.save_state.is_CONFIRMED() and line.state == PhotoState.WAITING(0)
    steps = Steps()
    assert (await phone.send_photos(steps)).stored == 1
    assert steps.last is not None and steps.last.photo_bytes_done == steps.last.photo_bytes_total == len(shown)
    # If no picture is unsent, no connection is made.
    with server.silent():
        assert (await phone.send_photos()).waiting == 0


def test_invalid_photos_are_refused(phone: Client, tmp_path: Path) -> None:
    visit, unknown = PhotoOf.VISIT(visited(phone)), str(uuid.uuid4())
    with fails(ErrorCode.PHOTO_FORM):
        phone.attach_photo(visit, SHELF, b"no picture")
    with fails(ErrorCode.PHOTO_TOO_LARGE):
        phone.attach_photo(visit, SHELF, picture() + bytes(16 << 20))
    with fails(ErrorCode.PHOTO_UNREADABLE) as raised:
        phone.attach_photo_file(visit, SHELF, str(tmp_path / "nowhere.jpg"))
    assert "nowhere.jpg" in raised.value.message_zh
    with fails(ErrorCode.VISIT_UNKNOWN):
        phone.attach_photo(PhotoOf.VISIT(unknown), SHELF, picture())
    with fails(ErrorCode.RECORD_UNKNOWN):
        phone.photos_of(PhotoOf.ISSUE(unknown))
    with fails(ErrorCode.ARGUMENT):
        phone.photo_bytes("no hash")
    at_ms = 1_795_400_000_000
    before = VisitBundle(
        outlet=phone.outlet_named("BJ-1"),
        opened_at_ms=at_ms,
        ended_at_ms=at_ms + 60_000,
        shelf=ShelfObservation(),
        count=StockCount(),
    )
    with fails(ErrorCode.PHOTO_TOO_LATE):
        phone.attach_photo(PhotoOf.VISIT(phone.record_visit(before)), SHELF, picture())
    assert phone.photos_of(visit) == [] and phone.status().unsent_photos == 0, "nothing is left behind"


async def test_a_damaged_picture_is_found_and_repaired_by_attaching_it_again(phone: Client, tmp_path: Path) -> None:
    visit, shown = PhotoOf.VISIT(visited(phone)), picture()
    id = phone.attach_photo(visit, SHELF, shown)
    hash = phone.photos_of(visit)[0].photo.content_hash
    assert hash is not None
    (tmp_path / "phone" / "photos" / hash).write_bytes(shown[:-1] + b"?")
    with fails(ErrorCode.PHOTO_DAMAGED):
        phone.photo_bytes(hash)
    assert phone.photos_of(visit)[0].state.is_DAMAGED() and phone.status().stuck_photos == 1
    assert (await phone.sync()).photos.stored == 0
    phone.drop_photo(hash)
    assert phone.photos_of(visit)[0].state.is_NOT_HERE() and phone.status().stuck_photos == 0
    assert phone.attach_photo(visit, SHELF, shown) == id
    with fails(ErrorCode.PHOTO_NEEDED):
        phone.drop_photo(hash)
    assert (await phone.sync()).photos.stored == 1


def test_an_unusable_folder_of_pictures_is_retryable(phone: Client, tmp_path: Path) -> None:
    visit, folder = PhotoOf.VISIT(visited(phone)), tmp_path / "phone" / "photos"
    folder.touch()
    with fails(ErrorCode.PHOTO_FOLDER) as raised:
        phone.attach_photo(visit, SHELF, picture())
    assert raised.value.is_retryable
    folder.unlink()
    phone.attach_photo(visit, SHELF, picture())


async def test_a_picture_that_the_server_could_not_store_is_offered_again(another_server: Server, tmp_path: Path) -> None:
    phone = await device(another_server, tmp_path / "phone", "M001")
    visit, shown = PhotoOf.VISIT(visited(phone)), picture()
    phone.attach_photo(visit, SHELF, shown)
    # A file where the server needs a folder has the effect of a failing disk.
    in_the_way = another_server.data / "photos" / "pictures"
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.touch()
    assert (await phone.sync()).photos.declined == 1
    [line] = phone.photos_of(visit)
    assert isinstance(line.state, PhotoState.DECLINED)
    assert line.state.why is Refusal.UNAVAILABLE and line.state.is_tried_again and line.state.message_zh
    in_the_way.unlink()
    # It would be offered automatically a minute later.
    assert line.photo.content_hash is not None
    phone.retry_photo(line.photo.content_hash)
    assert (await phone.send_photos()).stored == 1


async def test_a_picture_that_another_device_sent_is_not_sent_again(phone: Client, server: Server, tmp_path: Path) -> None:
    outlet, shown = phone.outlet_named("BJ-2"), picture()
    issue = NewIssue(issue_kind=IssueKind.DISPLAY, severity=Severity.SEVERE, text="堆头被拆", due=Due.NEXT_DAY)
    phone.attach_photo(PhotoOf.ISSUE(phone.raise_issue(outlet, issue)), SHELF, shown)
    assert (await phone.sync()).photos.bytes_sent == len(shown)
    manager = await device(server, tmp_path / "manager", "R001")
    manager.attach_photo(PhotoOf.ISSUE(manager.raise_issue(outlet, issue)), SHELF, shown)
    report = (await manager.sync()).photos
    assert (report.stored, report.bytes_sent) == (1, 0)


async def test_a_sealed_folder_holds_no_readable_picture(server: Server, tmp_path: Path) -> None:
    folder, shown = tmp_path / "sealed", picture()
    phone = Client.open(str(folder), key=bytes(range(32)))
    await phone.enrol(server.invitation("M001"), "a phone with a keystore")
    await phone.sync()
    visit = visited(phone)
    phone.attach_photo(PhotoOf.VISIT(visit), SHELF, shown)
    needle = shown[1_000:1_032]
    assert not any(needle in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert (await phone.sync()).photos.stored == 1
    [line] = phone.photos_of(PhotoOf.VISIT(visit))
    assert line.photo.content_hash is not None and phone.photo_bytes(line.photo.content_hash) == shown
    phone.close()
