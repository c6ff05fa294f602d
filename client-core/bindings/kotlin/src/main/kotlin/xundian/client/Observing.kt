package xundian.client

import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.callbackFlow
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.conflate

/**
 * The device's status: now, and after each change. A slow collector gets only the newest status.
 *
 * The flow is subscribed as long as it is collected. It emits nothing more once the client is shut down. Collecting it
 * after that fails with [ErrorCode.CLIENT_CLOSED].
 */
fun Client.statuses(): Flow<DeviceStatus> = observed { tell ->
    observeStatus(object : StatusObserver { override fun onStatus(status: DeviceStatus) = tell(status) })
}

/**
 * A query's result: now, and whenever a save or a sync changes it. A slow collector gets only the newest page. An
 * invalid query fails with [ErrorCode.ARGUMENT].
 */
fun Client.records(query: Query): Flow<RecordPage> = observed { tell ->
    observeRecords(query, object : RecordsObserver { override fun onRecords(page: RecordPage) = tell(page) })
}

/** A sync as a flow: its progress, then its report. To stop collecting cancels the sync. See [Client.sync]. */
fun Client.syncing(): Flow<Step<SyncReport>> = steps { sync(it) }

/** A sync without the pictures, as a flow. See [Client.syncRecords]. */
fun Client.syncingRecords(): Flow<Step<SyncReport>> = steps { syncRecords(it) }

/** The sending of pictures, as a flow. See [Client.sendPhotos]. */
fun Client.sendingPhotos(): Flow<Step<PhotoReport>> = steps { sendPhotos(it) }

/** A push as a flow: its progress, then its report. To stop collecting cancels the push. See [Client.push]. */
fun Client.pushing(): Flow<Step<PushReport>> = steps { push(it) }

/** A step of a sync, a push or the sending of pictures. */
sealed interface Step<out Report> {
    /** The call is in progress. */
    data class Underway(val progress: SyncProgress) : Step<Nothing>

    /** The call has finished. */
    data class Done<out Report>(val report: Report) : Step<Report>
}

/** An observer's values as a flow. Only the newest is buffered, so the observer never blocks. */
private fun <T> observed(subscribe: (tell: (T) -> Unit) -> Subscription): Flow<T> = callbackFlow {
    val subscription = subscribe { trySend(it) }
    awaitClose { subscription.use { it.cancel() } }
}.conflate()

/** The steps of a call as a flow. Only the newest step is buffered; the report is never dropped. */
private fun <Report> steps(call: suspend (ProgressObserver) -> Report): Flow<Step<Report>> = channelFlow {
    val observer = object : ProgressObserver {
        override fun onProgress(progress: SyncProgress) {
            trySend(Step.Underway(progress))
        }
    }
    send(Step.Done(call(observer)))
}.conflate()
