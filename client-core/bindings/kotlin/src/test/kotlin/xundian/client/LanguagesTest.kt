package xundian.client

import java.lang.reflect.Modifier
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.extension.ExtendWith

/** Two devices, one in Kotlin and one in Python, on one server. */
@ExtendWith(Company::class)
class LanguagesTest {
    @Test
    fun `both edit one outlet offline and see one record, its conflicts and their settlements`(
        server: Server,
        phones: Phones,
    ) = waiting {
        Python.started().use { python ->
            val kotlin = phones.enrolled("kotlin", "R001")
            python.call("enrol", "${phones.folder}/python", server.invitation("S001"))
            val outlet = kotlin.outletNamed("BJ-3")
            // Each device is read in its own language, and every field must be equal.
            fun record() = same(kotlin.find(Kind.OUTLET, outlet), python.call("outlet", outlet)).content as RecordContent.Outlet
            fun conflicts() = same(kotlin.conflicts(Home.Outlet(outlet)), python.call("conflicts", outlet))
            fun found() = conflicts().filter { it.settlement == null }.associateBy { it.field }
            suspend fun syncAll() {
                kotlin.sync()
                python.call("sync")
                kotlin.sync()
            }

            server.silent {
                val ours = Outlet(note = "K", phone = "010-1", address = "东街1号", openHours = "8-20", geofenceM = 80)
                kotlin.edit(outlet, RecordContent.Outlet(ours))
                later(kotlin.serverOffsetMs(), python.call("offset").jsonPrimitive.long)
                val theirs = mapOf("note" to "P", "phone" to "010-2", "address" to "西街2号", "open_hours" to "9-21")
                python.call("edit", outlet, theirs + mapOf("channel" to "CHAIN", "visits_per_28_days" to 4))
            }
            syncAll()
            val merged = record().entity
            assertEquals(listOf("P", "010-2", "西街2号", "9-21"), merged.run { listOf(note, phone, address, openHours) })
            assertEquals(80L to 4L, merged.geofenceM to merged.visitsPer28Days, "a field that only one wrote is kept")
            assertEquals(Channel.CHAIN to "BJ-3", merged.channel to merged.code)
            val found = found()
            val values = found.mapValues { (_, conflict) -> conflict.kept.textZh to conflict.lost.textZh }
            val expected = mapOf(
                "note" to ("P" to "K"),
                "phone" to ("010-2" to "010-1"),
                "address" to ("西街2号" to "东街1号"),
                "open_hours" to ("9-21" to "8-20"),
            )
            assertEquals(expected, values)
            assertTrue(found.values.all { it.kept.personName == "赵敏" && it.lost.personName == "李强" && it.mayRestore })

            server.silent {
                kotlin.settleConflict(found.getValue("note").id, Decision.KEPT)
                kotlin.settleConflict(found.getValue("phone").id, Decision.RESTORED)
                python.call("settle", found.getValue("address").id, "KEPT")
                python.call("settle", found.getValue("open_hours").id, "RESTORED")
            }
            syncAll()
            val settled = record().entity
            assertEquals(listOf("P", "010-1", "西街2号", "8-20"), settled.run { listOf(note, phone, address, openHours) })
            val byField = conflicts().filter { it.id in found.values.map(ConflictLine::id) }.associate { it.field to it.settlement }
            val (us, them) = kotlin.identity()?.person to found.getValue("note").kept.person
            val settlements = mapOf(
                "note" to (Decision.KEPT to us),
                "phone" to (Decision.RESTORED to us),
                "address" to (Decision.KEPT to them),
                "open_hours" to (Decision.RESTORED to them),
            )
            assertEquals(settlements, byField.mapValues { (_, settlement) -> settlement?.decision to settlement?.by })
            assertTrue(found().isEmpty())
        }
    }

    /** Returns Kotlin's value, after checking that Python has the same. */
    private fun <T> same(ours: T?, theirs: JsonElement): T {
        assertEquals(plain(ours), theirs)
        return checkNotNull(ours)
    }
}

/** A client in Python, driven by calls and answers in JSON; see peer.py. */
private class Python(program: String) : AutoCloseable {
    private val process = ProcessBuilder(program, "../python/tests/peer.py")
        .redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val calls = process.outputWriter(Charsets.UTF_8)
    private val answers = process.inputReader(Charsets.UTF_8)

    /** Makes a call, and returns its answer. The peer exits if it is stuck. */
    fun call(name: String, vararg arguments: Any): JsonElement {
        calls.write("${plain(mapOf("call" to name, "arguments" to arguments.toList()))}\n")
        calls.flush()
        val answer = checkNotNull(answers.readLine()) { "Python could not $name: see its standard error" }
        return (Json.parseToJsonElement(answer) as JsonObject).getValue("answer")
    }

    override fun close() {
        calls.close()
        process.destroy()
        process.waitFor()
    }

    companion object {
        fun started(): Python {
            val program = System.getenv("XUNDIAN_PYTHON")
            val reason = "SKIPPED Kotlin beside Python: XUNDIAN_PYTHON names no Python that finds xundian_client"
            if (program == null) System.err.println(reason)
            assumeTrue(program != null, reason)
            return Python(program)
        }
    }
}

/** Converts a value of the library to JSON as peer.py does, with Python's names. */
private fun plain(value: Any?): JsonElement = when (value) {
    null -> JsonNull
    is Boolean -> JsonPrimitive(value)
    is Number -> JsonPrimitive(value)
    is String -> JsonPrimitive(value)
    is Enum<*> -> JsonPrimitive(value.name)
    is List<*> -> JsonArray(value.map(::plain))
    is Map<*, *> -> JsonObject(value.entries.associate { (key, held) -> "$key" to plain(held) })
    else -> {
        val fields = value.javaClass.declaredFields.filterNot { Modifier.isStatic(it.modifiers) }
        val held = fields.associate { it.isAccessible = true; snake(it.name) to plain(it.get(value)) }
        val isVariant = value.javaClass.enclosingClass != null
        if (isVariant) JsonObject(mapOf(snake(value.javaClass.simpleName).uppercase() to JsonArray(held.values.toList())))
        else JsonObject(held)
    }
}

private fun snake(name: String): String =
    name.replace(Regex("(?<=[a-z0-9])(?=[A-Z])|(?<=[a-z])(?=[0-9])"), "_").lowercase()
