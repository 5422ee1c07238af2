import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;

/** A server whose main thread dies while another thread keeps the JVM: what a Spark driver on
 * Kubernetes is once its metastore cannot be reached. With PORT and FILE it serves first, until
 * the file is there. */
public class Zombie {
    public static void main(String[] args) throws Exception {
        new Thread(Zombie::stay, "stays-behind").start();
        if (args.length == 2) {
            serve(Integer.parseInt(args[0]), Path.of(args[1]));
        }
        throw new IllegalStateException("main dies here");
    }

    private static void serve(int port, Path file) throws Exception {
        try (ServerSocket socket = new ServerSocket(port)) {
            while (!Files.exists(file)) {
                Thread.sleep(50);
            }
        }
    }

    private static void stay() {
        try {
            new CountDownLatch(1).await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
