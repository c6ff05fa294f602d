// Records a visit offline, then syncs: swift run Visit FOLDER OUTLET [INVITATION]
// The invitation is needed once; `xundian-server invite STAFF-NUMBER` prints one.

import Foundation
import XundianClient

let milk = "6901234567892"
let biscuits = "6901028075831"

/// Records the visit. This needs no network.
func record(client: Client, outletCode: String) throws {
    let outlet = try client.outletNamed(name: outletCode)
    let place = GpsFix(latitude: 39.9076, longitude: 116.4591, accuracyM: 8.0)
    let visit = try client.openVisit(outlet: outlet, fix: place)
    let shelf = ShelfObservation(present: [milk: true, biscuits: false], facingsOwn: [milk: 4])
    try client.observeShelf(visit: visit, shelf: shelf)
    let count = StockCount(shelfUnits: [milk: 12], backroomUnits: [milk: 48])
    try client.countStock(visit: visit, count: count)
    let issue = NewIssue(issueKind: .outOfStock, severity: .severe, text: "饼干缺货", due: .nextDay)
    _ = try client.raiseIssue(outlet: outlet, issue: issue, visit: visit)
    try client.closeVisit(visit: visit)
    print("saved visit \(visit) - waiting to be sent: \(try client.status().unsentOps)")
}

func visit(folder: String, outletCode: String, invitation: String?) async throws {
    let client = try Client.open(folder: folder)
    if let invitation {
        let identity = try await client.enrol(invitation: invitation, label: "sample")
        print("enrolled for \(identity.personName)")
        _ = try await client.sync()
    }
    try record(client: client, outletCode: outletCode)
    let report = try await client.sync()
    print("synced: merged \(report.merged) rejected \(report.rejected)")
    if let safe = try client.status().safeToLoseUpToMs {
        let clock = DateFormatter()
        clock.dateFormat = "HH:mm"
        print("safe to lose this phone up to \(clock.string(from: Date(timeIntervalSince1970: Double(safe) / 1000)))")
    }
}

let arguments = CommandLine.arguments
do {
    let invitation = arguments.count > 3 ? arguments[3] : nil
    try await visit(folder: arguments[1], outletCode: arguments[2], invitation: invitation)
} catch ClientError.Failed(let code, let messageZh, let messageEn, _) {
    FileHandle.standardError.write(Data("\(code): \(messageZh) / \(messageEn)\n".utf8))
    exit(1)
}
