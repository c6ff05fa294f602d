// Records a visit offline, then syncs: java -cp 'target/package/*' VisitKt FOLDER OUTLET [INVITATION]
// The invitation is needed once; `xundian-server invite STAFF-NUMBER` prints one.

import java.text.SimpleDateFormat
import kotlin.system.exitProcess
import kotlinx.coroutines.runBlocking
import xundian.client.Client
import xundian.client.ClientException
import xundian.client.Due
import xundian.client.IssueKind
import xundian.client.NewIssue
import xundian.client.GpsFix
import xundian.client.Severity
import xundian.client.ShelfObservation
import xundian.client.StockCount
import xundian.client.open

const val MILK = "6901234567892"
const val BISCUITS = "6901028075831"

/** Records the visit. This needs no network. */
fun record(client: Client, outletCode: String) {
    val outlet = client.outletNamed(outletCode)
    val visit = client.openVisit(outlet, GpsFix(latitude = 39.9076, longitude = 116.4591, accuracyM = 8.0))
    client.observeShelf(
        visit,
        ShelfObservation(present = mapOf(MILK to true, BISCUITS to false), facingsOwn = mapOf(MILK to 4)),
    )
    client.countStock(visit, StockCount(shelfUnits = mapOf(MILK to 12), backroomUnits = mapOf(MILK to 48)))
    client.raiseIssue(outlet, NewIssue(IssueKind.OUT_OF_STOCK, Severity.SEVERE, "饼干缺货", Due.NEXT_DAY), visit)
    client.closeVisit(visit)
    println("saved visit $visit - waiting to be sent: ${client.status().unsentOps}")
}

suspend fun visit(folder: String, outletCode: String, invitation: String?) = Client.open(folder).use { client ->
    if (invitation != null) {
        println("enrolled for ${client.enrol(invitation, "sample").personName}")
        client.sync()
    }
    record(client, outletCode)
    val report = client.sync()
    println("synced: merged ${report.merged} rejected ${report.rejected}")
    client.status().safeToLoseUpToMs?.let { safe ->
        println("safe to lose this phone up to ${SimpleDateFormat("HH:mm").format(safe)}")
    }
}

fun main(arguments: Array<String>) {
    try {
        runBlocking { visit(arguments[0], arguments[1], arguments.getOrNull(2)) }
    } catch (error: ClientException.Failed) {
        System.err.println("${error.code}: ${error.messageZh} / ${error.messageEn}")
        exitProcess(1)
    }
}
