import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** URL SESSIONS STATEMENTS BYTES: open sessions, run statements of that length one after the other,
 * then a query in every session at once. A line on standard output ends each step, one on standard
 * input begins the next. The last step takes 15 s, and its line is how many queries were refused. */
public class Sessions {
    public static void main(String[] args) throws Exception {
        List<Connection> open = new ArrayList<>();
        String filler = "x".repeat(Integer.parseInt(args[3]));
        for (int i = 0; i < Integer.parseInt(args[1]); i++) {
            open.add(DriverManager.getConnection(args[0], "user" + i, ""));
        }
        System.out.println("sessions");
        System.in.read();
        try (Statement statement = open.get(0).createStatement()) {
            for (int i = 0; i < Integer.parseInt(args[2]); i++) {
                statement.execute("SET key=" + i + filler);
            }
        }
        System.out.println("statements");
        System.in.read();
        AtomicInteger refused = new AtomicInteger();
        for (Connection session : open) {
            new Thread(() -> query(session, refused)).start();
        }
        Thread.sleep(15000);
        System.out.println(refused);
        System.in.read();
        Runtime.getRuntime().halt(0);
    }

    private static void query(Connection session, AtomicInteger refused) {
        try (Statement statement = session.createStatement()) {
            statement.execute("SELECT count(*) FROM range(1000)");
        } catch (SQLException e) {
            refused.incrementAndGet();
        }
    }
}
