import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/** URL SESSIONS STATEMENTS BYTES: run statements of that length one after the other, then keep
 * sessions open; each line on standard input asks for the next step, which is said when done. */
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
        System.exit(0);
    }
}
