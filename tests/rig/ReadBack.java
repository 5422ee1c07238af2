import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.function.BiFunction;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.util.Utils;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/**
 * Reads configuration files as the JVM's own readers do: {@code ReadBack READER:FILE...} writes one
 * JSON object to stdout, in ASCII, that holds every key and value of a file under its argument.
 *
 * <p>Readers: reader and latin1 (java.util.Properties over UTF-8 and over bytes), spark
 * (spark-defaults.conf), hadoop and raw (Configuration, with and without its expansion of
 * variables), dom (the JDK's XML parser on the same elements and attributes).
 */
final class ReadBack {
    private interface Reader {
        Map<String, String> read(File file) throws Exception;
    }

    private static final Map<String, Reader> READERS =
            Map.of(
                    "reader", ReadBack::reader,
                    "latin1", ReadBack::latin1,
                    "spark", ReadBack::spark,
                    "hadoop", file -> hadoop(file, Configuration::get),
                    "raw", file -> hadoop(file, Configuration::getRaw),
                    "dom", ReadBack::dom);

    private ReadBack() {}

    /** End with one line, which tells reader and file, for what cannot be read. */
    private static Map<String, String> read(String reader, File file) {
        try {
            return READERS.get(reader).read(file);
        } catch (Exception e) {
            System.err.println(reader + " cannot read " + file + ": " + e);
            System.exit(1);
            return null;
        }
    }

    private static Map<String, String> reader(File file) throws IOException {
        Properties properties = new Properties();
        try (BufferedReader in = Files.newBufferedReader(file.toPath())) {
            properties.load(in);
        }
        return mapOf(properties);
    }

    private static Map<String, String> latin1(File file) throws IOException {
        Properties properties = new Properties();
        try (InputStream in = Files.newInputStream(file.toPath())) {
            properties.load(in);
        }
        return mapOf(properties);
    }

    private static Map<String, String> mapOf(Properties properties) {
        Map<String, String> pairs = new LinkedHashMap<>();
        properties.forEach((key, value) -> pairs.put((String) key, (String) value));
        return pairs;
    }

    private static Map<String, String> spark(File file) {
        Map<String, String> pairs = new LinkedHashMap<>();
        scala.collection.Iterator<scala.Tuple2<String, String>> all =
                Utils.getPropertiesFromFile(file.getPath()).iterator();
        while (all.hasNext()) {
            scala.Tuple2<String, String> pair = all.next();
            pairs.put(pair._1(), pair._2());
        }
        return pairs;
    }

    private static Map<String, String> hadoop(
            File file, BiFunction<Configuration, String, String> get) {
        Configuration configuration = new Configuration(false);
        Map<String, String> pairs = new LinkedHashMap<>();
        configuration.addResource(new Path(file.toURI()));
        for (Map.Entry<String, String> pair : configuration) {
            pairs.put(pair.getKey(), get.apply(configuration, pair.getKey()));
        }
        return pairs;
    }

    private static Map<String, String> dom(File file) throws Exception {
        Map<String, String> pairs = new LinkedHashMap<>();
        NodeList properties =
                DocumentBuilderFactory.newDefaultInstance()
                        .newDocumentBuilder()
                        .parse(file)
                        .getElementsByTagName("property");
        for (int i = 0; i < properties.getLength(); i++) {
            Element property = (Element) properties.item(i);
            if (pairs.put(field(property, "name"), field(property, "value")) != null) {
                throw new IOException(file + ": " + field(property, "name") + " is there twice");
            }
        }
        return pairs;
    }

    /** The attribute, or else the text of the one element of that name. */
    private static String field(Element property, String name) {
        return property.hasAttribute(name)
                ? property.getAttribute(name)
                : property.getElementsByTagName(name).item(0).getTextContent();
    }

    private static void write(Writer out, String text) throws IOException {
        out.write('"');
        for (char c : text.toCharArray()) {
            if (c >= ' ' && c < 0x7F && c != '"' && c != '\\') {
                out.write(c);
            } else {
                out.write("\\u" + HexFormat.of().toHexDigits(c));
            }
        }
        out.write('"');
    }

    private static void write(Writer out, Map<String, String> pairs) throws IOException {
        String comma = "{\n";
        for (Map.Entry<String, String> pair : pairs.entrySet()) {
            out.write(comma);
            write(out, pair.getKey());
            out.write(": ");
            write(out, pair.getValue());
            comma = ",\n";
        }
        out.write(pairs.isEmpty() ? "{}" : "}");
    }

    public static void main(String[] args) throws Exception {
        try (Writer out =
                new BufferedWriter(
                        new OutputStreamWriter(System.out, StandardCharsets.US_ASCII), 1 << 16)) {
            String comma = "{\n";
            for (String arg : args) {
                String[] parts = arg.split(":", 2);
                out.write(comma);
                write(out, arg);
                out.write(": ");
                write(out, read(parts[0], new File(parts[1])));
                comma = ",\n";
            }
            out.write("}\n");
        }
    }
}
