package xundian.client

import java.io.File
import java.util.UUID
import kotlin.io.path.createDirectories
import kotlin.io.path.createFile
import kotlin.io.path.deleteExisting
import kotlin.io.path.div
import kotlin.io.path.writeBytes
import kotlinx.coroutines.flow.toList
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.extension.ExtendWith

private val SHELF = NewPhoto(PhotoSubject.SHELF, PhotoSource.IN_APP, fix = GpsFix(39.9076, 116.4591))
private val PROBLEM = NewPhoto(PhotoSubject.PROBLEM, PhotoSource.CHOSEN, takenAtMs = 1_700_000_000_000, note = "缺货")
private val WAITING = PhotoState.Waiting(0u)

/** Photos: attached offline, sent after the records, and repaired after damage to their files. */
@ExtendWith(Company::class)
class PhotosTest {
    @Test
    fun `a picture is attached to a visit offline and sent by the next sync`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val (visit, picture) = phone.visited() to picture()
        val id = phone.attachPhoto(PhotoOf.Visit(visit), SHELF, picture)
        assertEquals(id, phone.attachPhoto(PhotoOf.Visit(visit), SHELF, picture), "the same picture is one photo")

        val line = phone.photosOf(PhotoOf.Visit(visit)).single()
        assertEquals(Triple(id, SaveState.Saved, WAITING), Triple(line.id, line.saveState, line.state))
        assertEquals(phone.identity()?.person to phone.today(), line.header?.run { actor to businessDay })
        val photo = line.photo
        assertEquals(visit to picture.size.toLong(), photo.visit to photo.sizeBytes)
        assertEquals(PhotoSubject.SHELF to MediaType.JPEG, photo.subject to photo.mediaType)
        assertEquals(399_076_000L to 1_164_591_000L, photo.latitudeE7 to photo.longitudeE7)
        assertArrayEquals(picture, phone.photoBytes(photo.contentHash!!))
        val status = phone.status()
        assertEquals(1uL to picture.size.toULong(), status.run { unsentPhotos to unsentPhotoBytes })

