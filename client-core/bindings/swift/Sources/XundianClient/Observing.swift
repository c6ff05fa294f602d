import Foundation

extension Client {
    /// The device's status: now, and after each change. A slow consumer gets only the newest status.
    ///
    /// The stream is subscribed as long as it is iterated. It yields nothing more once the client is closed. A stream
    /// created after that fails with `clientClosed`.
    public func statuses() -> AsyncThrowingStream<DeviceStatus, Error> {
        observed { tell in try self.observeStatus(observer: TellsStatus(tell)) }
    }

    /// A query's result: now, and whenever a save or a sync changes it. A slow consumer gets only the newest page. An
    /// invalid query fails with `argument`.
    public func records(_ query: Query) -> AsyncThrowingStream<RecordPage, Error> {
        observed { tell in try self.observeRecords(query: query, observer: TellsRecords(tell)) }
    }

    /// A sync as a stream: its progress, then its report. To stop iterating cancels the sync. See `sync`.
    public func syncing() -> AsyncThrowingStream<Step<SyncReport>, Error> {
        steps { observer in try await self.sync(observer: observer) }
    }

    /// A sync without the pictures, as a stream. See `syncRecords`.
    public func syncingRecords() -> AsyncThrowingStream<Step<SyncReport>, Error> {
        steps { observer in try await self.syncRecords(observer: observer) }
    }

    /// The sending of pictures, as a stream. See `sendPhotos`.
    public func sendingPhotos() -> AsyncThrowingStream<Step<PhotoReport>, Error> {
        steps { observer in try await self.sendPhotos(observer: observer) }
    }

    /// A push as a stream: its progress, then its report. To stop iterating cancels the push. See `push`.
    public func pushing() -> AsyncThrowingStream<Step<PushReport>, Error> {
        steps { observer in try await self.push(observer: observer) }
    }
}

/// A step of a sync, a push or the sending of pictures.
public enum Step<Report: Sendable>: Sendable {
    /// The call is in progress.
    case underway(SyncProgress)
    /// The call has finished.
    case done(Report)
}

private final class TellsStatus: StatusObserver {
    private let tell: @Sendable (DeviceStatus) -> Void

    init(_ tell: @escaping @Sendable (DeviceStatus) -> Void) { self.tell = tell }

    func onStatus(status: DeviceStatus) { tell(status) }
}

private final class TellsRecords: RecordsObserver {
    private let tell: @Sendable (RecordPage) -> Void

    init(_ tell: @escaping @Sendable (RecordPage) -> Void) { self.tell = tell }

    func onRecords(page: RecordPage) { tell(page) }
}

private final class TellsProgress: ProgressObserver {
    private let tell: @Sendable (SyncProgress) -> Void

    init(_ tell: @escaping @Sendable (SyncProgress) -> Void) { self.tell = tell }

    func onProgress(progress: SyncProgress) { tell(progress) }
}

/// An observer's values as a stream. Only the newest is buffered, so the observer never blocks.
private func observed<Value: Sendable>(
    _ subscribe: (@escaping @Sendable (Value) -> Void) throws -> Subscription
) -> AsyncThrowingStream<Value, Error> {
    AsyncThrowingStream(Value.self, bufferingPolicy: .bufferingNewest(1)) { continuation in
        do {
            let subscription = try subscribe { value in continuation.yield(value) }
            continuation.onTermination = { _ in subscription.cancel() }
        } catch {
            continuation.finish(throwing: error)
        }
    }
}

/// The steps of a call as a stream. Only the newest step is buffered; the report is never dropped.
private func steps<Report: Sendable>(
    _ call: @escaping @Sendable (ProgressObserver) async throws -> Report
) -> AsyncThrowingStream<Step<Report>, Error> {
    AsyncThrowingStream(Step<Report>.self, bufferingPolicy: .bufferingNewest(1)) { continuation in
        let observer = TellsProgress { progress in continuation.yield(.underway(progress)) }
        let task = Task {
            do {
                continuation.yield(.done(try await call(observer)))
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        continuation.onTermination = { _ in task.cancel() }
    }
}
