import org.apache.spark.SecurityManager;
import org.apache.spark.SparkConf;
import org.apache.spark.rpc.RpcEnv;
import org.apache.spark.scheduler.cluster.CoarseGrainedClusterMessages.RetrieveSparkAppConfig;
import org.apache.spark.scheduler.cluster.CoarseGrainedClusterMessages.SparkAppConfig;
import scala.Option;
import scala.Tuple2;
import scala.collection.Iterator;
import scala.reflect.ClassTag;

/**
 * What a driver hands to whoever asks on its RPC port (HOST:PORT) as a new executor does, with no
 * secret: a line for each key and value, or "refused: " and why.
 */
public class AskDriver {
    public static void main(String[] args) {
        SparkConf conf = new SparkConf(false)
            .set("spark.network.timeout", "10s").set("spark.executor.heartbeatInterval", "5s");
        SecurityManager security = new SecurityManager(conf, Option.empty(), null);
        RpcEnv rpc = RpcEnv.create("asker", "localhost", -1, conf, security, true);
        try {
            Object given = rpc.setupEndpointRefByURI("spark://CoarseGrainedScheduler@" + args[0])
                .askSync(new RetrieveSparkAppConfig(0), ClassTag.apply(Object.class));
            Iterator<Tuple2<String, String>> each =
                ((SparkAppConfig) given).sparkProperties().iterator();
            while (each.hasNext()) {
                Tuple2<String, String> property = each.next();
                System.out.println(property._1() + "=" + property._2());
            }
        } catch (Exception refused) {
            Throwable cause = refused;
            while (cause.getCause() != null) {
                cause = cause.getCause();
            }
            System.out.println("refused: " + cause);
        }
        rpc.shutdown();
    }
}
