// What Liquibase's command line does, by its library:
// java Migrate URL USER FOLDER CHANGELOG init|update|rollback|status.
import java.nio.file.Path;
import java.sql.DriverManager;
import liquibase.Contexts;
import liquibase.LabelExpression;
import liquibase.Liquibase;
import liquibase.Scope;
import liquibase.changelog.ChangeLogHistoryServiceFactory;
import liquibase.database.Database;
import liquibase.database.DatabaseFactory;
import liquibase.database.jvm.JdbcConnection;
import liquibase.resource.DirectoryResourceAccessor;

public class Migrate {
  public static void main(String[] arguments) throws Exception {
    try (var connection = DriverManager.getConnection(arguments[0], arguments[1], "")) {
      Database database =
          DatabaseFactory.getInstance().findCorrectDatabaseImplementation(new JdbcConnection(connection));
      var files = new DirectoryResourceAccessor(Path.of(arguments[2]));
      if (arguments[4].equals("init")) {
        Scope.getCurrentScope()
            .getSingleton(ChangeLogHistoryServiceFactory.class)
            .getChangeLogService(database)
            .init();
        database.commit();
        return;
      }
      var liquibase = new Liquibase(arguments[3], files, database);
      var contexts = new Contexts();
      var labels = new LabelExpression();
      int unrun = liquibase.listUnrunChangeSets(contexts, labels).size();
      int all = liquibase.getDatabaseChangeLog().getChangeSets().size();
      switch (arguments[4]) {
        case "update" -> liquibase.update(contexts, labels);
        case "rollback" -> liquibase.rollback(all, null, contexts, labels);
        case "status" -> System.out.println("unrun " + unrun + " of " + all);
        default -> throw new IllegalArgumentException(arguments[4]);
      }
    }
  }
}
