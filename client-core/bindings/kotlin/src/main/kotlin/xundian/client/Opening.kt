package xundian.client

/** The version of this binding. It accepts only a library of the same version. */
const val VERSION: String = "0.1.0"

private const val ADVICE = "install both from one build"

/** The native library is missing or does not fit this binding. */
class LibraryException internal constructor(message: String, cause: Throwable? = null) :
    IllegalStateException(message, cause)

/**
 * Opens the device in a folder, or creates a new one there. Recording needs an enrolment first.
 *
 * With a key of 32 bytes, which the app keeps in the platform's keystore, everything written to disk is sealed. A folder
 * is sealed from its first opening on, or never; [Client.changeKey] replaces the key.
 *
 * @throws ClientException if the folder is in use, damaged, or of a newer format, or the key is not the folder's.
 * @throws LibraryException if the library is missing or does not fit this binding.
 */
@Throws(ClientException::class)
fun Client.Companion.open(folder: String, key: ByteArray? = null): Client {
    checkLibrary { libraryVersion() }
    return openUnchecked(folder, key)
}

/** Loads the library, and checks its version and that each call has the expected signature. */
internal fun checkLibrary(version: () -> String) {
    val found = try {
        uniffiEnsureInitialized()
        version()
    } catch (error: LinkageError) {
        val why = generateSequence<Throwable>(error) { it.cause }.last().message
        throw LibraryException("xundian-client $VERSION cannot use its library ($why): $ADVICE", error)
    }
    if (found != VERSION) {
        throw LibraryException("xundian-client $VERSION has a library of version $found: $ADVICE")
    }
}
