import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListener;

/** Stops the SparkContext it listens to (spark.extraListeners) once the file that
 * CONTEXT_STOPPER_FILE names is there, and keeps the JVM, as a client of Kubernetes does. */
public class ContextStopper extends SparkListener {
    public ContextStopper() {
        Thread thread = new Thread(ContextStopper::watch, "context-stopper");
        thread.start();
    }

    private static void watch() {
        Path file = Path.of(System.getenv("CONTEXT_STOPPER_FILE"));
        try {
            while (!Files.exists(file)) {
                Thread.sleep(50);
            }
            SparkContext.getOrCreate().stop();
            new CountDownLatch(1).await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
