package xundian.client

import java.nio.file.Path
import kotlin.io.path.div
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.extension.ExtendWith
import org.junit.jupiter.api.parallel.Execution
import org.junit.jupiter.api.parallel.ExecutionMode

/** Failures between device and server: unreachable, revoked, restored and replaced ones. */
@ExtendWith(Company::class)
class TroubleTest {
    @Test
    fun `one sync runs at a time`(server: Server, phones: Phones) = waiting {
        val phone = phones.enrolled()
        server.silent {
            val first = async(start = CoroutineStart.UNDISPATCHED) { phone.sync() }
            assertTrue(fails(ErrorCode.SYNC_RUNNING) { phone.sync() }.isRetryable)
            first.cancelAndJoin()
        }
        phone.sync()
    }

    @Test
    fun `a revoked device`(server: Server, phones: Phones) = waiting {
        val phone = phones.enrolled()
        server.run("revoke", "${phone.identity()?.device}")
        assertFalse(fails(ErrorCode.DEVICE_REVOKED) { phone.sync() }.isRetryable)
    }

    @Test
    fun `a phone restored from a backup`(server: Server, phones: Phones) = waiting {
        phones.enrolled().close()
        val phone = phones.folder / "phone"
        phone.copyTo(phones.folder / "backup")
        phones.open().use { it.recordVisits(1); it.sync() }
        (phones.folder / "backup").copyTo(phone)
        val restored = phones.open()
        restored.recordVisits(1)
        fails(ErrorCode.DEVICE_RESTORED) { restored.sync() }
        restored.enrol(server.invitation("M001"), "restored phone")
        assertTrue(restored.sync().merged == 3uL)
    }

    @Test
    fun `a restored and a replaced server`(phones: Phones) = waiting {
        Server().use { server ->
            Phones(server).use { theirs ->
                val backup = theirs.folder / "backup"
                val phone = theirs.enrolled()
                server.stopped { it.copyTo(backup) }
                val newcomer = theirs.enrolled("newcomer")
                phone.recordVisits(1)
                phone.sync()
                server.stopped { backup.copyTo(it) }
                assertTrue(phone.sync().merged == 3uL, "the saves sent after the backup are sent again")
                fails(ErrorCode.DEVICE_UNKNOWN) { newcomer.sync() }
                newcomer.enrol(server.invitation("M001"), "newcomer")
                newcomer.sync()

                Server().use { other ->
                    server.stopped { other.inPlaceOf(server) { fails(ErrorCode.CONNECTION_REFUSED) { phone.sync() } } }
                    fails(ErrorCode.OTHER_PERSON) { phone.enrol(other.invitation("R001"), "phone") }
                }
            }
        }
    }

    /** Copies a folder, and replaces what was at the destination. */
    private fun Path.copyTo(other: Path) {
        other.toFile().deleteRecursively()
        check(toFile().copyRecursively(other.toFile()))
    }
}

/** No server. A device notices that only after ten seconds, so this test runs concurrently with the others. */
@ExtendWith(Company::class)
@Execution(ExecutionMode.CONCURRENT)
class NoServerTest {
    @Test
    fun `an unreachable server`(server: Server, phones: Phones) = waiting {
        val phone = phones.open()
        val noName = server.invitation("M001", address = "no-such-host.invalid:4433")
        assertTrue(fails(ErrorCode.SERVER_ADDRESS) { phone.enrol(noName, "phone") }.isRetryable)
        val nobody = server.invitation("M001", address = "127.0.0.1:9")
        assertTrue(fails(ErrorCode.CONNECTION) { phone.enrol(nobody, "phone") }.isRetryable)
    }
}
