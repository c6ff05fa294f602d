package xundian.client

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.extension.ExtendWith

/** A merchandiser's day: recorded offline, visible at once, synced, and seen by the manager. */
@ExtendWith(Company::class)
class DayTest {
    @Test
    fun `the route lists the calls of the day`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val calls = phone.route(phone.today())
        assertEquals(listOf("BJ-2", "BJ-1"), calls.map { it.code })
        assertEquals(listOf(1L, 2L), calls.map { it.order })
        assertEquals(listOf(true, false), calls.map { it.must })
        assertEquals("北京望京店" to "盘点", calls[0].name to calls[0].purpose)
    }

    @Test
    fun `a visit is saved offline and synced later`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val outlet = phone.outletNamed("BJ-2")
        val visit = phone.openVisit(outlet, GpsFix(latitude = 39.9901, longitude = 116.4701, accuracyM = 8.0))
        assertEquals(visit, phone.currentVisit())
        phone.updateVisit(visit, mapOf("poster" to true), "店长下周休假")
        phone.observeShelf(visit, ShelfObservation(present = mapOf(MILK to true), facingsOwn = mapOf(MILK to 4)))
        phone.countStock(visit, StockCount(shelfUnits = mapOf(MILK to 12), lotUnits = mapOf("$MILK/L7" to 12)))
        phone.closeVisit(visit)
        assertNull(phone.currentVisit())

        val line = checkNotNull(phone.find(Kind.VISIT, visit))
        assertEquals(SaveState.Saved to Home.Outlet(outlet), line.state to line.home)
        assertEquals("$TODAY", line.header?.businessDay)
        val saved = (line.content as RecordContent.Visit).entity
        assertEquals(mapOf("poster" to true), saved.taskAnswers)
        assertTrue(checkNotNull(saved.distanceM) < 50)
        val count = (checkNotNull(phone.find(Kind.STOCK_COUNT, visit)).content as RecordContent.StockCount).entity
        assertEquals(mapOf(MILK_14 to 12L), count.shelfUnits)
        assertEquals(mapOf("$MILK_14/L7" to 12L), count.lotUnits)
        assertEquals(visit, phone.route(phone.today()).single { it.code == "BJ-2" }.visit)
        assertTrue(phone.status().unsentOps > 0uL)

        val report = phone.sync()
        assertEquals(listOf<ULong>(5u, 0u, 0u), listOf(report.merged, report.rejected, report.unsentOps))
        assertEquals(SaveState.Confirmed, phone.saveState(Kind.VISIT, visit))
        val status = phone.status()
        assertEquals(0uL, status.unsentOps)
        assertNotNull(status.safeToLoseUpToMs)
    }

    @Test
    fun `the manager sees an issue, acknowledges it and closes it`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val issue = NewIssue(IssueKind.OUT_OF_STOCK, Severity.URGENT, "缺货", Due.SAME_DAY)
        val raised = phone.raiseIssue(phone.outletNamed("BJ-1"), issue)
        assertEquals(1uL, phone.push().merged)

        val manager = phones.enrolled("manager", "R001")
        val seen = (checkNotNull(manager.find(Kind.ISSUE, raised)).content as RecordContent.Issue).entity
        assertEquals("缺货" to "$TODAY", seen.text to seen.dueOn)
        manager.acknowledgeIssue(raised)
        manager.sync()
        phone.sync()
        assertEquals(IssueState.ACKNOWLEDGED, phone.issue(raised).state)

        manager.closeIssue(raised, "已补货")
        manager.sync()
        phone.sync()
        assertEquals(IssueState.CLOSED to "已补货", phone.issue(raised).run { state to resolution })
    }

    private fun Client.issue(id: RecordId): Issue = (checkNotNull(find(Kind.ISSUE, id)).content as RecordContent.Issue).entity

    @Test
    fun `a whole visit is one save`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val outlet = phone.outletNamed("BJ-2")
        val bundle = phone.bundle(minutesAgo = 0)
        val visit = phone.recordVisit(bundle)
        assertEquals(visit, phone.recordVisit(bundle.copy(id = visit)), "recording it again saves nothing")
        val kinds = phone.listHome(Home.Outlet(outlet)).filter { it.id == visit }.map { it.content::class }.toSet()
        assertEquals(setOf(RecordContent.Visit::class, RecordContent.ShelfObservation::class), kinds)
        assertEquals(1, phone.listHome(Home.Outlet(outlet), Kind.VISIT).count { it.id == visit })
    }

    @Test
    fun `departure check, abort, movement and day report`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val outlet = phone.outletNamed("BJ-1")
        phone.checkDeparture(DepartureCheck(folder = true, cloth = true, knife = false))
        val visit = phone.openVisit(outlet)
        phone.abortVisit(visit, AbortReason.CLOSED, "停业装修")
        phone.moveStock(outlet, StockMovement(cause = MovementCause.SELL_IN, units = mapOf(MILK to 24)))
        val report = phone.reportDay("两店一访", 3)
        val form = (checkNotNull(phone.find(Kind.DAY_REPORT, report)).content as RecordContent.DayReport).entity
        assertEquals(2L to 3L, form.visitsPlanned to form.documents)
        assertTrue(phone.daySummary(phone.today()).visitsAborted >= 1)
    }

    @Test
    fun `every kind can be listed`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        for (kind in Kind.entries) {
            for (line in phone.list(kind)) {
                assertEquals(kind.name.replace("_", ""), line.content::class.simpleName?.uppercase())
            }
        }
        assertEquals(2, phone.list(Kind.OUTLET).size)
        assertTrue(phone.list(Kind.VISIT, "2000-01-01").isEmpty())
    }

    @Test
    fun `a device has an identity and a status`(phones: Phones) = waiting {
        val phone = phones.open()
        assertNull(phone.identity())
        assertNull(phone.status().lastSyncMs)
        phone.close()
        val enrolled = phones.enrolled()
        assertEquals("王芳", enrolled.identity()?.personName)
        val status = enrolled.status()
        assertFalse(status.isSealed)
        assertEquals(0uL to 0uL, status.unsentOps to status.rejectedOps)
        assertTrue(status.homes > 0uL && status.storeBytes > 0uL)
    }
}
