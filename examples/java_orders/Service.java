// A service that takes part in a rollout at level 1 (docs/PARTICIPATE.md): one boolean flag, asked through its
// OpenFeature SDK once per unit of work, decides which side of the change the unit reads and writes.
//
// POUNDLOCK_URL names the server, PGHOST and its like the database, FIRST_ID the first of the 500 rows that
// this service owns, STATS_FILE where it says once a second how it fares. SIGTERM ends it.

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.openfeature.contrib.providers.ofrep.OfrepProvider;
import dev.openfeature.contrib.providers.ofrep.OfrepProviderOptions;
import dev.openfeature.sdk.Client;
import dev.openfeature.sdk.ImmutableContext;
import dev.openfeature.sdk.OpenFeatureAPI;
import dev.openfeature.sdk.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

final class Service {
    private static final String FLAG = "schema_v2_migration";

    private final Client flags;
    private final Connection database;
    private final int firstId;
    private final Map<Integer, String> written = new HashMap<>();
    private final Map<String, Object> stats = new TreeMap<>();
    private final CountDownLatch asked = new CountDownLatch(1);
    private final CountDownLatch ended = new CountDownLatch(1);

    private Service(Client flags, Connection database, int firstId) {
        this.flags = flags;
        this.database = database;
        this.firstId = firstId;
        for (String name : new String[] {"reads_legacy", "reads_new", "writes_legacy", "writes_new", "errors", "lost"}) {
            stats.put(name, 0);
        }
    }

    private void count(String name) {
        stats.merge(name, 1, (before, one) -> (Integer) before + (Integer) one);
    }

    private void unitOfWork(int turn) throws SQLException {
        final int row = firstId + ThreadLocalRandom.current().nextInt(500);
        // The key is the owner of the row, never the request: one owner stays on one side.
        final var context = new ImmutableContext(
                "order-" + row, Map.of("context", new Value(turn % 10 == 0 ? "internal" : "public")));
        final boolean isNew = flags.getBooleanValue(FLAG, false, context);
        final String column = isNew ? "new_status" : "legacy_status";
        final String side = isNew ? "new" : "legacy";
        if (turn % 5 == 0) {
            final String status = String.format("st_%03d", turn % 1000);
            try (var update = database.prepareStatement("UPDATE orders SET " + column + " = ? WHERE id = ?")) {
                update.setString(1, status);
                update.setInt(2, row);
                update.executeUpdate();
            }
            written.put(row, status);
            count("writes_" + side);
            return;
        }
        try (var select = database.prepareStatement("SELECT id, " + column + " AS status FROM orders WHERE id = ?")) {
            select.setInt(1, row);
            try (var rows = select.executeQuery()) {
                rows.next();
                count("reads_" + side);
                // Only this worker writes these rows: what it wrote it has to read, on either side.
                if (written.containsKey(row) && !written.get(row).equals(rows.getString("status"))) count("lost");
            }
        }
    }

    private void saveStats() throws IOException {
        final Path file = Path.of(System.getenv("STATS_FILE"));
        final Path fresh = Path.of(file + ".new");
        Files.writeString(fresh, new ObjectMapper().writeValueAsString(stats));
        Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private void run() throws Exception {
        long saved = 0;
        for (int turn = 1; !asked.await(2, TimeUnit.MILLISECONDS); ++turn) {
            try {
                unitOfWork(turn);
            } catch (Exception failure) {  // what a user would see
                count("errors");
                stats.put("last_error", failure.toString());
            }
            if (System.nanoTime() - saved > 1_000_000_000L || saved == 0) {
                saved = System.nanoTime();
                saveStats();
            }
        }
        saveStats();
        ended.countDown();
    }

    private void stop() {
        asked.countDown();
        try {
            ended.await(5, TimeUnit.SECONDS);
        } catch (InterruptedException ignored) {
            Thread.currentThread().interrupt();
        }
    }

    public static void main(String[] arguments) throws Exception {
        // A domain of its own: whatever provider the rest of the application uses stays as it is.
        final OpenFeatureAPI api = OpenFeatureAPI.getInstance();
        api.setProviderAndWait("schema", OfrepProvider.constructProvider(OfrepProviderOptions.builder()
                .baseUrl(System.getenv("POUNDLOCK_URL"))
                .requestTimeout(Duration.ofMillis(500))
                .build()));
        final Connection database = DriverManager.getConnection(
                "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
                        + System.getenv("PGDATABASE"),
                System.getenv("PGUSER"), System.getenv().getOrDefault("PGPASSWORD", ""));
        final String firstId = System.getenv().getOrDefault("FIRST_ID", "1");
        final var service = new Service(api.getClient("schema"), database, Integer.parseInt(firstId));
        Runtime.getRuntime().addShutdownHook(new Thread(service::stop));
        service.run();
    }
}
