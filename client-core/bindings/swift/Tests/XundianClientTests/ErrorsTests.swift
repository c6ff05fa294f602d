import XCTest

@testable import XundianClient

/// Errors have a stable code, and a message in Chinese and in English that says what to do.
final class ErrorsTests: CompanyTest {
    func testUnknownOutletsVisitsAndRejectedOps() async throws {
        let phone = try await enrolled()
        try await fails(.outletUnknown) { try phone.outletNamed(name: "GZ-9") }
        try await fails(.visitUnknown) { try phone.closeVisit(visit: UUID().uuidString) }
        try await fails(.rejectedUnknown) { try phone.resendRejected(id: "D1-1") }
    }

    func testMalformedArguments() async throws {
        let phone = try await enrolled()
        let outlet = try phone.outletNamed(name: "BJ-1")
        try await fails(.argument) { try phone.find(kind: .visit, id: "no id") }
        try await fails(.argument) { try phone.route(day: "yesterday") }
        try await fails(.argument) { try phone.openVisit(outlet: outlet, fix: GpsFix(latitude: 91, longitude: 0)) }
        try await fails(.argument) { try phone.dropRejected(id: "twelve") }
    }

    func testOneVisitIsOpenAtATime() async throws {
        let phone = try await enrolled()
        let visit = try phone.openVisit(outlet: phone.outletNamed(name: "BJ-1"))
        try await fails(.visitStillOpen) { try phone.openVisit(outlet: phone.outletNamed(name: "BJ-2")) }
        try await fails(.formEmpty) { try phone.countStock(visit: visit, count: StockCount()) }
        try phone.closeVisit(visit: visit)
        try await fails(.visitClosed) { try phone.closeVisit(visit: visit) }
    }

    func testADeviceThatIsNotEnrolled() async throws {
        let phone = try open()
        XCTAssertNil(try phone.identity())
        try await fails(.notEnrolled) { try phone.reportDay() }
        try await fails(.notEnrolled) { try await phone.sync() }
        try await fails(.invitationMalformed) { try await phone.enrol(invitation: "xd1-", label: "phone") }
    }

    func testAFolderIsOpenOnce() async throws {
        let phone = try await enrolled()
        let isRetryable = try await fails(.storeInUse) { try self.open() }
        XCTAssertTrue(isRetryable)
        phone.close()
        try await fails(.clientClosed) { try phone.today() }
        XCTAssertEqual(try open().identity()?.personName, "王芳")
    }

    func testASealedFolderOpensOnlyWithItsKey() async throws {
        let (key, other) = (Data(0..<32), Data(count: 32))
        let phone = try await enrolled("sealed", key: key)
        XCTAssertTrue(try phone.status().isSealed)
        try phone.changeKey(key: other)
        phone.close()
        try await fails(.storeKey) { try self.open("sealed", key: key) }
        try await fails(.storeKey) { try self.open("sealed") }
        try await fails(.argument) { try self.open("sealed", key: Data("short".utf8)) }
        XCTAssertEqual(try open("sealed", key: other).identity()?.personName, "王芳")
    }

    func testRejectedOpsAreListedResentAndDropped() async throws {
        // From today on she holds no position, so the outlet is out of her scope. The device does not know that yet.
        let phone = try await enrolled()
        let visit = try phone.openVisit(outlet: phone.outletNamed(name: "BJ-1"))
        try phone.closeVisit(visit: visit)
        let rows = "code,name,position,position_from\nM001,王芳,"
        try server.take(kind: "people", rows: "\(rows),\(today)")
        defer { XCTAssertNoThrow(try server.take(kind: "people", rows: "\(rows)HB-M1,\(today)")) }
        let report = try await phone.push()
        XCTAssertEqual(report.rejected, 2)
        let rejected = try phone.rejected()
        XCTAssertEqual(rejected.map(\.why), [.outOfScope, .outOfScope])
        XCTAssertEqual(rejected[0].record, visit)
        try phone.dropRejected(id: rejected[1].id)
        try phone.resendRejected(id: rejected[0].id)
        XCTAssertEqual(try phone.rejected(), [])
        XCTAssertEqual(try phone.status().unsentOps, 1)
    }

    func testALibraryOfAnotherVersionIsRefused() throws {
        XCTAssertEqual(libraryVersion(), bindingVersion)
        XCTAssertThrowsError(try checkLibrary(version: "0.0.9")) { error in
            XCTAssertTrue("\(error.localizedDescription)".contains("has a library of version 0.0.9"))
        }
    }
}
