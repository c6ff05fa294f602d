package xundian.client

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.async
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.extension.ExtendWith

/** Observers as flows. */
@ExtendWith(Company::class)
class FlowsTest {
    @Test
    fun `statuses follow saves and syncs`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        assertEquals(0uL, phone.statuses().first().unsentOps)
        val saved = async { phone.statuses().first { it.unsentOps == 6uL } }
        phone.recordVisits(2)
        saved.await()
        val synced = async { phone.statuses().first { it.unsentOps == 0uL } }
        phone.sync()
        assertTrue(checkNotNull(synced.await().safeToLoseUpToMs) > 0)
    }

    @Test
    fun `a slow collector gets the newest status next`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val (collects, recorded) = List(2) { CompletableDeferred<Unit>() }
        val seen = async {
            phone.statuses().onEach { collects.complete(Unit); recorded.await() }.first { it.unsentOps == 9uL }
        }
        collects.await()
        phone.recordVisits(3)
        recorded.complete(Unit)
        seen.await()
    }

    @Test
    fun `a flow is subscribed only while it is collected`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        repeat(10) { phone.statuses().first() }
        phone.syncing().toList()
        // The library drops an observer a moment after the cancellation.
        val (statuses, progresses) = FfiConverterTypeStatusObserver.handleMap to FfiConverterTypeProgressObserver.handleMap
        while (statuses.size + progresses.size > 0) delay(1)
    }

    @Test
    fun `a sync is a flow that ends with its report`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        phone.recordVisits(2)
        val steps = phone.syncing().toList()
        assertEquals(6uL, (steps.last() as Step.Done).report.merged)
        for (step in steps.dropLast(1)) {
            assertTrue(assertInstanceOf(Step.Underway::class.java, step).progress.opsTotal <= 6uL)
        }
        phone.recordVisits(1)
        assertEquals(3uL, (phone.pushing().toList().last() as Step.Done).report.merged)
    }

    @Test
    fun `to stop collecting cancels the sync`(server: Server, phones: Phones) = waiting {
        val phone = phones.enrolled()
        phone.recordVisits(2)
        assertEquals(1, phone.syncing().take(1).toList().size)
        server.silent {
            val collecting = async { phone.syncing().toList() }
            phone.statuses().first()
            collecting.cancel()
            collecting.join()
        }
        phone.sync()
        assertEquals(0uL, phone.status().unsentOps)
    }

    @Test
    fun `a failure ends the flow`(phones: Phones) = waiting {
        val phone = phones.open()
        assertEquals(ErrorCode.NOT_ENROLLED, assertThrows<ClientException.Failed> { phone.syncing().toList() }.code)
        phone.shutdown()
        assertEquals(ErrorCode.CLIENT_CLOSED, assertThrows<ClientException.Failed> { phone.statuses().first() }.code)
    }
}
