import java.util.concurrent.CountDownLatch;

/** A server whose main thread dies at its start while another thread keeps the JVM: what a Spark
 * driver on Kubernetes is once its metastore cannot be reached. */
public class Zombie {
    public static void main(String[] args) {
        new Thread(Zombie::stay, "stays-behind").start();
        throw new IllegalStateException("main dies here");
    }

    private static void stay() {
        try {
            new CountDownLatch(1).await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
