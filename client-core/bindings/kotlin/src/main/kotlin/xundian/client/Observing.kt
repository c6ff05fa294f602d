package xundian.client

import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.callbackFlow
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.conflate

/**
 * How the device stands: now, and whenever that changes. A collector that takes its time gets the newest status next.
 *
 * The flow is subscribed for as long as it is collected. A client that is shut down says nothing any more, and a flow
 * that is begun after that fails with [ErrorCode.CLIENT_CLOSED].
 */
fun Client.statuses(): Flow<DeviceStatus> = observed { tell ->
    observeStatus(object : StatusObserver { override fun onStatus(status: DeviceStatus) = tell(status) })
}

/**
 * What a query finds: now, and whenever that changes, by a save or by a sync. A collector that takes its time gets the
 * newest page next. A query that asks for what there cannot be fails with [ErrorCode.ARGUMENT].
 */
fun Client.records(query: Query): Flow<RecordPage> = observed { tell ->
    observeRecords(query, object : RecordsObserver { override fun onRecords(page: RecordPage) = tell(page) })
}

/** A sync as a flow: how far it is, and as the last what it did. Who stops collecting cancels it; see [Client.sync]. */
fun Client.syncing(): Flow<Step<SyncReport>> = steps { sync(it) }

/** A sync without the pictures as a flow; see [Client.syncRecords]. */
fun Client.syncingRecords(): Flow<Step<SyncReport>> = steps { syncRecords(it) }

/** The sending of pictures as a flow; see [Client.sendPhotos]. */
fun Client.sendingPhotos(): Flow<Step<PhotoReport>> = steps { sendPhotos(it) }

/** A push as a flow: how far it is, and as the last what it did. Who stops collecting cancels it; see [Client.push]. */
fun Client.pushing(): Flow<Step<PushReport>> = steps { push(it) }

/** A step of a sync, a push or the sending of pictures. */
sealed interface Step<out Report> {
    /** It goes on, and is this far. */
    data class Underway(val progress: SyncProgress) : Step<Nothing>

    /** It has come to its end. */
    data class Done<out Report>(val report: Report) : Step<Report>
}

/** What an observer is told, as a flow. Only the newest waits for the collector, so telling never waits. */
private fun <T> observed(subscribe: (tell: (T) -> Unit) -> Subscription): Flow<T> = callbackFlow {
    val subscription = subscribe { trySend(it) }
    awaitClose { subscription.use { it.cancel() } }
}.conflate()

/** The steps of a call as a flow. Of the steps only the newest waits for the collector; the end is never left out. */
private fun <Report> steps(call: suspend (ProgressObserver) -> Report): Flow<Step<Report>> = channelFlow {
    val observer = object : ProgressObserver {
        override fun onProgress(progress: SyncProgress) {
            trySend(Step.Underway(progress))
        }
    }
    send(Step.Done(call(observer)))
}.conflate()
