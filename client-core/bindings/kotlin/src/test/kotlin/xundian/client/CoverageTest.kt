package xundian.client

import java.io.File
import java.lang.reflect.Method
import java.lang.reflect.Modifier
import java.util.jar.JarFile
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Every export of the library is named in a test. These tests fail for a new call until it has one. */
class CoverageTest {
    private val tests = File("src/test/kotlin/xundian/client").listFiles { file -> file.name != "CoverageTest.kt" }!!
        .joinToString("\n") { it.readText() }

    @Test
    fun `every exported function is called in a test`() {
        val methods = exported().flatMap { it.declaredMethods.toList() }.filter(::isOwn)
        val calls = methods.map { it.name.substringBefore('-') }.toSet()
        assertTrue(calls.containsAll(listOf("open", "sync", "countStock", "cancel", "onProgress", "statuses")))
        val isCalled = { name: String -> Regex("""\b$name ?[({]""") in tests }
        assertEquals(emptyList<String>(), calls.filterNot(isCalled).sorted())
    }

    @Test
    fun `every error code has a test, or a reason for none`() {
        val untested = ErrorCode.entries.filterNot { Regex("""ErrorCode\.$it\b""") in tests }.toSet()
        assertEquals(NOT_MADE_HERE.keys, untested)
    }

    /** Returns the objects with their constructors, the observers, and the functions of the package. */
    private fun exported(): List<Class<*>> {
        val source = File(Client::class.java.protectionDomain.codeSource.location.toURI())
        val names = JarFile(source).use { jar -> jar.entries().toList().map { it.name } }
            .filter { it.startsWith("xundian/client/") && it.endsWith(".class") }
            .map { it.removePrefix("xundian/client/").removeSuffix(".class") }.toSet()
        val objects = names.filter { "${it}Interface" in names }
        val exported = objects.flatMap { listOf("${it}Interface", "$it\$Companion") } +
            names.filter { it.endsWith("Kt") || "${it}Impl" in names }
        return exported.map { Class.forName("xundian.client.$it") }
    }

    /** Excludes helpers of Kotlin and UniFFI, and `openUnchecked`, which [open] wraps. */
    private fun isOwn(method: Method): Boolean =
        Modifier.isPublic(method.modifiers) && !method.isSynthetic &&
            !method.name.contains("uniffi", ignoreCase = true) && method.name !in setOf("use", "openUnchecked")

    private companion object {
        const val SERVER = "needs a server that breaks the protocol, which ours does not"

        val NOT_MADE_HERE = mapOf(
            ErrorCode.OUTLET_OUT_OF_SCOPE to "an outlet that leaves the scope also leaves the device, which then does not know it",
            ErrorCode.INTERNAL to "a bug in the library; none is known",
            ErrorCode.NO_OPEN_VISIT to "currentVisit returns null instead",
            ErrorCode.ZONE_UNKNOWN to "the server imports no outlet with an unknown time zone",
            ErrorCode.STORE_FULL to "needs a million saves",
            ErrorCode.PHOTOS_FULL to "needs a thousand pictures",
            ErrorCode.SERVER_RESTORED to "needs more saves than a device keeps",
            ErrorCode.DEVICE_DATE to "needs a phone whose clock is wrong by years",
            ErrorCode.SERVER_SILENT to "needs a server that falls silent during a session",
            ErrorCode.SESSION_ENDED to SERVER,
            ErrorCode.SERVER_UNREADABLE to SERVER,
            ErrorCode.VERSION_REFUSED to SERVER,
            ErrorCode.SERVER_UNAVAILABLE to SERVER,
            ErrorCode.SERVER_REFUSED to SERVER,
        )
    }
}
