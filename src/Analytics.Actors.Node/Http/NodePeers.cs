using System.Net.Http.Headers;
using System.Net.Mime;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Http.Access;

namespace Analytics.Actors.Node.Http;

/// <summary>What one node said.</summary>
internal sealed record NodeAnswer(string Node, int Status, JsonNode Body);

/// <summary>What the cluster said to a question.</summary>
/// <param name="Answers">Of those that answered with 200, the asked node's own first.</param>
/// <param name="Silent">Nodes that should have answered and did not.</param>
internal sealed record Picture(IReadOnlyList<NodeAnswer> Answers, IReadOnlyList<NodeRow> Silent)
{
    /// <summary>Seconds since the last sign of the node that has been silent longest: so old may be what the store tells; null: none is.</summary>
    public double? LongestSilence => Silent.Count == 0 ? null : Silent.Max(row => row.AgeMs) / 1000.0;
}

/// <summary>
/// The other nodes of the cluster, as their rows in the store tell where they are. They are asked with the cluster's token, for
/// what they know themselves (<c>scope=node</c>), so a question is never passed on twice.
/// </summary>
internal sealed class NodePeers : IDisposable
{
    /// <summary>The whole picture waits no longer for anybody.</summary>
    public static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(2);

    /// <summary>A node that nobody has heard of for so long is not asked any more; it is told as silent at once.</summary>
    public const long AskedForMs = 60_000;

    private const long AnswerBytesMax = 64 * 1024 * 1024;

    private readonly string own;
    private readonly Func<IReadOnlyList<NodeRow>> rows;
    private readonly HttpClient http;

    /// <param name="own">The id of this node, which is not asked.</param>
    /// <param name="rows">All nodes, as they were last read.</param>
    /// <exception cref="EndpointUnavailableException">The authority's file cannot be used.</exception>
    public NodePeers(string own, AccessOptions access, Func<IReadOnlyList<NodeRow>> rows)
    {
        this.own = own;
        this.rows = rows;
        var handler = new SocketsHttpHandler
        {
            // The token is for the nodes themselves: it follows no redirection and goes through no proxy.
            AllowAutoRedirect = false,
            UseProxy = false,
            UseCookies = false,
            ConnectTimeout = AnswerLimit,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
        };
        if (access.ClusterCa is { } ca) handler.SslOptions.RemoteCertificateValidationCallback = ServerTls.ServersOf(ServerTls.Authorities("cluster.ca", ca));
        http = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan, MaxResponseContentBufferSize = AnswerBytesMax };
        if (access.ClusterToken is { } token) http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token.Reveal());
    }

    /// <summary>All nodes, as they were last read.</summary>
    public IReadOnlyList<NodeRow> Rows => rows();

    /// <summary>Asks every other node that should answer, side by side.</summary>
    /// <param name="path">Path and query, without scope.</param>
    /// <param name="isAnswer">What counts as an answer.</param>
    public async Task<(IReadOnlyList<NodeAnswer> Answers, IReadOnlyList<NodeRow> Silent)> AskAllAsync(string path, Func<NodeAnswer, bool> isAnswer, CancellationToken cancellation)
    {
        // A node without the role api has no address, and owes no answer; nor does one that has only begun to start.
        var others = Rows.Where(row => row.Entry.Node != own && row.Entry.Address.Length > 0 && row.Entry.State is NodeState.Starting or NodeState.Running or NodeState.Leaving).ToList();
        var answers = await Task.WhenAll(others.Select(row => row.AgeMs > AskedForMs ? Task.FromResult<NodeAnswer?>(null) : SendAsync(row, HttpMethod.Get, path, null, AnswerLimit, cancellation))).ConfigureAwait(false);
        return (answers.OfType<NodeAnswer>().Where(isAnswer).ToList(), others.Where((row, index) => !(answers[index] is { } said && isAnswer(said)) && row.Entry.State != NodeState.Starting).ToList());
    }

    /// <summary>Asks, or orders, one node; null where it is not known, or did not answer in time.</summary>
    public async Task<NodeAnswer?> SendAsync(string node, HttpMethod method, string path, JsonNode? body, TimeSpan limit, CancellationToken cancellation) =>
        Rows.FirstOrDefault(row => row.Entry.Node == node && row.Entry.Address.Length > 0) is { } row && node != own
            ? await SendAsync(row, method, path, body, limit, cancellation).ConfigureAwait(false)
            : null;

    public void Dispose() => http.Dispose();

    private async Task<NodeAnswer?> SendAsync(NodeRow row, HttpMethod method, string path, JsonNode? body, TimeSpan limit, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(limit);
        try
        {
            using var request = new HttpRequestMessage(method, new Uri(new Uri(row.Entry.Address), $"{path}{(path.Contains('?', StringComparison.Ordinal) ? '&' : '?')}scope=node"));
            if (body is not null) request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, MediaTypeNames.Application.Json);
            using var answer = await http.SendAsync(request, patience.Token).ConfigureAwait(false);
            var said = JsonNode.Parse(await answer.Content.ReadAsStringAsync(patience.Token).ConfigureAwait(false));
            return said is null ? null : new NodeAnswer(row.Entry.Node, (int)answer.StatusCode, said);
        }
        catch (Exception silent) when (silent is HttpRequestException or JsonException or UriFormatException or IOException || (silent is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return null;
        }
    }
}
