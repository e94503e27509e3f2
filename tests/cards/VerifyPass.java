import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import sun.security.pkcs.PKCS7;
import sun.security.pkcs.SignerInfo;

/** Verifies a detached PKCS #7 signature with the JDK: SIGNATURE MANIFEST AUTHORITY. Exit code 1 when it does not hold. */
class VerifyPass {
    public static void main(String[] names) throws Exception {
        PKCS7 signature = new PKCS7(Files.readAllBytes(Path.of(names[0])));
        SignerInfo[] signers = signature.verify(Files.readAllBytes(Path.of(names[1])));
        if (signers == null || signers.length != 1) {
            System.exit(1);
        }
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        try (var stream = Files.newInputStream(Path.of(names[2]))) {
            X509Certificate authority = (X509Certificate) factory.generateCertificate(stream);
            X509Certificate leaf = signers[0].getCertificate(signature);
            leaf.checkValidity();
            leaf.verify(authority.getPublicKey());
        }
    }
}
