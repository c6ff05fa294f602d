package xundian.client

import kotlin.io.path.Path
import kotlin.io.path.deleteExisting
import kotlin.io.path.div
import kotlin.io.path.exists
import kotlin.io.path.readLines
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.extension.ExtendWith

private val OPEN = Query(Kind.ISSUE, conditions = listOf(FieldCondition("state", listOf("open", "acknowledged"))))

/** Observed lists, hints from the platform, and rescue. */
@ExtendWith(Company::class)
class LifeTest {
    @Test
    fun `an observed list is updated by saves and by syncs`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val before = phone.query(OPEN).total
        val pages = Channel<RecordPage>(Channel.UNLIMITED)
        val collecting = launch { phone.records(OPEN).collect(pages::send) }
        suspend fun page(isIt: (RecordPage) -> Boolean): RecordPage {
            while (true) pages.receive().let { if (isIt(it)) return it }
        }
        page { it.total == before }
        val issue = phone.raiseAnIssue()
        val raised = page { it.total == before + 1u }
        assertEquals(SaveState.Saved, raised.lines.single { it.id == issue }.state)
        phone.sync()
        page { page -> page.lines.all { it.state == SaveState.Confirmed } }
        phone.closeIssue(issue, "已改价签")
        page { it.total == before }
        collecting.cancel()
        collecting.join()
        // The library drops an observer a moment after the cancellation.
        while (FfiConverterTypeRecordsObserver.handleMap.size > 0) delay(1)
    }

    @Test
    fun `an observer of records may throw, and gets no page twice`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val pages = Channel<RecordPage>(Channel.UNLIMITED)
        val subscription = phone.observeRecords(OPEN, object : RecordsObserver {
            override fun onRecords(page: RecordPage) {
                pages.trySend(page)
                throw IllegalStateException("a fault of the app")
            }
        })
        val first = pages.receive()
        // Records of another kind change nothing.
        phone.recordVisits(1)
        phone.raiseAnIssue()
        assertEquals(first.total + 1u, pages.receive().total)
        subscription.use { it.cancel() }
        phone.sync()
    }

    @Test
    fun `invalid queries are refused, and valid ones are paged`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val wrong = listOf(
            Query(Kind.ISSUE, conditions = listOf(FieldCondition("colour", listOf("red")))),
            Query(Kind.ISSUE, conditions = listOf(FieldCondition("state", listOf("new")))),
            Query(Kind.ISSUE, limit = 10_001u),
        )
        for (query in wrong) fails(ErrorCode.ARGUMENT) { phone.query(query) }
        fails(ErrorCode.ARGUMENT) { phone.records(wrong[0]).first() }
        val route = phone.route(phone.today()).map { it.outlet }
        val (one, other) = listOf(0u, 1u).map { phone.query(Query(Kind.OUTLET, ids = route, skip = it, limit = 1u)) }
        assertEquals(2uL to 2uL, one.total to other.total)
        assertEquals(route.toSet(), (one.lines + other.lines).map { it.id }.toSet())
        val newestFirst = phone.query(Query(Kind.OUTLET, ids = route, newestFirst = true))
        assertEquals((other.lines + one.lines).map { it.id }, newestFirst.lines.map { it.id })
    }

    @Test
    fun `in the background a sync ends and the folder is free, and any call opens it again`(
        server: Server,
        phones: Phones,
    ) = waiting {
        val phone = phones.enrolled()
        phone.recordVisits(1)
        server.silent {
            val sync = async(start = CoroutineStart.UNDISPATCHED) { fails(ErrorCode.BACKGROUNDED) { phone.sync() } }
            phone.networkChanged()
            phone.enteringBackground()
            assertTrue(sync.await().isRetryable)
        }
        phones.open().close()
        phone.enteringForeground()
        fails(ErrorCode.STORE_IN_USE) { phones.open() }
        phone.lowMemory()
        assertEquals(3uL, phone.sync().merged)
        phone.shutdown()
        fails(ErrorCode.CLIENT_CLOSED) { phone.networkChanged() }
        fails(ErrorCode.CLIENT_CLOSED) { phone.enteringBackground() }
        fails(ErrorCode.CLIENT_CLOSED) { phone.enteringForeground() }
        fails(ErrorCode.CLIENT_CLOSED) { phone.lowMemory() }
    }

    @Test
    fun `a damaged device is rescued, set aside and enrolled again`(server: Server, phones: Phones) = waiting {
        val (folder, file) = phones.folder / "phone" to phones.folder / "rescued.ndjson"
        val (key, other) = ByteArray(32) { it.toByte() } to ByteArray(32)
        val phone = phones.enrolled(key = key)
        val issues = List(3) { phone.raiseAnIssue() }
        fails(ErrorCode.STORE_IN_USE) { rescue("$folder", "$file", key) }
        phone.close()
        (folder / "store" / "db").deleteExisting()
        fails(ErrorCode.STORE_BROKEN) { phones.open(key = key) }

        fails(ErrorCode.STORE_KEY) { rescue("$folder", "$file") }
        val report = rescue("$folder", "$file", key)
        assertEquals(3uL, report.unsent)
        assertTrue(report.losses.any { "db" in it }) { "${report.losses}" }
        val lines = file.readLines().map { Json.parseToJsonElement(it).jsonObject.mapValues { (_, value) -> value } }
        val unsent = lines.filter { it.getValue("is").jsonPrimitive.content == "unsent" }
        assertEquals(issues, unsent.map { it.getValue("id").jsonPrimitive.content })
        fails(ErrorCode.RESCUE_FILE) { rescue("$folder", "$file", key) }

        assertTrue((Path(setAside("$folder")) / "store").exists())
        fails(ErrorCode.NO_STORE) { setAside("$folder") }
        val anew = phones.open(key = other)
        anew.enrol(server.invitation("M001"), "the same phone, enrolled again")
        anew.sync()
        assertEquals(0uL, anew.status().unsentOps)
    }

    private fun Client.raiseAnIssue(): RecordId =
        raiseIssue(outletNamed("BJ-1"), NewIssue(IssueKind.PRICE, Severity.NORMAL, "标价不符", Due.NEXT_DAY))
}