        val report = phone.sync()
        assertEquals(PhotoReport(1u, 0u, 0u, picture.size.toULong(), 0u), report.photos)
        val sent = phone.photosOf(PhotoOf.Visit(visit)).single()
        assertEquals(SaveState.Confirmed to PhotoState.Stored, sent.saveState to sent.state)
        assertEquals(0uL to 0uL, phone.status().run { unsentPhotos to stuckPhotos })
    }

    @Test
    fun `a picture of an issue is copied from its file, and others see its record`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val issue = NewIssue(IssueKind.OUT_OF_STOCK, Severity.URGENT, "缺货", Due.SAME_DAY)
        val raised = phone.raiseIssue(phone.outletNamed("BJ-1"), issue)
        val (picture, file) = picture() to phones.folder / "gallery.jpg"
        file.writeBytes(picture)
        val id = phone.attachPhotoFile(PhotoOf.Issue(raised), PROBLEM, file.toString())
        file.deleteExisting()
        phone.sync()

        val manager = phones.enrolled("manager", "R001")
        for ((client, state) in listOf(phone to PhotoState.Stored, manager to PhotoState.NotHere)) {
            val line = client.photosOf(PhotoOf.Issue(raised)).single()
            assertEquals(id to state, line.id to line.state)
            assertEquals(raised to PhotoSource.CHOSEN, line.photo.issue to line.photo.source)
            assertEquals(PROBLEM.takenAtMs to PROBLEM.note, line.photo.run { takenAtMs to note })
        }
        val hash = manager.photosOf(PhotoOf.Issue(raised)).single().photo.contentHash!!
        assertArrayEquals(picture, phone.photoBytes(hash))
        fails(ErrorCode.PHOTO_NOT_HERE) { manager.photoBytes(hash) }
        fails(ErrorCode.PHOTO_NOT_HERE) { manager.retryPhoto(hash) }
    }

    @Test
    fun `records sync without their pictures`(server: Server, phones: Phones) = waiting {
        val phone = phones.enrolled()
        val visit = phone.visited()
        phone.attachPhoto(PhotoOf.Visit(visit), SHELF, picture())
        val records = phone.syncRecords()
        assertEquals(3uL to PhotoReport(0u, 0u, 0u, 0u, waiting = 1u), records.merged to records.photos)
        val line = phone.photosOf(PhotoOf.Visit(visit)).single()
        assertEquals(SaveState.Confirmed to WAITING, line.saveState to line.state)

        assertEquals(1uL, phone.sendPhotos().stored)
        assertEquals(PhotoState.Stored, phone.photosOf(PhotoOf.Visit(visit)).single().state)
        // If no picture is unsent, no connection is made.
        server.silent { assertEquals(PhotoReport(0u, 0u, 0u, 0u, 0u), phone.sendPhotos()) }
    }

    @Test
    fun `a sync of records and the sending of pictures are flows`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val (visit, picture) = PhotoOf.Visit(phone.visited()) to picture()
        phone.attachPhoto(visit, SHELF, picture)
        assertEquals(1uL, (phone.syncingRecords().toList().last() as Step.Done).report.photos.waiting)
        val steps = phone.sendingPhotos().toList()
        assertEquals(picture.size.toULong(), (steps.last() as Step.Done).report.bytesSent)
        assertTrue(steps.filterIsInstance<Step.Underway>().all { it.progress.run { photoBytesDone <= photoBytesTotal } })
    }

    @Test
    fun `invalid photos are refused`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val visit = PhotoOf.Visit(phone.visited())
        fails(ErrorCode.PHOTO_FORM) { phone.attachPhoto(visit, SHELF, "no picture".toByteArray()) }
        fails(ErrorCode.PHOTO_TOO_LARGE) { phone.attachPhoto(visit, SHELF, picture() + ByteArray(16 shl 20)) }
        val nowhere = "${phones.folder}/nowhere.jpg"
        assertTrue(nowhere in fails(ErrorCode.PHOTO_UNREADABLE) { phone.attachPhotoFile(visit, SHELF, nowhere) }.messageZh)
        val (id, place) = UUID.randomUUID().toString() to SHELF.copy(fix = GpsFix(91.0, 0.0))
        fails(ErrorCode.VISIT_UNKNOWN) { phone.attachPhoto(PhotoOf.Visit(id), SHELF, picture()) }
        fails(ErrorCode.RECORD_UNKNOWN) { phone.attachPhoto(PhotoOf.Issue(id), SHELF, picture()) }
        fails(ErrorCode.VISIT_UNKNOWN) { phone.photosOf(PhotoOf.Visit(id)) }
        fails(ErrorCode.ARGUMENT) { phone.attachPhoto(visit, place, picture()) }
        fails(ErrorCode.ARGUMENT) { phone.photoBytes("no hash") }
        val dayBefore = phone.recordVisit(phone.bundle(minutesAgo = 36 * 60))
        fails(ErrorCode.PHOTO_TOO_LATE) { phone.attachPhoto(PhotoOf.Visit(dayBefore), SHELF, picture()) }
        assertTrue(phone.photosOf(visit).isEmpty() && phone.status().unsentPhotos == 0uL, "nothing is left behind")
    }

    @Test
    fun `a damaged picture is found, and repaired by attaching it again`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val (visit, picture) = PhotoOf.Visit(phone.visited()) to picture()
        val id = phone.attachPhoto(visit, SHELF, picture)
        val hash = phone.photosOf(visit).single().photo.contentHash!!
        val damaged = picture.copyOf().apply { this[size / 2]++ }
        (phones.folder / "phone" / "photos" / hash).writeBytes(damaged)
        fails(ErrorCode.PHOTO_DAMAGED) { phone.photoBytes(hash) }
        assertEquals(PhotoState.Damaged, phone.photosOf(visit).single().state)
        assertEquals(1uL, phone.status().stuckPhotos)
        assertEquals(0uL, phone.sync().photos.stored)
        phone.dropPhoto(hash)
        assertEquals(PhotoState.NotHere to 0uL, phone.photosOf(visit).single().state to phone.status().stuckPhotos)

        assertEquals(id, phone.attachPhoto(visit, SHELF, picture))
        assertEquals(WAITING, phone.photosOf(visit).single().state)
        fails(ErrorCode.PHOTO_NEEDED) { phone.dropPhoto(hash) }
        assertEquals(1uL, phone.sync().photos.stored)
    }

    @Test
    fun `an unusable folder of pictures is retryable`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val visit = PhotoOf.Visit(phone.visited())
        val folder = phones.folder / "phone" / "photos"
        folder.createFile()
        assertTrue(fails(ErrorCode.PHOTO_FOLDER) { phone.attachPhoto(visit, SHELF, picture()) }.isRetryable)
        folder.deleteExisting()
        phone.attachPhoto(visit, SHELF, picture())
    }

    @Test
    fun `a picture that the server could not store is offered again`() = waiting {
        Server().use { server ->
            Phones(server).use { phones ->
                val phone = phones.enrolled()
                val (visit, picture) = PhotoOf.Visit(phone.visited()) to picture()
                phone.attachPhoto(visit, SHELF, picture)
                // A file where the server needs a folder has the effect of a failing disk.
                val inTheWay = (server.data / "photos").createDirectories() / "pictures"
                inTheWay.createFile()
                assertEquals(1uL, phone.sync().photos.declined)
                val line = phone.photosOf(visit).single()
                val declined = line.state as PhotoState.Declined
                assertEquals(Refusal.UNAVAILABLE to true, declined.why to declined.isTriedAgain)
                assertTrue(declined.messageZh.any { it in '\u4e00'..'\u9fff' } && declined.message.isNotEmpty())
                assertArrayEquals(picture, phone.photoBytes(line.photo.contentHash!!))

                inTheWay.deleteExisting()
                // It would be offered automatically a minute later.
                phone.retryPhoto(line.photo.contentHash!!)
                assertEquals(1uL, phone.sendPhotos().stored)
            }
        }
    }

    private fun Client.visited(): VisitId = openVisit(outletNamed("BJ-1")).also(::closeVisit)
}

/** Returns a picture of some shelves, each time another one. */
private fun picture(): ByteArray =
    File("../../../tests/data/pictures/baseline.jpg").readBytes() + UUID.randomUUID().toString().toByteArray()
