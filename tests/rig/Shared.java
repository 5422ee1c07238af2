import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Collectors;

/** Says of its own JVM what a class-data archive could change, a line each. */
public final class Shared {
    private static String resource(String name) {
        var url = Shared.class.getClassLoader().getResource(name);
        return url == null ? "none" : url.toString();
    }

    public static void main(String[] args) throws Exception {
        var mapped = Files.lines(Path.of("/proc/self/maps")).filter(
            line -> line.endsWith("/archive/classes.jsa")).collect(Collectors.toList());
        System.out.println("mapped " + !mapped.isEmpty());
        // JVMs lay an archive out for 32 GB, newer ones for a little more.
        System.out.println("in_place " + mapped.stream().anyMatch(
            line -> line.matches("80[01][0-9a-f]{6}-.*")));
        System.out.println("java.home " + System.getProperty("java.home"));
        System.out.println("JAVA_HOME " + System.getenv("JAVA_HOME"));
        System.out.println("ours " + System.getenv().keySet().stream()
            .filter(name -> name.startsWith("SPARKPOD_")).count());
        System.out.println("arguments " + Arrays.asList(args));
        System.out.println("path " + System.getProperty("java.class.path"));
        System.out.println("conf " + resource("hive-site.xml"));
        System.out.println("both " + resource("both.properties"));
    }
}
