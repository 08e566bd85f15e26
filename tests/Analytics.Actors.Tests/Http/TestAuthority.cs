using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Analytics.Actors.Tests.Http;

/// <summary>A certificate authority of a test's own, which writes PEM files into a folder.</summary>
internal sealed class TestAuthority : IDisposable
{
    private const string ServerUse = "1.3.6.1.5.5.7.3.1";
    private const string ClientUse = "1.3.6.1.5.5.7.3.2";

    private readonly string folder;
    private readonly X509Certificate2 own;

    public TestAuthority(string folder, string name = "ca")
    {
        this.folder = folder;
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        own = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
        Pem = Path.Combine(folder, $"{name}.pem");
        File.WriteAllText(Pem, own.ExportCertificatePem());
    }

    public string Pem { get; }

    /// <summary>A server's certificate for 127.0.0.1: its files.</summary>
    public (string Certificate, string Key) Server() => Write("server", Issue("CN=node", ServerUse));

    /// <summary>A client's certificate: its files.</summary>
    public (string Certificate, string Key) ClientFiles(string name) => Write($"client-{name}", Client(name));

    /// <param name="hours">For how long it is valid; a negative number: it has ended so long ago.</param>
    public X509Certificate2 Client(string name, double hours = 1) => Issue($"CN={name}, O=test", ClientUse, hours);

    /// <summary>A client that believes servers of this authority.</summary>
    public HttpClient Http(X509Certificate2? client = null)
    {
        var handler = new SocketsHttpHandler();
        handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        handler.SslOptions.CertificateChainPolicy.CustomTrustStore.Add(own);
        // Offered whatever the server says of the authorities that it believes: a test of a wrong one needs it sent.
        if (client is not null) handler.SslOptions.LocalCertificateSelectionCallback = (_, _, _, _, _) => client;
        return new HttpClient(handler);
    }

    public X509Certificate2 ServerAsClient() => Issue("CN=steerer, O=test", ServerUse);

    public void Dispose() => own.Dispose();

    private X509Certificate2 Issue(string subject, string use, double hours = 1)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(use)], false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        var until = DateTimeOffset.UtcNow.AddHours(hours);
        using var issued = request.Create(own, until.AddMinutes(-90) < own.NotBefore ? own.NotBefore : until.AddMinutes(-90), until > own.NotAfter ? own.NotAfter : until, RandomNumberGenerator.GetBytes(8));
        using var whole = issued.CopyWithPrivateKey(key);
        // With a key that outlives this method.
        return X509CertificateLoader.LoadPkcs12(whole.Export(X509ContentType.Pkcs12), null);
    }

    private (string, string) Write(string name, X509Certificate2 certificate)
    {
        using (certificate)
        {
            var files = (Path.Combine(folder, $"{name}.pem"), Path.Combine(folder, $"{name}.key"));
            File.WriteAllText(files.Item1, certificate.ExportCertificatePem());
            using var key = certificate.GetECDsaPrivateKey()!;
            File.WriteAllText(files.Item2, key.ExportPkcs8PrivateKeyPem());
            return files;
        }
    }
}
