import XCTest

@testable import XundianClient

/// Threads, observers and the sample.
final class ObservingTests: CompanyTest {
    func testOtherThreadsRecordDuringASync() async throws {
        let phone = try await enrolled()
        try recordVisits(phone, 20)
        async let synced = phone.sync()
        async let recorded: Void = Task.detached { try self.recordVisits(phone, 20) }.value
        async let read = Task.detached { try (0..<20).map { _ in try phone.list(kind: .visit).count } }.value
        _ = try await synced
        try await recorded
        let most = try await read.max() ?? 0
        XCTAssertGreaterThanOrEqual(most, 20)
        _ = try await phone.sync()
        XCTAssertEqual(try phone.status().unsentOps, 0)
    }

    func testStatusesFollowSavesAndSyncs() async throws {
        let phone = try await enrolled()
        try recordVisits(phone, 2)
        for try await status in phone.statuses() where status.unsentOps == 6 { break }
        _ = try await phone.sync()
        for try await status in phone.statuses() where status.unsentOps == 0 { break }
        phone.close()
        try await fails(.clientClosed) { for try await _ in phone.statuses() {}; return nil }
    }

    func testASyncThatHangsEndsWhenItsTaskIsCancelled() async throws {
        let phone = try await enrolled()
        try recordVisits(phone, 2)
        try await server.silent {
            let sync = Task { try await phone.sync().merged }
            sync.cancel()
            let synced = await sync.result
            XCTAssertThrowsError(try synced.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
            let push = Task { try await phone.push().merged }
            push.cancel()
            let pushed = await push.result
            XCTAssertThrowsError(try pushed.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
            // To stop iterating cancels the sync as well, so that the next one does not fail with `syncRunning`.
            let stream = Task { for try await _ in phone.syncing() {} }
            for try await _ in phone.statuses() { break }
            stream.cancel()
            _ = await stream.result
        }
        let report = try await phone.sync()
        XCTAssertEqual(report.merged, 6)
    }

    func testASyncIsAStreamThatEndsWithItsReport() async throws {
        let phone = try await enrolled()
        try recordVisits(phone, 2)
        var reports: [SyncReport] = []
        for try await step in phone.syncing() {
            if case .done(let report) = step { reports.append(report) }
        }
        XCTAssertEqual(reports.map(\.merged), [6])
        try recordVisits(phone, 1)
        for try await step in phone.pushing() {
            if case .done(let report) = step { XCTAssertEqual(report.merged, 3) }
        }
        XCTAssertEqual(try phone.status().unsentOps, 0)
    }

    func testAnObserverThatThrowsDoesNotEndTheSync() async throws {
        final class Throws: ProgressObserver, StatusObserver, RecordsObserver {
            func onProgress(progress: SyncProgress) throws { throw Failure(text: "a fault of the app") }
            func onRecords(page: RecordPage) throws { throw Failure(text: "a fault of the app") }
            func onStatus(status: DeviceStatus) throws { throw ObserverError.Failed(reason: "the app's reason") }
        }
        let phone = try await enrolled()
        let subscription = try phone.observeStatus(observer: Throws())
        let records = try phone.observeRecords(query: Query(kind: .visit), observer: Throws())
        try recordVisits(phone, 1)
        let report = try await phone.sync(observer: Throws())
        XCTAssertEqual(report.merged, 3)
        subscription.cancel()
        records.cancel()
    }

    func testTheSampleRecordsAVisitAndSyncs() throws {
        // The package's programs are in the same folder as the tests.
        #if os(macOS)
        let beside = Bundle(for: Self.self).bundleURL.deletingLastPathComponent()
        #else
        let beside = Bundle.main.bundleURL
        #endif
        let sample = beside.appendingPathComponent("Visit")
        let phone = folder.appendingPathComponent("phone").path
        let first = try runProgram(sample, [phone, "BJ-1", server.invitation(person: "M001")])
        XCTAssertTrue(first.output.contains("merged 5 rejected 0"), first.output)
        XCTAssertTrue(first.output.contains("safe to lose this phone up to"), first.output)
        let wrong = try runProgram(sample, [phone, "GZ-9"])
        XCTAssertEqual(wrong.code, 1)
        XCTAssertTrue(wrong.output.contains("outletUnknown"), wrong.output)
    }
}
