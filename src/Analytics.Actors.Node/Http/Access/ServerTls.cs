using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Analytics.Actors.Node.Configuration;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace Analytics.Actors.Node.Http.Access;

/// <summary>
/// The certificates that a node listens with, and whose clients it believes. Read once, at the start; a new certificate takes
/// a restart.
/// </summary>
internal sealed class ServerTls : IDisposable
{
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private readonly X509Certificate2 certificate;
    private readonly X509Certificate2Collection chain = [];
    private readonly X509Certificate2Collection? clientCas;

    /// <exception cref="EndpointUnavailableException">A file cannot be read, or is none of that kind; the message names the key.</exception>
    public ServerTls(TlsOptions options)
    {
        certificate = Read("http.tls.certificate", $"{options.Certificate} with {options.Key}", () => X509Certificate2.CreateFromPemFile(options.Certificate, options.Key));
        chain = Read("http.tls.certificate", options.Certificate, () => Import(options.Certificate));
        if (options.ClientCa is { } ca) clientCas = Authorities("http.tls.clientCa", ca);
    }

    public void Configure(HttpsConnectionAdapterOptions https)
    {
        https.ServerCertificate = certificate;
        https.ServerCertificateChain = chain;
        if (clientCas is null) return;
        // Not required: a token does as well. One that is shown must be good, or there is no connection.
        https.ClientCertificateMode = ClientCertificateMode.AllowCertificate;
        https.ClientCertificateValidation = (client, shown, _) => IsTrusted(client, shown, clientCas, ClientAuthentication);
    }

    /// <summary>Whether a certificate comes from one of these authorities, is valid now, and may be used for that.</summary>
    /// <param name="shown">The chain that was built of what the other side sent.</param>
    public static bool IsTrusted(X509Certificate2 certificate, X509Chain? shown, X509Certificate2Collection authorities, string purpose)
    {
        using var own = new X509Chain();
        own.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        own.ChainPolicy.CustomTrustStore.AddRange(authorities);
        own.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        own.ChainPolicy.ApplicationPolicy.Add(new Oid(purpose));
        own.ChainPolicy.DisableCertificateDownloads = true;
        if (shown is not null) own.ChainPolicy.ExtraStore.AddRange((X509Certificate2[])[.. shown.ChainElements.Select(element => element.Certificate), .. shown.ChainPolicy.ExtraStore]);
        return own.Build(certificate);
    }

    /// <summary>How a client checks servers whose certificates come from the authorities of a PEM file, beside their name.</summary>
    public static RemoteCertificateValidationCallback ServersOf(X509Certificate2Collection authorities) => (_, server, shown, errors) =>
        server is X509Certificate2 certificate
        && (errors & ~SslPolicyErrors.RemoteCertificateChainErrors) == SslPolicyErrors.None
        && IsTrusted(certificate, shown, authorities, "1.3.6.1.5.5.7.3.1");

    /// <exception cref="EndpointUnavailableException">The file cannot be used.</exception>
    public static X509Certificate2Collection Authorities(string key, string pem) => Read(key, pem, () => Import(pem));

    private static X509Certificate2Collection Import(string pem)
    {
        var certificates = new X509Certificate2Collection();
        certificates.ImportFromPemFile(pem);
        return certificates.Count > 0 ? certificates : throw new CryptographicException("there is no certificate in it");
    }

    public void Dispose()
    {
        certificate.Dispose();
        foreach (var other in chain) other.Dispose();
        foreach (var ca in clientCas ?? []) ca.Dispose();
    }

    private static T Read<T>(string key, string value, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception failure) when (failure is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new EndpointUnavailableException($"{key}: value \"{value}\": cannot be used: {failure.Message}; PEM files are wanted", failure);
        }
    }
}
