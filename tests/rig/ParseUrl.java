import java.nio.charset.StandardCharsets;
import java.util.Properties;

/**
 * What PostgreSQL's JDBC driver takes from each URL of standard input, a line each: the URL, a tab,
 * and "HOST:PORT,HOST:PORT DATABASE USER" ("-" for what is not there) or "refused".
 */
public class ParseUrl {
    public static void main(String[] args) throws Exception {
        String urls = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        for (String url : urls.split("\n")) {
            System.out.println(url + "\t" + describe(org.postgresql.Driver.parseURL(url, null)));
        }
    }

    private static String describe(Properties found) {
        if (found == null) {
            return "refused";
        }
        String[] hosts = found.getProperty("PGHOST").split(",", -1);
        String[] ports = found.getProperty("PGPORT").split(",", -1);
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < hosts.length; i++) {
            String host = hosts[i].replace("[", "").replace("]", "");
            line.append(i == 0 ? "" : ",").append(host.isEmpty() ? "localhost" : host);
            line.append(':').append(ports[i]);
        }
        return line + " " + orNone(found, "PGDBNAME") + " " + orNone(found, "user");
    }

    private static String orNone(Properties found, String name) {
        String value = found.getProperty(name, "");
        return value.isEmpty() ? "-" : value;
    }
}
