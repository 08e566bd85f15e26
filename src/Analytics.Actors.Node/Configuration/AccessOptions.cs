using System.Net;
using System.Security.Cryptography;
using System.Text;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Configuration;

/// <summary>What somebody may do: look, or look and give orders.</summary>
public enum Right
{
    Read = 1,
    Steer = 2,
}

/// <summary>A token that the API knows. It keeps the token's hash alone, so that nothing can print it.</summary>
/// <param name="Name">Under which its orders are recorded.</param>
/// <param name="Hash">SHA-256 of the token's bytes.</param>
public sealed record AccessToken(string Name, Right Right, ReadOnlyMemory<byte> Hash)
{
    public static AccessToken Of(string name, Right right, string token) => new(name, right, HashOf(token));

    public static byte[] HashOf(string token) => SHA256.HashData(Encoding.UTF8.GetBytes(token));
}

/// <summary>A text that is never printed.</summary>
public sealed class SecretText(string text)
{
    public string Reveal() => text;

    public override string ToString() => Secrets.Masked;
}

/// <summary>The certificates of <c>http.tls</c>, as PEM files; both listeners use them.</summary>
/// <param name="Certificate">The node's certificate, with intermediate ones behind it.</param>
/// <param name="ClientCa">Whose client certificates are believed; null: none is asked for.</param>
/// <param name="Clients">Rights by the common name of a client's certificate.</param>
public sealed record TlsOptions(string Certificate, string Key, string? ClientCa, IReadOnlyDictionary<string, Right> Clients);

/// <summary>
/// Who may ask a node what. Without tokens and client certificates everybody who reaches it may do everything, so it then
/// listens on loopback alone.
/// </summary>
public sealed record AccessOptions
{
    public static readonly AccessOptions None = new();

    public IReadOnlyList<AccessToken> Tokens { get; init; } = [];
    public TlsOptions? Tls { get; init; }

    /// <summary>/metrics asks for nothing, wherever it listens.</summary>
    public bool IsMetricsOpen { get; init; }

    /// <summary>With which the nodes of the cluster ask each other; null: they ask without one.</summary>
    public SecretText? ClusterToken { get; init; }

    /// <summary>PEM file of the authority that the other nodes' certificates come from; null: those that the system trusts.</summary>
    public string? ClusterCa { get; init; }

    /// <summary>Nobody can be told from anybody else.</summary>
    public bool IsOpen => Tokens.Count == 0 && ClusterToken is null && Tls?.ClientCa is null;

    /// <summary>Why a listener may not be there; null where it may.</summary>
    public string? WhyNotAt(string host, bool isOpenOnPurpose) =>
        !IsOpen || isOpenOnPurpose || IsLoopback(host)
            ? null
            : "beyond loopback whoever asks must be known: set \"http.tokens\", such as [{\"name\": \"ops\", \"tokenFile\": \"/etc/analytics/ops.token\", \"rights\": \"steer\"}], or \"http.tls\" with \"clientCa\" and \"clients\"; 127.0.0.1 needs neither";

    public static bool IsLoopback(string host) => host == "localhost" || (IPAddress.TryParse(host, out var address) && IPAddress.IsLoopback(address));

    internal static AccessOptions Read(ConfigurationObject http, ConfigurationObject metrics, ConfigurationObject cluster)
    {
        var options = new AccessOptions
        {
            Tokens = ReadTokens(http),
            Tls = http.Find("tls")?.Section() is { } tls ? ReadTls(tls) : null,
            IsMetricsOpen = metrics.Find("open")?.Flag() ?? false,
            ClusterToken = ReadToken(cluster) is { } token ? new SecretText(token) : null,
            ClusterCa = cluster.Find("ca")?.Text("the path of a PEM file", lengthMax: 4096),
        };
        cluster.Close();
        if (HostOf(http) is { } api && options.WhyNotAt(api.Shown, false) is { } notThere) api.Refuse(notThere);
        if (HostOf(metrics) is { } scraped && options.WhyNotAt(scraped.Shown, options.IsMetricsOpen) is { } notOpen)
            scraped.Refuse($"{notOpen}; or \"metrics.open\": true, if whoever reaches the port may read the metrics");
        return options;

        // One that is no address has been refused already.
        static ConfigurationValue? HostOf(ConfigurationObject section) =>
            section.Find("host") is { } host && host.TryString(out var text) && IPAddress.TryParse(text, out _) ? host : null;
    }

