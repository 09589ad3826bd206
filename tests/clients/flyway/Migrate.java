// What Flyway's command line does, by its library: java Migrate URL USER FOLDER baseline|migrate|validate.
import java.util.Map;
import org.flywaydb.core.Flyway;

public class Migrate {
  public static void main(String[] arguments) {
    Flyway flyway =
        Flyway.configure()
            .dataSource(arguments[0], arguments[1], "")
            .locations("filesystem:" + arguments[2])
            .baselineVersion("0")
            // Else Flyway's own lock is a transaction that CREATE INDEX CONCURRENTLY waits for, for ever.
            .configuration(Map.of("flyway.postgresql.transactional.lock", "false"))
            .load();
    switch (arguments[3]) {
      case "baseline" -> flyway.baseline();
      case "migrate" -> System.out.println("executed " + flyway.migrate().migrationsExecuted);
      case "validate" -> flyway.validate();
      default -> throw new IllegalArgumentException(arguments[3]);
    }
  }
}
