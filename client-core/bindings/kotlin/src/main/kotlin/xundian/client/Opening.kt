package xundian.client

/** The version of this binding. It takes a library of the same version alone. */
const val VERSION: String = "0.1.0"

private const val ADVICE = "install both from one build"

/** The library is not there, or it is not the one that this binding was made for. */
class LibraryException internal constructor(message: String, cause: Throwable? = null) :
    IllegalStateException(message, cause)

/**
 * Opens the device in a folder, or prepares a new one there. Recording needs an enrolment first.
 *
 * With a key of 32 bytes, which the app keeps in the platform's keystore, everything that reaches the disk is sealed
 * with it. A folder takes the same key, or none, for all its life; see [Client.changeKey].
 *
 * @throws ClientException where the folder is in use, damaged, or of a newer format, or the key is not the folder's.
 * @throws LibraryException where the library is missing or of another version.
 */
@Throws(ClientException::class)
fun Client.Companion.open(folder: String, key: ByteArray? = null): Client {
    checkLibrary { libraryVersion() }
    return openUnchecked(folder, key)
}

/** Loads the library, and checks its version, and that it has every call in the shape that is expected. */
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
