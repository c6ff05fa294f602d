import Foundation

/// The version of this binding. It accepts only a library of the same version.
public let bindingVersion = "0.1.0"

/// The native library has another version than this binding.
public struct LibraryError: LocalizedError, Equatable {
    /// The mismatch, and what to do.
    public let errorDescription: String?
}

extension Client {
    /// Opens the device in a folder, or creates a new one there. Recording needs an enrolment first.
    ///
    /// With a key of 32 bytes, which the app keeps in the keychain, everything written to disk is sealed. A folder is
    /// sealed from its first opening on, or never; `changeKey` replaces the key.
    ///
    /// - Throws: `ClientError` if the folder is in use, damaged, or of a newer format, or the key is not the folder's;
    ///   `LibraryError` if the library has another version.
    public static func open(folder: String, key: Data? = nil) throws -> Client {
        try checkLibrary(version: libraryVersion())
        return try openUnchecked(folder: folder, key: key)
    }
}

/// The generated code has already checked each call's signature; on a mismatch it has ended the program.
func checkLibrary(version: String) throws {
    if version != bindingVersion {
        throw LibraryError(
            errorDescription: "XundianClient \(bindingVersion) has a library of version \(version): "
                + "install both from one build"
        )
    }
}
