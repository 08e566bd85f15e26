using System.Text.Json;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Configuration;

/// <summary>
/// What a node does. A cluster needs at least one router and one node with shards; each may have as many as it likes.
/// </summary>
/// <param name="Router">Takes source records apart and sends the parts to shards.</param>
/// <param name="Shard">Owns shards: stations, module calls, batches.</param>
/// <param name="Api">Answers for the whole cluster, with the dashboard; without it only health, metrics and what other nodes ask.</param>
public sealed record NodeRoles(bool Router, bool Shard, bool Api)
{
    public static readonly NodeRoles All = new(true, true, true);

    private static readonly string[] Known = ["router", "shard", "api"];

    public IReadOnlyList<string> Names => [.. new[] { (Router, Known[0]), (Shard, Known[1]), (Api, Known[2]) }.Where(role => role.Item1).Select(role => role.Item2)];

    internal static NodeRoles Read(ConfigurationValue? value)
    {
        if (value is null) return All;
        // A list in the file; from outside the same, joined by commas.
        List<string> names;
        if (value.Kind == JsonValueKind.Array) names = [.. value.Texts("role").Select(entry => entry.Text)];
        else if (value.TryString(out var text)) names = [.. text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)];
        else names = [];
        if (names.Count > 0 && names.All(Known.Contains)) return new NodeRoles(names.Contains(Known[0]), names.Contains(Known[1]), names.Contains(Known[2]));
        value.Refuse($"must be a list of roles, each {ConfigurationValue.Alternatives(Known)}");
        return All;
    }

    /// <summary>An address as others reach this node's API: host, host:port or http://host:port (https too); null (and a problem) for another text.</summary>
    internal static string? ReadAddress(ConfigurationValue? value)
    {
        const string Form = "where other nodes reach this one's API: HOST, HOST:PORT or http://HOST:PORT";
        if (value?.Text(Form) is not { } text) return null;
        var hasScheme = text.Contains("://", StringComparison.Ordinal);
        if (Uri.TryCreate(hasScheme ? text : $"http://{text}", UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https"
            && uri!.Host.Length > 0 && uri.PathAndQuery == "/" && uri.UserInfo.Length == 0 && uri.Fragment.Length == 0) return text;
        value.Refuse($"must be {Form}");
        return null;
    }

    /// <summary>
    /// The address that a node tells the others: what is advertised, completed by what it listens on; without one the listener's
    /// own, by the machine's name where it listens on all of its addresses.
    /// </summary>
    /// <param name="listening">Where the API listens, such as http://127.0.0.1:8000; null while it does not.</param>
    public static string AddressOf(string? advertised, Uri? listening)
    {
        if (advertised is null)
        {
            if (listening is null) return "";
            var everywhere = listening.Host is "0.0.0.0" or "[::]" or "::";
            return new UriBuilder(listening.Scheme, everywhere ? Environment.MachineName : listening.Host, listening.Port).Uri.GetLeftPart(UriPartial.Authority);
        }

        var hasScheme = advertised.Contains("://", StringComparison.Ordinal);
        var given = new Uri(hasScheme ? advertised : $"http://{advertised}");
        var scheme = hasScheme ? given.Scheme : listening?.Scheme ?? "http";
        // The scheme's own port cannot be told from none: what was written counts.
        var hasPort = advertised.TrimEnd('/').EndsWith($":{given.Port}", StringComparison.Ordinal);
        return $"{scheme}://{given.Host}:{(hasPort || listening is null ? given.Port : listening.Port)}";
    }
}
