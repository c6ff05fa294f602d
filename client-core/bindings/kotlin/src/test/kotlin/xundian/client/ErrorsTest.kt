package xundian.client

import java.nio.ByteBuffer
import java.util.UUID
import java.util.zip.CRC32
import kotlin.io.path.div
import kotlin.io.path.readBytes
import kotlin.io.path.walk
import kotlin.io.path.writeBytes
import kotlin.io.path.writeText
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.extension.ExtendWith

/** Expects that a call fails with a code, and with a message in Chinese and in English. */
inline fun fails(code: ErrorCode, call: () -> Any?): ClientException.Failed {
    val error = assertThrows<ClientException.Failed> { call() }
    assertEquals(code, error.code, error.message)
    assertTrue(error.messageZh.any { it in '\u4e00'..'\u9fff' }) { error.messageZh }
    assertTrue(error.messageEn.isNotEmpty())
    return error
}

/** Errors on the device have a stable code, and a message in Chinese and in English that says what to do. */
@ExtendWith(Company::class)
class ErrorsTest {
    @Test
    fun `unknown outlets, visits and records`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val nowhere = UUID.randomUUID().toString()
        val error = fails(ErrorCode.OUTLET_UNKNOWN) { phone.outletNamed("GZ-9") }
        assertTrue("GZ-9" in error.messageZh && !error.isRetryable)
        fails(ErrorCode.OUTLET_UNKNOWN) { phone.openVisit(nowhere) }
        fails(ErrorCode.VISIT_UNKNOWN) { phone.closeVisit(nowhere) }
        fails(ErrorCode.RECORD_UNKNOWN) { phone.acknowledgeIssue(nowhere) }
        fails(ErrorCode.REJECTED_UNKNOWN) { phone.resendRejected("D1-1") }
    }

    @Test
    fun `malformed arguments`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val outlet = phone.outletNamed("BJ-1")
        val calls = listOf<() -> Any?>(
            { phone.find(Kind.VISIT, "no id") },
            { phone.route("yesterday") },
            { phone.openVisit(outlet, GpsFix(latitude = 91.0, longitude = 0.0)) },
            { phone.openVisit(outlet, GpsFix(latitude = Double.NaN, longitude = 0.0)) },
            { phone.countStock(outlet, StockCount(shelfUnits = mapOf("6901234567893" to 1))) },
            { phone.countStock(outlet, StockCount(lotUnits = mapOf(MILK to 1))) },
            { phone.listHome(Home.Person("no id")) },
            { phone.dropRejected("twelve") },
        )
        for (call in calls) fails(ErrorCode.ARGUMENT, call)
    }

    @Test
    fun `one visit is open at a time`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val visit = phone.openVisit(phone.outletNamed("BJ-1"))
        fails(ErrorCode.VISIT_STILL_OPEN) { phone.openVisit(phone.outletNamed("BJ-2")) }
        fails(ErrorCode.FORM_EMPTY) { phone.countStock(visit, StockCount()) }
        val causeless = StockMovement(units = mapOf(MILK to 1))
        fails(ErrorCode.FORM_INVALID) { phone.moveStock(phone.outletNamed("BJ-1"), causeless) }
        phone.closeVisit(visit)
        fails(ErrorCode.VISIT_CLOSED) { phone.closeVisit(visit) }
        fails(ErrorCode.TIMES_REVERSED) { phone.recordVisit(phone.bundle(0).copy(endedAtMs = 0)) }
    }

    @Test
    fun `an issue is closed once`(phones: Phones) = waiting {
        val phone = phones.enrolled("manager", "R001")
        val issue = NewIssue(IssueKind.OUT_OF_STOCK, Severity.SEVERE, "缺货", Due.NEXT_DAY)
        val raised = phone.raiseIssue(phone.outletNamed("BJ-1"), issue)
        phone.closeIssue(raised, "已补货")
        fails(ErrorCode.ISSUE_STATE) { phone.acknowledgeIssue(raised) }
        phone.sync()
    }

    @Test
    fun `a device that is not enrolled`(phones: Phones) = waiting {
        val client = phones.open()
        fails(ErrorCode.NOT_ENROLLED) { client.reportDay() }
        fails(ErrorCode.NOT_ENROLLED) { client.sync() }
        fails(ErrorCode.NOT_ENROLLED) { client.push() }
    }

    @Test
    fun `a folder is open once`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        assertTrue(fails(ErrorCode.STORE_IN_USE) { phones.open() }.isRetryable)
        phone.shutdown()
        fails(ErrorCode.CLIENT_CLOSED) { phone.today() }
        fails(ErrorCode.CLIENT_CLOSED) { phone.sync() }
        val again = phones.open()
        assertEquals("王芳", again.identity()?.personName)
        // `close` also frees the object, so that Kotlin refuses later calls.
        again.close()
        assertThrows<IllegalStateException> { again.today() }
        assertEquals("王芳", phones.open().identity()?.personName)
    }

    @Test
    fun `a sealed folder opens only with its key`(phones: Phones) = waiting {
        val (key, other) = ByteArray(32) { it.toByte() } to ByteArray(32)
        val phone = phones.enrolled("sealed", key = key)
        val visit = phone.openVisit(phone.outletNamed("BJ-1"))
        val text = "店主要求下周补货"
        val issue = NewIssue(IssueKind.OUT_OF_STOCK, Severity.URGENT, text, Due.NEXT_DAY)
        phone.raiseIssue(phone.outletNamed("BJ-1"), issue, visit)
        phone.closeVisit(visit)
        assertTrue(phone.status().isSealed)
        phone.changeKey(other)
        phone.close()
        val files = (phones.folder / "sealed").walk().toList()
        assertTrue(files.isNotEmpty() && files.none { text in it.readBytes().toString(Charsets.UTF_8) })
        for (wrong in listOf(null, key)) {
            assertTrue("密钥" in fails(ErrorCode.STORE_KEY) { phones.open("sealed", wrong) }.messageZh)
        }
        fails(ErrorCode.ARGUMENT) { phones.open("sealed", "short".toByteArray()) }
        assertEquals(3uL, phones.open("sealed", other).sync().merged)
        fails(ErrorCode.STORE_KEY) { phones.open("plain").changeKey(key) }
    }

    @Test
    fun `an unusable folder`(server: Server, phones: Phones) = waiting {
        (phones.folder / "file").writeText("no folder")
        fails(ErrorCode.STORE_DISK) { phones.open("file") }
        val phone = phones.enrolled()
        phone.closeVisit(phone.openVisit(phone.outletNamed("BJ-1")))
        phone.close()
        (phones.folder / "phone" / "device.key").writeText("no key")
        val damaged = phones.open()
        fails(ErrorCode.IDENTITY_BROKEN) { damaged.sync() }
        damaged.enrol(server.invitation("M001"), "the same phone, with another key")
        assertTrue(damaged.sync().merged > 0uL)
    }

    @Test
    fun `a store of a newer app`(phones: Phones) = waiting {
        val key = ByteArray(32) { it.toByte() }
        phones.open("newer", key).close()
        val file = phones.folder / "newer" / "store" / "key"
        val content = file.readBytes().dropLast(4).toByteArray().also { it[0]++ }
        val crc = CRC32().also { it.update(content) }.value.toInt()
        file.writeBytes(content + ByteBuffer.allocate(4).putInt(crc).array())
        assertTrue("更新应用" in fails(ErrorCode.STORE_NEWER) { phones.open("newer", key) }.messageZh)
    }

    @Test
    fun `rejected ops are listed, resent and dropped`(server: Server, phones: Phones) = waiting {
        // From today on she holds no position, so the outlet is out of her scope. The device does not know that yet.
        val phone = phones.enrolled()
        val outlet = phone.outletNamed("BJ-1")
        val visit = phone.openVisit(outlet)
        phone.closeVisit(visit)
        fun position(code: String) =
            server.import("people", "code,name,position,position_from\nM001,王芳,$code,${phone.today()}")
        position("")
        try {
            assertEquals(2uL, phone.push().rejected)
            assertEquals(setOf(Refusal.OUT_OF_SCOPE), phone.rejected().map { it.why }.toSet())
            val (first, second) = phone.rejected()
            assertEquals(visit, first.record)
            assertTrue(first.content is RecordContent.Visit && "范围" in first.messageZh)
            assertEquals(SaveState.Rejected(listOf(first.id, second.id)), phone.saveState(Kind.VISIT, visit))
            phone.dropRejected(second.id)
            fails(ErrorCode.REJECTED_UNKNOWN) { phone.dropRejected(second.id) }
            phone.sync()
            fails(ErrorCode.OUTLET_UNKNOWN) { phone.openVisit(outlet) }
        } finally {
            position("HB-M1")
        }
        phone.resendRejected(phone.rejected().single().id)
        assertTrue(phone.rejected().isEmpty())
        assertEquals(1uL, phone.sync().merged)
    }

    @Test
    fun `a device that is enrolled again keeps its unsent work`(server: Server, phones: Phones) = waiting {
        val phone = phones.enrolled()
        val before = checkNotNull(phone.identity()).device
        phone.closeVisit(phone.openVisit(phone.outletNamed("BJ-1")))
        assertNotEquals(before, phone.enrol(server.invitation("M001"), "the same phone").device)
        assertEquals(2uL, phone.sync().merged)
    }

    @Test
    fun `invalid invitations`(server: Server, phones: Phones) = waiting {
        val phone = phones.open()
        fails(ErrorCode.INVITATION_MALFORMED) { phone.enrol("xd1-", "phone") }
        val used = server.invitation("M001")
        fails(ErrorCode.LABEL_TOO_LONG) { phone.enrol(used, "店".repeat(1000)) }
        phone.enrol(used, "phone")
        val refused = fails(ErrorCode.INVITATION_REFUSED) { phones.open("other").enrol(used, "phone") }
        assertFalse(refused.isRetryable)
        val others = fails(ErrorCode.INVITATION_REFUSED) { phone.enrol(server.invitation("R001"), "phone") }
        assertTrue("another person" in others.messageEn)
    }
}
