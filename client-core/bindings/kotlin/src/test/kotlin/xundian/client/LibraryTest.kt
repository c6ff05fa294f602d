package xundian.client

import java.io.File
import kotlin.io.path.Path
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.extension.ExtendWith

/** The sample runs from the packaged jars, and a library that does not fit is reported. */
@ExtendWith(Company::class)
class LibraryTest {
    @Test
    fun `the sample records a visit and syncs`(server: Server, phones: Phones) {
        val folder = "${phones.folder}/phone"
        val first = visit(folder, "BJ-1", server.invitation("M001"))
        assertEquals(0, first.code) { first.errors }
        assertEquals("", first.errors)
        for (said in listOf("merged 5 rejected 0", "safe to lose this phone up to")) {
            assertTrue(said in first.output) { first.output }
        }
        val again = visit(folder, "BJ-1")
        assertTrue("merged 5 rejected 0" in again.output) { again.errors }
        val wrong = visit(folder, "GZ-9")
        assertTrue(wrong.code == 1 && "OUTLET_UNKNOWN" in wrong.errors) { wrong.errors }
    }

    @Test
    fun `a missing library is reported`(phones: Phones) {
        val run = visit("${phones.folder}/phone", "BJ-1", libraries = phones.folder.toString())
        assertTrue(run.code == 1 && "xundian-client $VERSION cannot use its library" in run.errors) { run.errors }
    }

    @Test
    fun `a library of another version is refused`() {
        val error = assertThrows<LibraryException> { checkLibrary { "0.0.9" } }
        assertTrue("xundian-client $VERSION has a library of version 0.0.9" in error.message!!)
        checkLibrary { VERSION }
    }

    @Test
    fun `library, binding and package have one version`() {
        assertEquals(VERSION, libraryVersion())
        assertEquals(VERSION, System.getProperty("xundian.version"))
    }

    private class Run(val code: Int, val output: String, val errors: String)

    private fun visit(vararg arguments: String, libraries: String = System.getProperty("jna.library.path")): Run {
        val java = Path(System.getProperty("java.home"), "bin", "java").toString()
        val classes = System.getProperty("xundian.package") + "/*"
        val (output, errors) = List(2) { File.createTempFile("visit", ".txt").apply { deleteOnExit() } }
        val code = ProcessBuilder(java, "-Djna.library.path=$libraries", "-cp", classes, "VisitKt", *arguments)
            .redirectOutput(output).redirectError(errors).start().waitFor()
        return Run(code, output.readText(), errors.readText())
    }
}
