package xundian.client

import java.util.UUID
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.extension.ExtendWith

/** Two people change the same field offline: everybody concerned sees both values, and one settles the conflict. */
@ExtendWith(Company::class)
class ConflictsTest {
    @Test
    fun `two offline edits of one outlet show both values to all, and each conflict is settled`(phones: Phones) = waiting {
        val (phone, tablet) = phones.enrolled("phone", "S001") to phones.enrolled("tablet", "R001")
        val outlet = phone.outletNamed("BJ-3")
        tablet.edit(outlet, RecordContent.Outlet(Outlet(note = "周一盘点", channel = Channel.SUPERMARKET)))
        later(tablet, phone)
        phone.edit(outlet, RecordContent.Outlet(Outlet(note = "周二盘点", channel = Channel.CONVENIENCE)))
        assertEquals("周一盘点", tablet.outlet(outlet).note, "visible at once")
        for (client in listOf(tablet, phone, tablet)) client.sync()

        for (client in listOf(phone, tablet)) {
            assertEquals("周二盘点" to Channel.CONVENIENCE, client.outlet(outlet).run { note to channel })
            val note = client.open(outlet, "note")
            assertEquals(Kind.OUTLET to outlet, note.kind to note.record)
            assertEquals(Triple("备注", "Note", null), Triple(note.fieldZh, note.fieldEn, note.line))
            assertEquals("周二盘点" to "周一盘点", note.kept.textZh to note.lost.textZh)
            assertEquals("赵敏" to "李强", note.kept.personName to note.lost.personName)
            assertEquals(tablet.identity()?.run { device to person }, note.lost.run { device to person })
            assertEquals(RecordContent.Outlet(Outlet(note = "周一盘点")), note.lost.content)
            val channel = client.open(outlet, "channel")
            assertEquals("便利店" to "Convenience", channel.kept.run { textZh to textEn })
            assertEquals("超市" to "Supermarket", channel.lost.run { textZh to textEn })
            assertTrue(channel.mayRestore && channel.state == SaveState.Confirmed)
        }

        val (note, channel) = phone.open(outlet, "note").id to phone.open(outlet, "channel").id
        phone.settleConflict(note, Decision.RESTORED)
        tablet.settleConflict(channel, Decision.KEPT)
        for (client in listOf(phone, tablet, phone)) client.sync()
        for (client in listOf(phone, tablet)) {
            val merged = client.outlet(outlet)
            assertEquals("周一盘点" to Channel.CONVENIENCE, merged.note to merged.channel)
            val settled = client.conflicts().associate { it.id to it.settlement }
            assertEquals(Decision.RESTORED to phone.identity()?.person, settled[note]?.run { decision to by })
            assertEquals(Decision.KEPT to tablet.identity()?.person, settled[channel]?.run { decision to by })
            assertNotNull(settled[channel]?.atMs)
        }
        fails(ErrorCode.CONFLICT_SETTLED) { phone.settleConflict(note, Decision.KEPT) }
        fails(ErrorCode.RECORD_UNKNOWN) { phone.settleConflict(outlet, Decision.KEPT) }
    }

    @Test
    fun `an edit with before writes only the changes, and removes emptied fields`(phones: Phones) = waiting {
        val (tablet, desk) = phones.enrolled("tablet", "R001") to phones.enrolled("desk", "R001")
        val outlet = tablet.outletNamed("BJ-2")
        tablet.edit(outlet, RecordContent.Outlet(Outlet(phone = "010-1", openHours = "9-21")))
        for (client in listOf(tablet, desk)) client.sync()
        val before = desk.outlet(outlet)
        tablet.edit(outlet, RecordContent.Outlet(Outlet(phone = "010-2")))
        for (client in listOf(tablet, desk)) client.sync()
        val after = before.copy(phone = "010-3", openHours = null)
        desk.edit(outlet, RecordContent.Outlet(after), RecordContent.Outlet(before))
        desk.sync()
        assertEquals("010-3" to null, desk.outlet(outlet).run { phone to openHours })
        val conflict = desk.open(outlet, "phone")
        assertEquals("010-3" to "010-2", conflict.kept.textEn to conflict.lost.textEn, "the other change arrived while the form was open")
    }

