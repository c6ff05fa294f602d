import XCTest

@testable import XundianClient

/// A merchandiser's day: recorded offline, visible at once, synced, and seen by the manager.
final class DayTests: CompanyTest {
    func testTheRouteListsTheCallsOfTheDay() async throws {
        let phone = try await enrolled()
        let calls = try phone.route(day: phone.today())
        XCTAssertEqual(calls.map(\.code), ["BJ-2", "BJ-1"])
        XCTAssertEqual(calls.map(\.must), [true, false])
        XCTAssertEqual(calls[0].name, "北京望京店")
        XCTAssertEqual(calls[0].purpose, "盘点")
    }

    func testAVisitIsSavedOfflineAndSyncedLater() async throws {
        let phone = try await enrolled()
        let outlet = try phone.outletNamed(name: "BJ-2")
        let place = GpsFix(latitude: 39.9901, longitude: 116.4701, accuracyM: 8.0)
        let visit = try phone.openVisit(outlet: outlet, fix: place)
        XCTAssertEqual(try phone.currentVisit(), visit)
        try phone.updateVisit(visit: visit, taskAnswers: ["poster": true], note: "店长下周休假")
        try phone.observeShelf(visit: visit, shelf: ShelfObservation(present: [milk: true], facingsOwn: [milk: 4]))
        let counted = StockCount(shelfUnits: [milk: 12], lotUnits: ["\(milk)/L7": 12])
        try phone.countStock(visit: visit, count: counted)
        try phone.closeVisit(visit: visit)
        XCTAssertNil(try phone.currentVisit())

        let line = try XCTUnwrap(phone.find(kind: .visit, id: visit))
        XCTAssertEqual(line.state, .saved)
        XCTAssertEqual(line.home, .outlet(outlet))
        XCTAssertEqual(line.header?.businessDay, today)
        guard case .visit(let saved) = line.content else { return XCTFail("\(line)") }
        XCTAssertEqual(saved.taskAnswers, ["poster": true])
        XCTAssertLessThan(try XCTUnwrap(saved.distanceM), 50)
        let content = try XCTUnwrap(phone.find(kind: .stockCount, id: visit)).content
        guard case .stockCount(let count) = content else { return XCTFail("\(content)") }
        XCTAssertEqual(count.shelfUnits, [milk14: 12])
        XCTAssertEqual(count.lotUnits, ["\(milk14)/L7": 12])

        let report = try await phone.sync()
        XCTAssertEqual([report.merged, report.rejected, report.unsentOps], [5, 0, 0])
        XCTAssertEqual(try phone.saveState(kind: .visit, id: visit), .confirmed)
        XCTAssertEqual(try phone.status().unsentOps, 0)
        XCTAssertNotNil(try phone.status().safeToLoseUpToMs)
    }

    func testTheManagerAcknowledgesAndClosesAnIssue() async throws {
        let phone = try await enrolled()
        let issue = NewIssue(issueKind: .outOfStock, severity: .urgent, text: "缺货", due: .sameDay)
        let raised = try phone.raiseIssue(outlet: phone.outletNamed(name: "BJ-1"), issue: issue)
        let pushed = try await phone.push()
        XCTAssertEqual(pushed.merged, 1)

        let manager = try await enrolled("manager", person: "R001")
        try manager.acknowledgeIssue(issue: raised)
        try manager.closeIssue(issue: raised, resolution: "已补货")
        _ = try await manager.sync()
        _ = try await phone.sync()
        let content = try XCTUnwrap(phone.find(kind: .issue, id: raised)).content
        guard case .issue(let seen) = content else { return XCTFail("\(content)") }
        XCTAssertEqual(seen.state, .closed)
        XCTAssertEqual(seen.resolution, "已补货")
    }

    func testAWholeVisitIsOneSave() async throws {
        let phone = try await enrolled()
        let outlet = try phone.outletNamed(name: "BJ-2")
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        var bundle = VisitBundle(
            outlet: outlet,
            openedAtMs: now - 60_000,
            endedAtMs: now,
            fix: GpsFix(latitude: 39.9, longitude: 116.4),
            shelf: ShelfObservation(present: [milk: false]),
            count: StockCount()
        )
        let visit = try phone.recordVisit(visit: bundle)
        bundle.id = visit
        XCTAssertEqual(try phone.recordVisit(visit: bundle), visit, "recording it again saves nothing")
        XCTAssertEqual(try phone.listHome(home: .outlet(outlet)).filter { $0.id == visit }.count, 2)
        XCTAssertEqual(try phone.listHome(home: .outlet(outlet), kind: .visit).filter { $0.id == visit }.count, 1)
    }

    func testDepartureCheckAbortMovementAndDayReport() async throws {
        let phone = try await enrolled()
        XCTAssertEqual(try phone.identity()?.personName, "王芳")
        let outlet = try phone.outletNamed(name: "BJ-1")
        _ = try phone.checkDeparture(check: DepartureCheck(folder: true, cloth: true, knife: false))
        let visit = try phone.openVisit(outlet: outlet)
        try phone.abortVisit(visit: visit, reason: .closed, note: "停业装修")
        _ = try phone.moveStock(outlet: outlet, movement: StockMovement(cause: .sellIn, units: [milk: 24]))
        let report = try phone.reportDay(remarks: "两店一访", documents: 3)
        let content = try XCTUnwrap(phone.find(kind: .dayReport, id: report)).content
        guard case .dayReport(let form) = content else { return XCTFail("\(content)") }
        XCTAssertEqual(form.visitsPlanned, 2)
        XCTAssertEqual(form.documents, 3)
        XCTAssertGreaterThanOrEqual(try phone.daySummary(day: phone.today()).visitsAborted, 1)
        XCTAssertEqual(try phone.list(kind: .outlet).count, 2)
    }
}
