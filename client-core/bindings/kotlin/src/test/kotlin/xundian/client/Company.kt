package xundian.client

import java.io.File
import java.net.DatagramSocket
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.ServerSocket
import java.net.Socket
import java.nio.file.Path
import java.time.LocalDate
import java.time.ZoneId
import java.util.concurrent.TimeUnit
import kotlin.io.path.createTempDirectory
import kotlin.io.path.div
import kotlin.io.path.writeText
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.extension.ExtensionContext
import org.junit.jupiter.api.extension.ExtensionContext.Namespace
import org.junit.jupiter.api.extension.ParameterContext
import org.junit.jupiter.api.extension.ParameterResolver

val TODAY: LocalDate = LocalDate.now(ZoneId.of("Asia/Shanghai"))
val YESTERDAY: LocalDate = TODAY.minusDays(1)
const val MILK = "6901234567892"
const val MILK_14 = "0$MILK"

/** The timeout of every wait in a test. */
val STUCK_AFTER = 120.seconds

/** A small company: a merchandiser with two outlets, a representative with one, and their manager. */
private val FILES = mapOf(
    "org" to """
        row,code,name_zh,name_en,unit_type,parent,territory,title,unit,role,superior
        unit,HQ,总公司,Company,company,,,,,,
        unit,HUA_BEI,华北大区,North,region,HQ,11|12|13,,,,
        position,HQ-DIR,,,,,,营销总监,HQ,headquarters,
        position,HB-MGR,,,,,,华北大区经理,HUA_BEI,manager,HQ-DIR
        position,HB-M1,,,,,,理货员,HUA_BEI,merchandiser,HB-MGR
        position,HB-R1,,,,,,业务代表,HUA_BEI,representative,HB-MGR
    """,
    "people" to """
        code,name,position
        R001,李强,HB-MGR
        M001,王芳,HB-M1
        S001,赵敏,HB-R1
    """,
    "outlets" to """
        code,name,channel,city,province_code,longitude,latitude
        BJ-1,北京银泰店,chain,北京市,11,116.459086,39.907636
        BJ-2,北京望京店,hypermarket,北京市,11,116.470000,39.990000
        BJ-3,北京通州店,hypermarket,北京市,11,116.656000,39.909000
    """,
    "products" to """
        gtin,name,category,spec,unit,retail_price_cny,units_per_case
        6901234567892,纯牛奶,食品,250ml,盒,3.50,24
    """,
    "assignments" to """
        outlet,position,from
        BJ-1,HB-M1,$YESTERDAY
        BJ-2,HB-M1,$YESTERDAY
        BJ-3,HB-R1,$YESTERDAY
    """,
    "routes" to """
        person,day,outlet,order,purpose,must
        M001,$TODAY,BJ-2,1,盘点,yes
        M001,$TODAY,BJ-1,2,,
    """,
)

/** `xundian-server serve` on a folder of its own. */
class Server : AutoCloseable {
    private val program: String = checkNotNull(System.getProperty("xundian.server")) {
        "the system property xundian.server names the server's program, such as target/debug/xundian-server"
    }
    private val folder = createTempDirectory("xundian-server")
    val data: Path = folder / "company"
    private val quicPort = DatagramSocket(0, InetAddress.getLoopbackAddress()).use { it.localPort }
    private val httpPort = ServerSocket(0, 1, InetAddress.getLoopbackAddress()).use { it.localPort }
    private var process: Process

    init {
        FILES.forEach { (kind, rows) -> import(kind, rows) }
        process = serve()
    }

    /** Runs a command on the company, and returns its output. */
    fun run(vararg arguments: String): String {
        val output = File.createTempFile("output", ".txt", folder.toFile())
        val running = ProcessBuilder(program, "--data", data.toString(), *arguments)
            .redirectErrorStream(true).redirectOutput(output).start()
        assertEquals(0, running.waitFor()) { output.readText() }
        return output.readText()
    }

    fun import(kind: String, rows: String) {
        val file = folder / "$kind.csv"
        file.writeText(rows.trimIndent() + "\n")
        run("import", kind, file.toString())
    }

    fun invitation(person: String, address: String = "127.0.0.1:$quicPort"): String =
        checkNotNull(Regex("xd1-\\S+").find(run("invite", person, "--address", address))).value