    internal IEnumerable<(string Path, string Value)> Describe()
    {
        if (Tokens.Count > 0) yield return ("http.tokens", Secrets.Masked);
        if (Tls is not null)
        {
            yield return ("http.tls.certificate", Tls.Certificate);
            yield return ("http.tls.key", Tls.Key);
            if (Tls.ClientCa is not null) yield return ("http.tls.clientCa", Tls.ClientCa);
            foreach (var (name, right) in Tls.Clients) yield return ($"http.tls.clients.{name}", Name(right));
        }

        yield return ("metrics.open", IsMetricsOpen ? "true" : "false");
        if (ClusterToken is not null) yield return ("cluster.token", Secrets.Masked);
        if (ClusterCa is not null) yield return ("cluster.ca", ClusterCa);
    }

    public static string Name(Right right) => right == Right.Steer ? "steer" : "read";

    private static List<AccessToken> ReadTokens(ConfigurationObject http)
    {
        List<AccessToken> tokens = [];
        foreach (var entry in http.Find("tokens")?.List("a list of tokens, [{\"name\": NAME, \"token\" or \"tokenFile\": TOKEN, \"rights\": \"read\" or \"steer\"}]") ?? [])
        {
            if (entry.Section() is not { } section) continue;
            var name = section.Find("name");
            if (name is null) section.Missing("name", "must be the name under which orders are recorded");
            var rights = section.Find("rights");
            if (rights is null) section.Missing("rights", "must be \"read\" or \"steer\"");
            if (!section.Has("token") && !section.Has("tokenFile")) section.Missing("token", $"must be {TokenForm} (or \"tokenFile\": a file that holds it)");
            var token = ReadToken(section);
            section.Close();
            if (name?.Text("a name", lengthMax: 100) is not { } called || ReadRight(rights) is not { } right || token is null) continue;
            var made = AccessToken.Of(called, right, token);
            if (called.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('.' or '-' or '_'))) name.Refuse("must be letters, digits, dots, hyphens and underscores");
            else if (tokens.Any(other => other.Name == called)) name.Refuse("stands twice; names are what orders are recorded under");
            else if (tokens.Any(other => other.Hash.Span.SequenceEqual(made.Hash.Span))) entry.Refuse("has the token of another name; make one for each");
            else tokens.Add(made);
        }

        return tokens;
    }

    internal const string TokenForm = "16 to 500 letters, digits and -._~+/= (openssl rand -hex 32)";

    /// <summary>The token of a section, from <c>token</c> or the file that <c>tokenFile</c> names; null where there is none.</summary>
    private static string? ReadToken(ConfigurationObject section)
    {
        var given = section.Find("token");
        var file = section.Find("tokenFile");
        if (given is not null && file is not null)
        {
            file.Refuse("must not stand beside \"token\"; remove one of them");
            return null;
        }

        if (given is not null)
        {
            if (given.TryString(out var text) && IsToken(text)) return text;
            given.Refuse($"must be {TokenForm}");
        }
        else if (file?.Text("the path of a file", lengthMax: 4096) is { } path)
        {
            try
            {
                var text = new FileInfo(path) is { Length: > 4096 } ? "" : File.ReadAllText(path).Trim();
                if (IsToken(text)) return text;
                file.Refuse($"the file {path} must hold {TokenForm}");
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
            {
                file.Refuse($"the file {path} cannot be read: {failure.Message}");
            }
        }

        return null;
    }

    internal static bool IsToken(string text) => text.Length is >= 16 and <= 500 && text.All(c => char.IsAsciiLetterOrDigit(c) || "-._~+/=".Contains(c, StringComparison.Ordinal));

    private static TlsOptions? ReadTls(ConfigurationObject tls)
    {
        var certificate = Required("certificate", "the PEM file of the node's certificate");
        var key = Required("key", "the PEM file of the certificate's key");
        var clientCa = tls.Find("clientCa")?.Text("the PEM file of the authority that client certificates come from", lengthMax: 4096);
        var clients = new OrderedDictionary<string, Right>(StringComparer.Ordinal);
        foreach (var (name, value) in tls.Section("clients").Entries())
        {
            if (ReadRight(value) is { } right) clients[name] = right;
        }

        tls.Forbid("clients", clientCa is null, "has no meaning without \"clientCa\"");
        if (clientCa is not null && !tls.Section("clients").Entries().Any()) tls.Missing("clients", "must give rights to common names of certificates, such as {\"ops\": \"steer\"}");
        tls.Close();
        return certificate is null || key is null ? null : new TlsOptions(certificate, key, clientCa, clients);

        string? Required(string name, string what)
        {
            if (tls.Find(name) is { } value) return value.Text(what, lengthMax: 4096);
            tls.Missing(name, $"must be {what}");
            return null;
        }
    }

    private static Right? ReadRight(ConfigurationValue? value) => value?.Choice(("read", Right.Read), ("steer", Right.Steer));
}
