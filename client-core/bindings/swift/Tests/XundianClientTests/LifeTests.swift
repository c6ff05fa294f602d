import XCTest

@testable import XundianClient

private let openIssues = Query(
    kind: .issue,
    conditions: [FieldCondition(field: "state", oneOf: ["open", "acknowledged"])]
)

/// Observed lists, hints from the platform, and rescue.
final class LifeTests: CompanyTest {
    func testAnObservedListIsUpdatedBySavesAndBySyncs() async throws {
        let phone = try await enrolled()
        let before = try phone.query(query: openIssues).total
        var issue: String?
        for try await page in phone.records(openIssues) {
            if issue == nil {
                XCTAssertEqual(page.total, before)
                issue = try raiseAnIssue(phone)
            } else if page.total == before + 1 {
                break
            }
        }
        _ = try await phone.sync()
        for try await page in phone.records(openIssues) where page.lines.allSatisfy({ $0.state == .confirmed }) { break }
        try phone.closeIssue(issue: XCTUnwrap(issue), resolution: "已改价签")
        for try await page in phone.records(openIssues) where page.total == before { break }
    }

    func testInvalidQueriesAreRefusedAndValidOnesPaged() async throws {
        let phone = try await enrolled()
        let colour = Query(kind: .issue, conditions: [FieldCondition(field: "colour", oneOf: ["red"])])
        try await fails(.argument) { try phone.query(query: colour) }
        try await fails(.argument) { try phone.query(query: Query(kind: .issue, limit: 10_001)) }
        try await fails(.argument) { for try await _ in phone.records(colour) {}; return nil }
        let route = try phone.route(day: phone.today()).map(\.outlet)
        let page = try phone.query(query: Query(kind: .outlet, ids: route, limit: 1))
        XCTAssertEqual(page.total, 2)
        XCTAssertEqual(page.lines.count, 1)
    }

    func testInTheBackgroundTheFolderIsFreeAndAnyCallOpensItAgain() async throws {
        let phone = try await enrolled()
        try recordVisits(phone, 1)
        try phone.networkChanged()
        try await phone.enteringBackground()
        try open().close()
        try phone.enteringForeground()
        try await fails(.storeInUse) { try self.open() }
        try phone.lowMemory()
        let report = try await phone.sync()
        XCTAssertEqual(report.merged, 3)
        phone.close()
        try await fails(.clientClosed) { try await phone.enteringBackground() }
    }

    func testADamagedDeviceIsRescuedSetAsideAndEnrolledAgain() async throws {
        let key = Data(0..<32)
        let phone = try await enrolled(key: key)
        _ = try raiseAnIssue(phone)
        let device = folder.appendingPathComponent("phone")
        let file = folder.appendingPathComponent("rescued.ndjson").path
        phone.close()
        try FileManager.default.removeItem(at: device.appendingPathComponent("store/db"))
        try await fails(.storeBroken) { try self.open(key: key) }
        try await fails(.storeKey) { try await rescue(folder: device.path, intoFile: file) }
        let report = try await rescue(folder: device.path, intoFile: file, key: key)
        XCTAssertEqual(report.unsent, 1)
        XCTAssertFalse(report.losses.isEmpty)
        try await fails(.rescueFile) { try await rescue(folder: device.path, intoFile: file, key: key) }
        let aside = try setAside(folder: device.path)
        XCTAssertTrue(FileManager.default.fileExists(atPath: aside + "/store"))
        try await fails(.noStore) { try setAside(folder: device.path) }
        let anew = try await enrolled(key: Data(count: 32))
        XCTAssertEqual(try anew.status().unsentOps, 0)
    }

    private func raiseAnIssue(_ phone: Client) throws -> String {
        let issue = NewIssue(issueKind: .price, severity: .normal, text: "标价不符", due: .nextDay)
        return try phone.raiseIssue(outlet: phone.outletNamed(name: "BJ-1"), issue: issue)
    }
}
