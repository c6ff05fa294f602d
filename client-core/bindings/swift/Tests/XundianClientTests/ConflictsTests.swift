import XCTest

@testable import XundianClient

/// Two devices change the same field offline: both see both values, and how one of them settles the conflict.
final class ConflictsTests: CompanyTest {
    func testTwoOfflineEditsOfOneOutletAndEachConflictIsSettled() async throws {
        let phone = try await enrolled("phone", person: "R001")
        let manager = try await enrolled("manager", person: "R001")
        let outlet = try phone.outletNamed(name: "BJ-1")
        try phone.edit(id: outlet, content: .outlet(entity: Outlet(channel: .supermarket, note: "周一盘点")))
        later()
        try manager.edit(id: outlet, content: .outlet(entity: Outlet(channel: .convenience, note: "周二盘点")))
        for client in [phone, manager, phone] { _ = try await client.sync() }

        for client in [phone, manager] {
            XCTAssertEqual(try content(client, outlet).note, "周二盘点")
            let note = try conflict(client, outlet, "note")
            XCTAssertEqual(note.kind, .outlet)
            XCTAssertEqual(note.fieldZh, "备注")
            XCTAssertEqual([note.kept.textZh, note.lost.textZh], ["周二盘点", "周一盘点"])
            XCTAssertEqual(note.lost.content, .outlet(entity: Outlet(note: "周一盘点")))
            XCTAssertEqual(note.lost.personName, "李强")
            XCTAssertEqual(note.lost.device, try phone.identity()?.device)
            XCTAssertTrue(note.mayRestore)
            XCTAssertEqual(try conflict(client, outlet, "channel").lost.textEn, "Supermarket")
        }

        let note = try conflict(phone, outlet, "note").id
        let channel = try conflict(phone, outlet, "channel").id
        try phone.settleConflict(id: note, decision: .restored)
        try manager.settleConflict(id: channel, decision: .kept)
        for client in [phone, manager, phone] { _ = try await client.sync() }
        for client in [phone, manager] {
            XCTAssertEqual(try content(client, outlet).note, "周一盘点")
            XCTAssertEqual(try content(client, outlet).channel, .convenience)
            let settled = try client.conflicts().filter { $0.id == note || $0.id == channel }
            XCTAssertEqual(settled.first { $0.id == note }?.settlement?.decision, .restored)
            XCTAssertEqual(settled.first { $0.id == channel }?.settlement?.decision, .kept)
        }
        try await fails(.conflictSettled) { try phone.settleConflict(id: note, decision: .kept) }
        try await fails(.recordUnknown) { try phone.settleConflict(id: outlet, decision: .kept) }
    }

    func testAnEditWithBeforeWritesOnlyTheChanges() async throws {
        let manager = try await enrolled("manager", person: "R001")
        let outlet = try manager.outletNamed(name: "BJ-2")
        try manager.edit(id: outlet, content: .outlet(entity: Outlet(openHours: "9-21", phone: "010-1")))
        let before = try content(manager, outlet)
        var after = before
        after.phone = "010-2"
        after.openHours = nil
        try manager.edit(id: outlet, content: .outlet(entity: after), before: .outlet(entity: before))
        XCTAssertEqual(try content(manager, outlet).phone, "010-2")
        XCTAssertNil(try content(manager, outlet).openHours)
        let visit = RecordContent.visit(entity: Visit(note: "改"))
        try await fails(.notEdited) { try manager.edit(id: outlet, content: visit) }
        try await fails(.argument) { try manager.edit(id: outlet, content: visit, before: .outlet(entity: before)) }
        _ = try await manager.sync()
    }

    func testARejectedOpIsMendedAndAccepted() async throws {
        let manager = try await enrolled("manager", person: "R001")
        let outlet = try manager.outletNamed(name: "BJ-2")
        // Only headquarters may write an outlet's unit.
        let units = try manager.list(kind: .orgUnit)
        let headquarters = units.first { line in
            if case .orgUnit(let unit) = line.content { return unit.code == "HQ" }
            return false
        }
        try manager.edit(id: outlet, content: .outlet(entity: Outlet(address: "望京街9号", unit: headquarters?.id)))
        let refused = try await manager.sync()
        XCTAssertEqual(refused.rejected, 1)
        let save = try XCTUnwrap(manager.rejected().first)
        XCTAssertEqual(save.why, .notAWriter)
        guard case .outlet(var form) = save.content else { return XCTFail("\(save)") }
        form.unit = nil
        try manager.mendRejected(id: save.id, content: .outlet(entity: form))
        let mended = try await manager.sync()
        XCTAssertEqual(mended.merged, 1)
        XCTAssertEqual(try content(manager, outlet).address, "望京街9号")
        let again = RecordContent.outlet(entity: form)
        try await fails(.rejectedUnknown) { try manager.mendRejected(id: save.id, content: again) }
    }

    private func conflict(_ client: Client, _ outlet: String, _ field: String) throws -> ConflictLine {
        let open = try client.conflicts(home: .outlet(outlet)).first { $0.field == field && $0.settlement == nil }
        return try XCTUnwrap(open)
    }

    private func content(_ client: Client, _ outlet: String) throws -> Outlet {
        guard case .outlet(let form) = try XCTUnwrap(client.find(kind: .outlet, id: outlet)).content else {
            throw Failure(text: "no outlet \(outlet)")
        }
        return form
    }

    /// Waits until the next millisecond, so that the next change wins over the last one.
    private func later() {
        let now = { Int64(Date().timeIntervalSince1970 * 1000) }
        let before = now()
        while now() == before {}
    }
}
