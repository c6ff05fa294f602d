import Foundation

extension Client {
    /// How the device stands: now, and whenever that changes. Who takes their time gets the newest status next.
    ///
    /// It is subscribed for as long as it is iterated. A client that was closed says nothing any more, and a stream
    /// that is begun after that fails with `clientClosed`.
    public func statuses() -> AsyncThrowingStream<DeviceStatus, Error> {
        observed { tell in try self.observeStatus(observer: TellsStatus(tell)) }
    }

    /// What a query finds: now, and whenever that changes, by a save or by a sync. Who takes their time gets the newest
    /// page next. A query that asks for what there cannot be fails with `argument`.
    public func records(_ query: Query) -> AsyncThrowingStream<RecordPage, Error> {
        observed { tell in try self.observeRecords(query: query, observer: TellsRecords(tell)) }
    }

    /// A sync as a stream: how far it is, and as the last what it did. Who stops iterating cancels it; see `sync`.
    public func syncing() -> AsyncThrowingStream<Step<SyncReport>, Error> {
        steps { observer in try await self.sync(observer: observer) }
    }

    /// A sync without the pictures as a stream; see `syncRecords`.
    public func syncingRecords() -> AsyncThrowingStream<Step<SyncReport>, Error> {
        steps { observer in try await self.syncRecords(observer: observer) }
    }

    /// The sending of pictures as a stream; see `sendPhotos`.
    public func sendingPhotos() -> AsyncThrowingStream<Step<PhotoReport>, Error> {
        steps { observer in try await self.sendPhotos(observer: observer) }
    }

    /// A push as a stream: how far it is, and as the last what it did. Who stops iterating cancels it; see `push`.
    public func pushing() -> AsyncThrowingStream<Step<PushReport>, Error> {
        steps { observer in try await self.push(observer: observer) }
    }
}

/// A step of a sync, a push or the sending of pictures.
public enum Step<Report: Sendable>: Sendable {
    /// It goes on, and is this far.
    case underway(SyncProgress)
    /// It has come to its end.
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

/// What an observer is told, as a stream. Only the newest waits for who iterates, so telling never waits.
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

/// The steps of a call as a stream. Of the steps only the newest waits for who iterates; the end is never left out.
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
