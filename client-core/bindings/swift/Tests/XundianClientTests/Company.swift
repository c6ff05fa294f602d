import Foundation
import XCTest

@testable import XundianClient

let milk = "6901234567892"
let milk14 = "06901234567892"
let today = day(.now)

private func day(_ moment: Date) -> String {
    let format = DateFormatter()
    format.timeZone = TimeZone(identifier: "Asia/Shanghai")
    format.dateFormat = "yyyy-MM-dd"
    return format.string(from: moment)
}

/// A small company: a merchandiser with two outlets, and her manager.
private let files = [
    ("org", """
        row,code,name_zh,name_en,unit_type,parent,territory,title,unit,role,superior
        unit,HQ,总公司,Company,company,,,,,,
        unit,HUA_BEI,华北大区,North,region,HQ,11|12|13,,,,
        position,HQ-DIR,,,,,,营销总监,HQ,headquarters,
        position,HB-MGR,,,,,,华北大区经理,HUA_BEI,manager,HQ-DIR
        position,HB-M1,,,,,,理货员,HUA_BEI,merchandiser,HB-MGR
        """),
    ("people", "code,name,position\nR001,李强,HB-MGR\nM001,王芳,HB-M1"),
    ("outlets", """
        code,name,channel,city,province_code,longitude,latitude
        BJ-1,北京银泰店,chain,北京市,11,116.459086,39.907636
        BJ-2,北京望京店,hypermarket,北京市,11,116.470000,39.990000
        """),
    ("products", """
        gtin,name,category,spec,unit,retail_price_cny,units_per_case
        6901234567892,纯牛奶,食品,250ml,盒,3.50,24
        """),
    ("assignments", """
        outlet,position,from
        BJ-1,HB-M1,\(day(.now - 86_400))
        BJ-2,HB-M1,\(day(.now - 86_400))
        """),
    ("routes", "person,day,outlet,order,purpose,must\nM001,\(today),BJ-2,1,盘点,yes\nM001,\(today),BJ-1,2,,"),
]

struct Failure: Error {
    let text: String
}

/// `xundian-server serve` on a folder of its own, for all tests of this program.
final class Server: @unchecked Sendable {
    static let shared = Result { try Server() }

    let program: URL
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("xundian-\(UUID())")
    private let serving = Process()
    private var address = ""

    private init() throws {
        guard let program = ProcessInfo.processInfo.environment["XUNDIAN_SERVER"] else {
            throw Failure(text: "XUNDIAN_SERVER names the server's program, such as target/debug/xundian-server")
        }
        self.program = URL(fileURLWithPath: program)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (kind, rows) in files {
            try take(kind: kind, rows: rows)
        }
        try serve()
        atexit { try? Server.shared.get().stop() }
    }

    /// Imports a file of a kind.
    func take(kind: String, rows: String) throws {
        let file = folder.appendingPathComponent("\(kind).csv")
        try "\(rows)\n".write(to: file, atomically: true, encoding: .utf8)
        try run("import", kind, file.path)
    }

    func invitation(person: String) throws -> String {
        let printed = try run("invite", person, "--address", address)
        guard let found = printed.range(of: #"xd1-\S+"#, options: .regularExpression) else {
            throw Failure(text: "no invitation in: \(printed)")
        }
        return String(printed[found])
    }

    /// Runs a command on the company, and returns its output.
    @discardableResult
    func run(_ arguments: String...) throws -> String {
        let done = try runProgram(program, ["--data", folder.path + "/company"] + arguments)
        guard done.code == 0 else { throw Failure(text: done.output) }
        return done.output
    }

    /// Runs a block while the server's process is stopped, so that it does not answer.
    func silent(_ block: () async throws -> Void) async throws {
        kill(serving.processIdentifier, SIGSTOP)
        defer { kill(serving.processIdentifier, SIGCONT) }
        try await block()
    }

    /// Starts the server on ports that the system chooses, and reads its address from its log.
    private func serve() throws {
        let log = Pipe()
        serving.executableURL = program
        serving.arguments = ["--data", folder.path + "/company", "serve", "--quic", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        serving.environment = ["NO_COLOR": "1"]
        serving.standardOutput = log
        serving.standardError = log
        try serving.run()
        var said = ""
        while address.isEmpty {
            let more = log.fileHandleForReading.availableData
            guard !more.isEmpty else { throw Failure(text: "the server exited at once: \(said)") }
            said += String(decoding: more, as: UTF8.self)
            if let found = said.range(of: #"quic=\S+(?=\s)"#, options: .regularExpression) {
                address = String(said[found].dropFirst("quic=".count))
            }
        }
        // Later output is discarded, so that it does not fill the pipe.
        log.fileHandleForReading.readabilityHandler = { _ = $0.availableData }
    }

    /// Kills the server without waiting: this runs at exit.
    private func stop() {
        kill(serving.processIdentifier, SIGKILL)
        try? FileManager.default.removeItem(at: folder)
    }
}

/// Runs a program to its end, and returns its output.
func runProgram(_ program: URL, _ arguments: [String]) throws -> (code: Int32, output: String) {
    let running = Process()
    let output = Pipe()
    running.executableURL = program
    running.arguments = arguments
    running.standardOutput = output
    running.standardError = output
    try running.run()
    let printed = output.fileHandleForReading.readDataToEndOfFile()
    running.waitUntilExit()
    return (running.terminationStatus, String(decoding: printed, as: UTF8.self))
}

/// Tests with a server, and devices in a folder of their own.
class CompanyTest: XCTestCase {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("xundian-phones-\(UUID())")

    var server: Server {
        get throws { try Server.shared.get() }
    }

    override func tearDown() {
        try? FileManager.default.removeItem(at: folder)
    }

    func open(_ name: String = "phone", key: Data? = nil) throws -> Client {
        try Client.open(folder: folder.appendingPathComponent(name).path, key: key)
    }

    /// The merchandiser's device, or another person's, enrolled and synced once.
    func enrolled(_ name: String = "phone", person: String = "M001", key: Data? = nil) async throws -> Client {
        let client = try open(name, key: key)
        _ = try await client.enrol(invitation: server.invitation(person: person), label: "\(person)'s \(name)")
        _ = try await client.sync()
        return client
    }

    /// Records visits one after the other, each with three saves.
    func recordVisits(_ phone: Client, _ visits: Int) throws {
        let outlet = try phone.outletNamed(name: "BJ-1")
        for at in 0..<visits {
            let visit = try phone.openVisit(outlet: outlet)
            try phone.countStock(visit: visit, count: StockCount(shelfUnits: [milk: Int64(at)]))
            try phone.closeVisit(visit: visit)
        }
    }

    /// Expects that a call fails with a code, and with a message in Chinese and in English. Returns whether it is
    /// retryable.
    @discardableResult
    func fails(_ code: ErrorCode, line: UInt = #line, _ call: () async throws -> Any?) async throws -> Bool {
        do {
            _ = try await call()
        } catch ClientError.Failed(let found, let messageZh, let messageEn, let isRetryable) {
            XCTAssertEqual(found, code, messageEn, line: line)
            XCTAssertNotNil(messageZh.range(of: "[\u{4e00}-\u{9fff}]", options: .regularExpression), line: line)
            XCTAssertFalse(messageEn.isEmpty, line: line)
            return isRetryable
        }
        throw Failure(text: "nothing failed with \(code)")
    }
}
