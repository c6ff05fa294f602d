"""Photos: attached offline, seen at once, sent after the records, damaged and mended."""

from pathlib import Path

import pytest
from conftest import Server, device
from xundian_client import (
    Client,
    ClientError,
    Due,
    ErrorCode,
    Form,
    IssueKind,
    Kind,
    MediaType,
    NewIssue,
    NewPhoto,
    PhotoLine,
    PhotoOf,
    PhotoSource,
    PhotoState,
    PhotoSubject,
    Place,
    ProgressObserver,
    Severity,
    SyncProgress,
)

SHELF = NewPhoto(subject=PhotoSubject.SHELF, source=PhotoSource.IN_APP)


def jpeg(size: int, seed: int) -> bytes:
    """A picture, as far as its first bytes show."""
    return b"\xff\xd8\xff\xe0" + bytes((at * 31 + at // 251 + seed) % 256 for at in range(size - 4))


def hash_of(line: PhotoLine) -> str:
    assert line.photo.content_hash is not None
    return line.photo.content_hash


def refused(raised: pytest.ExceptionInfo[ClientError.Failed]) -> ErrorCode:
    assert any("\u4e00" <= character <= "\u9fff" for character in raised.value.message_zh)
    return raised.value.code


class Steps(ProgressObserver):
    def __init__(self) -> None:
        self.seen: list[SyncProgress] = []

    def on_progress(self, progress: SyncProgress) -> None:
        self.seen.append(progress)


async def test_a_photo_is_attached_offline_and_sent_after_its_record(phone: Client, tmp_path: Path) -> None:
    visit = phone.open_visit(phone.outlet_named("BJ-1"))
    of, picture = PhotoOf.VISIT(visit), jpeg(120_000, 1)
    file = tmp_path / "camera.jpg"
    file.write_bytes(picture)
    photo = NewPhoto(
        subject=PhotoSubject.DISPLAY,
        source=PhotoSource.IN_APP,
        taken_at_ms=1_795_400_000_000,
        position=Place(latitude=39.9076, longitude=116.4591, accuracy_m=6.0),
        note="堆头",
    )
    attached = phone.attach_photo_file(of, photo, str(file))
    file.unlink()
    assert phone.attach_photo(of, photo, picture) == attached, "the same picture is one photo"
    phone.close_visit(visit)

    (line,) = phone.photos_of(of)
    assert (line.id, line.photo.subject, line.photo.media_type) == (attached, PhotoSubject.DISPLAY, MediaType.JPEG)
    assert line.photo.distance_m is not None and line.photo.distance_m < 50
    assert line.header is not None and line.save_state.is_SAVED()
    assert line.state == PhotoState.WAITING(sent_bytes=0)
    assert phone.photo_bytes(hash_of(line)) == picture
    record = phone.find(Kind.PHOTO, attached)
    assert record is not None and isinstance(record.content, Form.PHOTO)
    assert record.content.form.content_hash == hash_of(line)

    report = await phone.sync_records()
    assert (report.merged, report.photos.waiting, report.photos.bytes_sent) == (3, 1, 0)
    status = phone.status()
    assert (status.unsent_ops, status.unsent_photos, status.unsent_photo_bytes) == (0, 1, len(picture))
    assert status.safe_to_lose_up_to_ms == status.oldest_unsent_photo_ms

    steps = Steps()
    sent = await phone.send_photos(steps)
    assert (sent.stored, sent.bytes_sent, sent.waiting) == (1, len(picture), 0)
    assert [line.state for line in phone.photos_of(of)] == [PhotoState.STORED()]
    assert all(step.photo_bytes_done <= step.photo_bytes_total <= len(picture) for step in steps.seen)
    assert steps.seen[-1].photo_bytes_done == len(picture)
    assert phone.status().unsent_photos == 0


async def test_the_same_picture_of_another_device_is_not_sent_again(phone: Client, server: Server, tmp_path: Path) -> None:
    outlet, picture = phone.outlet_named("BJ-2"), jpeg(50_000, 2)
    issue = NewIssue(issue_kind=IssueKind.DISPLAY, severity=Severity.SEVERE, text="堆头被拆", due=Due.NEXT_DAY)
    raised = phone.raise_issue(outlet, issue)
    phone.attach_photo(PhotoOf.ISSUE(raised), SHELF, picture)
    assert (await phone.sync()).photos.bytes_sent == len(picture)
    manager = await device(server, tmp_path / "manager", "R001")
    (seen,) = manager.photos_of(PhotoOf.ISSUE(raised))
    assert seen.state == PhotoState.NOT_HERE()
    with pytest.raises(ClientError.Failed) as raised_error:
        manager.photo_bytes(hash_of(seen))
    assert refused(raised_error) is ErrorCode.PHOTO_NOT_HERE
    own = manager.raise_issue(outlet, issue)
    manager.attach_photo(PhotoOf.ISSUE(own), SHELF, picture)
    report = (await manager.sync()).photos
    assert (report.stored, report.bytes_sent) == (1, 0)


async def test_a_damaged_picture_is_told_and_mended(phone: Client, tmp_path: Path) -> None:
    visit = phone.open_visit(phone.outlet_named("BJ-1"))
    of, picture = PhotoOf.VISIT(visit), jpeg(40_000, 3)
    phone.attach_photo(of, SHELF, picture)
    (line,) = phone.photos_of(of)
    file = tmp_path / "phone" / "photos" / hash_of(line)
    raw = bytearray(file.read_bytes())
    raw[20_000] ^= 1
    file.write_bytes(raw)
    report = await phone.sync()
    assert (report.photos.damaged, report.photos.bytes_sent, report.unsent_ops) == (1, 0, 0)
    assert [line.state for line in phone.photos_of(of)] == [PhotoState.DAMAGED()]
    assert phone.status().stuck_photos == 1
    for call in (lambda: phone.photo_bytes(hash_of(line)), lambda: phone.retry_photo(hash_of(line))):
        with pytest.raises(ClientError.Failed) as raised:
            call()
        assert refused(raised) is ErrorCode.PHOTO_DAMAGED
    phone.attach_photo(of, SHELF, picture)
    phone.retry_photo(hash_of(line))
    assert (await phone.send_photos()).stored == 1


def test_what_is_no_photo_is_refused(phone: Client, tmp_path: Path) -> None:
    visit = phone.open_visit(phone.outlet_named("BJ-1"))
    of, unsent = PhotoOf.VISIT(visit), phone.status().unsent_ops
    with pytest.raises(ClientError.Failed) as raised:
        phone.attach_photo(of, SHELF, b"GIF89a")
    assert refused(raised) is ErrorCode.PHOTO_FORM
    with pytest.raises(ClientError.Failed) as raised:
        phone.attach_photo(of, SHELF, jpeg(4, 0) + bytes(16 * 1024 * 1024))
    assert refused(raised) is ErrorCode.PHOTO_TOO_LARGE
    with pytest.raises(ClientError.Failed) as raised:
        phone.attach_photo_file(of, SHELF, str(tmp_path / "no-such.jpg"))
    assert refused(raised) is ErrorCode.PHOTO_UNREADABLE and "no-such.jpg" in raised.value.message_zh
    with pytest.raises(ClientError.Failed) as raised:
        phone.attach_photo(PhotoOf.ISSUE(visit), SHELF, jpeg(100, 4))
    assert refused(raised) is ErrorCode.RECORD_UNKNOWN
    assert phone.status().unsent_ops == unsent and phone.photos_of(of) == []


async def test_a_sealed_folder_shows_no_picture(server: Server, tmp_path: Path) -> None:
    folder, picture = tmp_path / "sealed", jpeg(60_000, 5)
    phone = Client.open(str(folder), key=bytes(range(32)))
    await phone.enrol(server.invitation("M001"), "a phone with a keystore")
    await phone.sync()
    visit = phone.open_visit(phone.outlet_named("BJ-1"))
    phone.attach_photo(PhotoOf.VISIT(visit), SHELF, picture)
    phone.close_visit(visit)
    needle = picture[30_000:30_032]
    assert not any(needle in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert (await phone.sync()).photos.stored == 1
    (line,) = phone.photos_of(PhotoOf.VISIT(visit))
    assert phone.photo_bytes(hash_of(line)) == picture
    phone.close()