    /** Runs a block while the server's process is stopped, so that it does not answer. */
    suspend fun silent(block: suspend () -> Unit) {
        signal("STOP")
        try {
            block()
        } finally {
            signal("CONT")
        }
    }

    /** Runs a block while the server is shut down: nothing listens at its address, and its folder is free. */
    suspend fun stopped(block: suspend (data: Path) -> Unit) {
        process.destroy()
        process.waitFor()
        try {
            block(data)
        } finally {
            process = serve()
        }
    }

    /** Runs a block while this server listens at the address of another one, which must be shut down. */
    suspend fun inPlaceOf(other: Server, block: suspend () -> Unit) = stopped {
        val standIn = serve(other.quicPort)
        try {
            block()
        } finally {
            standIn.destroy()
            standIn.waitFor()
        }
    }

    override fun close() {
        process.destroyForcibly().waitFor()
        folder.toFile().deleteRecursively()
    }

    private fun signal(name: String) {
        check(ProcessBuilder("kill", "-$name", "${process.pid()}").start().waitFor() == 0)
    }

    /** Starts the server, and waits until its console listens, which comes last. */
    private fun serve(port: Int = quicPort): Process {
        val log = (folder / "server.log").toFile()
        val arguments = listOf("serve", "--quic", "127.0.0.1:$port", "--http", "127.0.0.1:$httpPort")
        val serving = ProcessBuilder(listOf(program, "--data", data.toString()) + arguments)
            .redirectErrorStream(true).redirectOutput(log).start()
        val begun = TimeSource.Monotonic.markNow()
        while (true) {
            check(begun.elapsedNow() < STUCK_AFTER) { "the server does not start: ${log.readText()}" }
            check(serving.isAlive) { "the server exited at once: ${log.readText()}" }
            val listens = runCatching { Socket().use { it.connect(InetSocketAddress("127.0.0.1", httpPort)) } }
            if (listens.isSuccess) return serving
            serving.waitFor(10, TimeUnit.MILLISECONDS)
        }
    }
}

/** The devices of one test, in a folder of their own. */
class Phones(private val server: Server) : AutoCloseable {
    val folder: Path = createTempDirectory("xundian-phones")
    private val opened = mutableListOf<Client>()

    fun open(name: String = "phone", key: ByteArray? = null): Client =
        Client.open((folder / name).toString(), key).also(opened::add)

    /** The merchandiser's device, or another person's, enrolled and synced once. */
    suspend fun enrolled(name: String = "phone", person: String = "M001", key: ByteArray? = null): Client {
        val client = open(name, key)
        client.enrol(server.invitation(person), "$person's $name")
        client.sync()
        return client
    }

    override fun close() {
        opened.forEach(Client::close)
        folder.toFile().deleteRecursively()
    }
}

/** Gives each test the [Server] that all share, and [Phones] of its own. */
class Company : ParameterResolver {
    override fun supportsParameter(parameter: ParameterContext, context: ExtensionContext): Boolean =
        parameter.parameter.type in setOf(Server::class.java, Phones::class.java)

    override fun resolveParameter(parameter: ParameterContext, context: ExtensionContext): Any {
        val server = context.root.getStore(Namespace.GLOBAL).getOrComputeIfAbsent(Server::class.java)
        if (parameter.parameter.type == Server::class.java) return server
        return context.getStore(Namespace.GLOBAL)
            .getOrComputeIfAbsent(Phones::class.java, { Phones(server) }, Phones::class.java)
    }
}

/** Runs the body of a test that suspends, with a timeout. */
fun waiting(block: suspend CoroutineScope.() -> Unit): Unit =
    runBlocking(Dispatchers.Default) { withTimeout(STUCK_AFTER, block) }

/**
 * Waits until a change made on [then] wins over one already made on [first]: until the clock of [then], corrected by the
 * server offset that it measured, is past that of [first] and past the present moment.
 */
fun later(first: Client, then: Client): Unit = later(first.serverOffsetMs(), then.serverOffsetMs())

fun later(firstOffsetMs: Long, thenOffsetMs: Long) {
    val before = System.currentTimeMillis() + maxOf(0, firstOffsetMs)
    while (System.currentTimeMillis() + thenOffsetMs <= before) Thread.onSpinWait()
}

fun Client.serverOffsetMs(): Long = status().serverOffsetMs ?: 0
