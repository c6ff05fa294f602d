package xundian.client

import com.sun.jna.Native
import java.util.Collections
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.extension.ExtendWith

/** Threads, cancellation, and observers that throw. */
@ExtendWith(Company::class)
class ThreadsTest {
    @Test
    fun `two threads record during a sync`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        phone.recordVisits(20)
        val steps = Collections.synchronizedList(mutableListOf<SyncProgress>())
        val stepwise = async { phone.recordVisits(20) }
        val atOnce = async { repeat(20) { phone.recordVisit(phone.bundle(it)) } }
        val reading = async { List(20) { phone.list(Kind.VISIT).size } }
        phone.sync(observer(steps::add))
        stepwise.await()
        atOnce.await()
        assertTrue(reading.await().max() >= 20)
        assertTrue(steps.isNotEmpty() && steps.all { it.opsDone <= it.opsTotal })
        phone.sync()
        assertEquals(0uL to 0uL, phone.status().run { unsentOps to rejectedOps })
        assertTrue(phone.list(Kind.VISIT).size >= 60)
    }

    @Test
    fun `a sync that hangs ends when its coroutine is cancelled`(server: Server, phones: Phones) = waiting {
        val phone = phones.enrolled()
        phone.recordVisits(2)
        server.silent {
            repeat(3) {
                val sync = launch(start = CoroutineStart.UNDISPATCHED) { phone.sync() }
                sync.cancelAndJoin()
                assertTrue(sync.isCancelled)
            }
            val push = async(start = CoroutineStart.UNDISPATCHED) { phone.push() }
            push.cancel()
            assertThrows<CancellationException> { push.await() }
        }
        assertEquals(6uL, phone.sync().merged)
    }

    @Test
    fun `a cancelled enrolment is repeated with the same invitation`(server: Server, phones: Phones) = waiting {
        val phone = phones.open()
        val invitation = server.invitation("M001")
        server.silent {
            val enrolment = launch(start = CoroutineStart.UNDISPATCHED) { phone.enrol(invitation, "phone") }
            enrolment.cancelAndJoin()
            assertTrue(enrolment.isCancelled)
        }
        assertEquals("王芳", phone.enrol(invitation, "phone").personName)
    }

    @Test
    fun `a sync that is cancelled half-way leaves a device that syncs`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        phone.recordVisits(10)
        repeat(5) {
            val begun = CompletableDeferred<Unit>()
            val sync = launch { phone.sync(observer { begun.complete(Unit) }) }
            begun.await()
            sync.cancelAndJoin()
        }
        phone.sync()
        assertEquals(0uL to 0uL, phone.status().run { unsentOps to rejectedOps })
    }

    @Test
    fun `an observer that throws does not end the sync`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val faults = listOf(IllegalStateException("a fault of the app"), ObserverException.Failed("the app's reason"))
        for (fault in faults) {
            phone.recordVisits(1)
            assertEquals(3uL, phone.sync(observer { throw fault }).merged)
        }
        // An Error, unlike an Exception, goes to the handler that the app has set in JNA.
        val handled = Collections.synchronizedList(mutableListOf<Throwable>())
        val before = Native.getCallbackExceptionHandler()
        Native.setCallbackExceptionHandler { _, error -> handled.add(error) }
        try {
            phone.recordVisits(1)
            assertEquals(3uL, phone.push(observer { throw NotImplementedError() }).merged)
        } finally {
            Native.setCallbackExceptionHandler(before)
        }
        assertTrue(handled.isNotEmpty() && handled.all { it is NotImplementedError })
    }

    @Test
    fun `an observer of the status may throw, call the client and be slow`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val told = CompletableDeferred<DeviceStatus>()
        val subscription = phone.observeStatus(object : StatusObserver {
            override fun onStatus(status: DeviceStatus) {
                phone.today()
                if (status.unsentOps == 6uL) told.complete(status)
                throw IllegalStateException("a fault of the app")
            }
        })
        phone.recordVisits(2)
        assertEquals(6uL, told.await().unsentOps)
        subscription.cancel()
        subscription.close()
    }

    private fun observer(told: (SyncProgress) -> Unit) = object : ProgressObserver {
        override fun onProgress(progress: SyncProgress) = told(progress)
    }
}

/** Records visits one after the other, each with three saves. */
fun Client.recordVisits(visits: Int) {
    val outlet = outletNamed("BJ-1")
    repeat(visits) { at ->
        val visit = openVisit(outlet)
        countStock(visit, StockCount(shelfUnits = mapOf(MILK to at.toLong())))
        closeVisit(visit)
    }
}

/** Returns a whole visit of one minute, which ended some minutes ago. */
fun Client.bundle(minutesAgo: Int): VisitBundle {
    val ended = System.currentTimeMillis() - minutesAgo * 60_000
    return VisitBundle(
        outlet = outletNamed("BJ-2"),
        openedAtMs = ended - 60_000,
        endedAtMs = ended,
        fix = GpsFix(latitude = 39.9, longitude = 116.4),
        shelf = ShelfObservation(present = mapOf(MILK to true)),
        count = StockCount(),
    )
}
