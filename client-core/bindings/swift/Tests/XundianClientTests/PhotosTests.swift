import XCTest

@testable import XundianClient

private let shelf = NewPhoto(subject: .shelf, source: .inApp, fix: GpsFix(latitude: 39.9076, longitude: 116.4591))

/// Photos: attached offline, sent after the records, and repaired after damage to their files.
final class PhotosTests: CompanyTest {
    func testAPictureIsAttachedOfflineAndSentByTheNextSync() async throws {
        let phone = try await enrolled()
        let visit = try visited(phone)
        let shown = picture()
        let id = try phone.attachPhoto(of: .visit(visit), photo: shelf, picture: shown)
        XCTAssertEqual(try phone.attachPhoto(of: .visit(visit), photo: shelf, picture: shown), id)
        let line = try XCTUnwrap(phone.photosOf(of: .visit(visit)).first)
        XCTAssertEqual(line.id, id)
        XCTAssertEqual(line.state, .waiting(sentBytes: 0))
        XCTAssertEqual(line.saveState, .saved)
        XCTAssertEqual(line.photo.subject, .shelf)
        XCTAssertEqual(line.photo.mediaType, .png)
        XCTAssertEqual(try phone.photoBytes(picture: XCTUnwrap(line.photo.contentHash)), shown)
        XCTAssertEqual(try phone.status().unsentPhotos, 1)

        let report = try await phone.sync()
        XCTAssertEqual(report.photos.stored, 1)
        XCTAssertEqual(report.photos.bytesSent, UInt64(shown.count))
        let sent = try XCTUnwrap(phone.photosOf(of: .visit(visit)).first)
        XCTAssertEqual(sent.state, .stored)
        XCTAssertEqual(sent.saveState, .confirmed)
    }

    func testRecordsSyncWithoutTheirPictures() async throws {
        let phone = try await enrolled()
        let visit = try visited(phone)
        let file = folder.appendingPathComponent("gallery.png")
        try picture().write(to: file)
        _ = try phone.attachPhotoFile(of: .visit(visit), photo: shelf, file: file.path)
        try FileManager.default.removeItem(at: file)
        let records = try await phone.syncRecords()
        XCTAssertEqual([records.merged, records.photos.stored, records.photos.waiting], [3, 0, 1])
        let photos = try await phone.sendPhotos()
        XCTAssertEqual(photos.stored, 1)

        // Both are streams as well.
        _ = try phone.attachPhoto(of: .visit(visit), photo: shelf, picture: picture())
        for try await step in phone.syncingRecords() {
            if case .done(let report) = step { XCTAssertEqual(report.photos.waiting, 1) }
        }
        var sent: [UInt64] = []
        for try await step in phone.sendingPhotos() {
            if case .done(let report) = step { sent.append(report.stored) }
        }
        XCTAssertEqual(sent, [1])
    }

    func testInvalidPhotosAreRefused() async throws {
        let phone = try await enrolled()
        let visit = PhotoOf.visit(try visited(phone))
        let nowhere = folder.appendingPathComponent("nowhere.png").path
        try await fails(.photoForm) { try phone.attachPhoto(of: visit, photo: shelf, picture: Data("none".utf8)) }
        try await fails(.photoUnreadable) { try phone.attachPhotoFile(of: visit, photo: shelf, file: nowhere) }
        try await fails(.visitUnknown) { try phone.photosOf(of: .visit(UUID().uuidString)) }
        try await fails(.argument) { try phone.photoBytes(picture: "no hash") }
        try await fails(.photoNotHere) { try phone.retryPhoto(picture: String(repeating: "0", count: 64)) }
    }

    func testADamagedPictureIsRepairedByAttachingItAgain() async throws {
        let phone = try await enrolled()
        let visit = PhotoOf.visit(try visited(phone))
        let shown = picture()
        let id = try phone.attachPhoto(of: visit, photo: shelf, picture: shown)
        let hash = try XCTUnwrap(phone.photosOf(of: visit).first?.photo.contentHash)
        let file = folder.appendingPathComponent("phone/photos/\(hash)")
        try (shown.dropLast() + Data("?".utf8)).write(to: file)
        try await fails(.photoDamaged) { try phone.photoBytes(picture: hash) }
        XCTAssertEqual(try phone.photosOf(of: visit).first?.state, .damaged)
        try phone.dropPhoto(picture: hash)
        XCTAssertEqual(try phone.photosOf(of: visit).first?.state, .notHere)
        XCTAssertEqual(try phone.attachPhoto(of: visit, photo: shelf, picture: shown), id)
        try await fails(.photoNeeded) { try phone.dropPhoto(picture: hash) }
        let report = try await phone.sync()
        XCTAssertEqual(report.photos.stored, 1)
    }

    private func visited(_ phone: Client) throws -> String {
        let visit = try phone.openVisit(outlet: phone.outletNamed(name: "BJ-1"))
        try phone.closeVisit(visit: visit)
        return visit
    }

    /// Returns bytes that begin like a PNG, each time others.
    private func picture() -> Data {
        Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) + Data(UUID().uuidString.utf8)
    }
}
