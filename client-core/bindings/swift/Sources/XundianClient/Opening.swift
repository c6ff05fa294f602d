import Foundation

/// The version of this binding. It takes a library of the same version alone.
public let bindingVersion = "0.1.0"

/// The library is not the one that this binding was made for.
public struct LibraryError: LocalizedError, Equatable {
    /// What does not fit, and what to do.
    public let errorDescription: String?
}

extension Client {
    /// Opens the device in a folder, or prepares a new one there. Recording needs an enrolment first.
    ///
    /// With a key of 32 bytes, which the app keeps in the keychain, everything that reaches the disk is sealed with
    /// it. A folder takes the same key, or none, for all its life; see `changeKey`.
    ///
    /// - Throws: `ClientError` where the folder is in use, damaged, or of a newer format, or the key is not the
    ///   folder's; `LibraryError` where the library is of another version.
    public static func open(folder: String, key: Data? = nil) throws -> Client {
        try checkLibrary(version: libraryVersion())
        return try openUnchecked(folder: folder, key: key)
    }
}

/// The generated part has checked already that every call fits; where one does not, it has ended the program.
func checkLibrary(version: String) throws {
    if version != bindingVersion {
        throw LibraryError(
            errorDescription: "XundianClient \(bindingVersion) has a library of version \(version): "
                + "install both from one build"
        )
    }
}
