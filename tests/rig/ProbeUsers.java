import javax.security.sasl.AuthenticationException;
import org.apache.hive.service.auth.PasswdAuthenticationProvider;

/** hive.server2.authentication=CUSTOM: one user; each attempt is a line on standard output. */
public class ProbeUsers implements PasswdAuthenticationProvider {
    @Override
    public void Authenticate(String user, String password) throws AuthenticationException {
        boolean good = user.equals("watcher") && password.equals(System.getenv("PROBE_PASSWD"));
        System.out.println("login of " + user + (good ? " accepted" : " refused"));
        if (!good) {
            throw new AuthenticationException("no such user");
        }
    }
}