    @Test
    fun `a conflict in a line names the product, and a stock count cannot be restored`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val visit = phone.openVisit(phone.outletNamed("BJ-1"))
        phone.sync()
        val other = phones.enrolled("other")
        phone.countStock(visit, StockCount(shelfUnits = mapOf(MILK to 3)))
        later(phone, other)
        other.countStock(visit, StockCount(shelfUnits = mapOf(MILK to 4)))
        for (client in listOf(phone, other)) client.sync()
        val line = other.conflicts().single { it.record == visit }
        assertEquals(Triple(Kind.STOCK_COUNT, "shelf_units", "纯牛奶 $MILK_14"), Triple(line.kind, line.field, line.line))
        assertEquals(RecordContent.StockCount(StockCount(shelfUnits = mapOf(MILK_14 to 3))), line.lost.content)
        assertFalse(line.mayRestore)
        val refused = fails(ErrorCode.NOT_EDITED) { other.settleConflict(line.id, Decision.RESTORED) }
        assertTrue("盘点" in refused.messageZh)
        // A conflict is a record too, and holds the raw values.
        val record = (checkNotNull(other.find(Kind.CONFLICT, line.id)).content as RecordContent.Conflict).entity
        assertEquals(Value.Int(3), record.lost?.value)
        assertTrue(record.lost?.key is Key.Number)
        phone.closeVisit(visit)
        phone.sync()
    }

    @Test
    fun `a rejected op is mended and accepted`(phones: Phones) = waiting {
        val tablet = phones.enrolled("tablet", "R001")
        val outlet = tablet.outletNamed("BJ-2")
        // Only headquarters may write an outlet's unit.
        val headquarters = tablet.list(Kind.ORG_UNIT).single { (it.content as RecordContent.OrgUnit).entity.code == "HQ" }.id
        tablet.edit(outlet, RecordContent.Outlet(Outlet(unit = headquarters, address = "望京街9号")))
        assertEquals(1uL, tablet.sync().rejected)
        val refused = tablet.rejected().single()
        assertEquals(Refusal.NOT_A_WRITER, refused.why)
        fails(ErrorCode.ARGUMENT) { tablet.mendRejected(refused.id, RecordContent.Visit(Visit(note = "?"))) }
        val mended = RecordContent.Outlet((refused.content as RecordContent.Outlet).entity.copy(unit = null))
        tablet.mendRejected(refused.id, mended)
        assertEquals(0 to 1uL, tablet.rejected().size to tablet.status().unsentOps)
        assertEquals(1uL, tablet.sync().merged)
        assertEquals("望京街9号", tablet.outlet(outlet).address)
        fails(ErrorCode.REJECTED_UNKNOWN) { tablet.mendRejected(refused.id, mended) }
    }

    @Test
    fun `edits that are refused`(phones: Phones) = waiting {
        val phone = phones.enrolled()
        val (outlet, form) = phone.outletNamed("BJ-1") to RecordContent.Outlet(Outlet(note = "改"))
        fails(ErrorCode.NOT_EDITED) { phone.edit(outlet, RecordContent.Visit(Visit(note = "改"))) }
        fails(ErrorCode.ARGUMENT) { phone.edit(outlet, form, RecordContent.Visit(Visit())) }
        fails(ErrorCode.RECORD_UNKNOWN) { phone.edit(UUID.randomUUID().toString(), form) }
    }

    private fun Client.open(outlet: OutletId, field: String): ConflictLine =
        conflicts(Home.Outlet(outlet)).single { it.field == field && it.settlement == null }
}

fun Client.outlet(id: OutletId): Outlet = (checkNotNull(find(Kind.OUTLET, id)).content as RecordContent.Outlet).entity
