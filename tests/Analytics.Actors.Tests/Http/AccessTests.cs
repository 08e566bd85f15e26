using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Node.Cli;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Http;
using Analytics.Actors.Node.Http.Access;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Pipeline;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Tests.Http;

/// <summary>Who may do what: every route, by every kind of caller, with and without a certificate.</summary>
public sealed class AccessTests : IDisposable
{
    private const string ReadToken = "read-0123456789abcdef";
    private const string SteerToken = "steer-0123456789abcdef";
    private const string ClusterToken = "cluster-0123456789abcdef";
    private const string WrongToken = "wrong-0123456789abcdef";

    // They tell a status, or are the same in every installation.
    private static readonly string[] OpenRoutes = ["/", "/dashboard.css", "/dashboard.js", "/health/live", "/health/ready"];

    // They only look, at something that is too long for a query.
    private static readonly string[] ReadByPost = ["/api/v1/config/plan"];
    private static readonly PipelineConfiguration Pipeline = PipelineFiles.Valid(SmallPipelines.Build(
        """ "METERS": { "envelope": "list", "window": 9, "fields": [{ "from": "value", "type": "number" }] } """, """ "m": { "topics": ["METERS"] } """));

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("access-");
    private readonly TestAuthority authority;

    public AccessTests() => authority = new TestAuthority(folder.FullName);

    public void Dispose()
    {
        authority.Dispose();
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task Every_route_lets_in_whom_it_should_and_nobody_else()
    {
        await using var node = await StartAsync(Tls(Tokens()));
        using var reader = authority.Client("reader");
        using var steerer = authority.Client("steerer");
        using var stranger = authority.Client("stranger");
        (string Name, Right? Right, HttpStatusCode Refused, string? Authorization, System.Security.Cryptography.X509Certificates.X509Certificate2? Certificate)[] callers =
        [
            ("nobody", null, HttpStatusCode.Unauthorized, null, null),
            ("a wrong token", null, HttpStatusCode.Unauthorized, $"Bearer {WrongToken}", null),
            ("a token cut short", null, HttpStatusCode.Unauthorized, $"Bearer {SteerToken[..^1]}", null),
            ("an empty token", null, HttpStatusCode.Unauthorized, "Bearer ", null),
            ("another scheme", null, HttpStatusCode.Unauthorized, $"Basic {SteerToken}", null),
            ("a wrong token with a certificate", null, HttpStatusCode.Unauthorized, $"Bearer {WrongToken}", steerer),
            ("the token to read", Right.Read, HttpStatusCode.Forbidden, $"Bearer {ReadToken}", null),
            ("the token to steer", Right.Steer, HttpStatusCode.Forbidden, $"Bearer {SteerToken}", null),
            ("the cluster's token", Right.Steer, HttpStatusCode.Forbidden, $"bearer {ClusterToken}", null),
            ("a certificate to read", Right.Read, HttpStatusCode.Forbidden, null, reader),
            ("a certificate to steer", Right.Steer, HttpStatusCode.Forbidden, null, steerer),
            ("a certificate without rights", null, HttpStatusCode.Forbidden, null, stranger),
        ];
        var routes = node.Server.Routes.OfType<RouteEndpoint>().ToList();
        routes.Count.ShouldBeGreaterThan(15);
        var refused = new List<string>();
        foreach (var (name, right, refusal, authorization, certificate) in callers)
        {
            using var http = authority.Http(certificate);
            if (authorization is not null) http.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", authorization);
            foreach (var route in routes)
            {
                var path = route.RoutePattern.RawText!.Replace("{id}", "1-1", StringComparison.Ordinal).Replace("{**id}", "17", StringComparison.Ordinal);
                var method = route.Metadata.GetMetadata<HttpMethodMetadata>().ShouldNotBeNull(path).HttpMethods.ShouldHaveSingleItem();
                route.Metadata.GetMetadata<NeededRight>().ShouldNotBeNull($"{method} {path} says nothing of the right that it needs: add .Needs(Right.Read) or .Needs(Right.Steer)");
                var needed = OpenRoutes.Contains(path) ? (Right?)null : method == "GET" || ReadByPost.Contains(path) ? Right.Read : Right.Steer;
                var what = $"{method} {path} by {name}";
                var isAllowed = needed is null || right >= needed;
                using var answer = await SendAsync(http, node.Server.Address!, method, path, "{}");
                var body = await answer.Content.ReadAsStringAsync();
                if (isAllowed)
                {
                    answer.StatusCode.ShouldNotBeOneOf(HttpStatusCode.Unauthorized, HttpStatusCode.Forbidden, HttpStatusCode.NotFound, HttpStatusCode.MethodNotAllowed, HttpStatusCode.UnsupportedMediaType);
                }
                else
                {
                    answer.StatusCode.ShouldBe(refusal, what);
                    if (refusal == HttpStatusCode.Unauthorized) answer.Headers.WwwAuthenticate.ShouldHaveSingleItem().Scheme.ShouldBe("Bearer");
                    refused.Add(body);
                }

                // The other method, and what is not there, are told only to those who may read.
                using var other = await SendAsync(http, node.Server.Address!, method == "GET" ? "DELETE" : "GET", path == "/" ? "/nothing" : path, "{}");
                if (right is null) other.StatusCode.ShouldBe(refusal, what);
            }

            using var metrics = await http.GetAsync(new Uri(node.Server.MetricsAddress!, "/metrics"));
            metrics.StatusCode.ShouldBe(right is null ? refusal : HttpStatusCode.OK, $"metrics by {name}");
        }

        // One sentence for each case, whatever was asked for; nothing of what was sent, nor of the node.
        refused.Distinct().ShouldBe(
        [
            """{"error":"say who asks: Authorization: Bearer TOKEN, or a client certificate"}""",
            """{"error":"this needs the right to steer"}""",
            """{"error":"this needs the right to read"}""",
        ], ignoreOrder: true);
        foreach (var secret in (string[])[ReadToken, SteerToken, ClusterToken, WrongToken, SteerToken[..^1]]) node.Log.All.ShouldAllBe(line => !line.Contains(secret));
        node.Log.Of("AccessRefused").Count.ShouldBeInRange(1, 20);
    }

    [Fact]
    public async Task A_certificate_must_come_from_the_authority_be_valid_now_and_be_a_clients()
    {
        await using var node = await StartAsync(Tls(Tokens()));
        using var other = new TestAuthority(folder.FullName, "other");
        using var foreign = other.Client("steerer");
        using var ended = authority.Client("steerer", hours: -0.5);
        using var server = authority.ServerAsClient();
        foreach (var certificate in new[] { foreign, ended, server })
        {
            using var http = authority.Http(certificate);
            await Should.ThrowAsync<HttpRequestException>(() => http.GetAsync(new Uri(node.Server.Address!, "/health/live")), certificate.Subject);
        }

        using var good = authority.Client("steerer");
        using var known = authority.Http(good);
        (await known.GetAsync(new Uri(node.Server.Address!, "/health"))).StatusCode.ShouldBe(HttpStatusCode.OK);
        // Without TLS nothing is said at all.
        using var plain = new HttpClient();
        await Should.ThrowAsync<HttpRequestException>(() => plain.GetAsync(new Uri($"http://{node.Server.Address!.Authority}/health/live")));
    }

    [Fact]
    public async Task Nodes_and_verbs_are_known_by_token_or_certificate_and_check_whom_they_ask()
    {
        await using var node = await StartAsync(Tls(Tokens()));
        var log = new LogLines();
        using var other = new TestAuthority(folder.FullName, "other");
        async Task<int?> AskAsync(string? token, string ca)
        {
            var entry = new NodeEntry("node-9", "s", $"{node.Server.Address}", "1", ["api"], NodeState.Running, 0, 0, default, 0);
            var access = new AccessOptions { ClusterToken = token is null ? null : new SecretText(token), ClusterCa = ca };
            using var peers = new NodePeers("node-8", access, () => [new NodeRow(entry, 0)], log);
            return (await peers.SendAsync("node-9", HttpMethod.Get, "/health", null, TimeSpan.FromSeconds(20), default))?.Status;
        }

        (await AskAsync(ClusterToken, authority.Pem)).ShouldBe(200);
        (await AskAsync(ClusterToken, other.Pem)).ShouldBeNull("a server that is not of the cluster's authority");
        log.All.ShouldBeEmpty();
        (await AskAsync(WrongToken, authority.Pem)).ShouldBe(401);
        (await AskAsync(null, authority.Pem)).ShouldBe(401);
        log.Of("PeerRefused").Count.ShouldBe(2);
        log.All.ShouldAllBe(line => !line.Contains(WrongToken));

        var (certificate, key) = authority.ClientFiles("reader");
        async Task<(bool IsAnswered, string Error)> VerbAsync(string? token, string ca, string? client)
        {
            using var error = new StringWriter();
            using var http = NodeClient.Connect(node.Address, token, ca, client, client is null ? null : key, TimeSpan.FromSeconds(20));
            return (await new NodeClient(http, error).GetAsync("/health", default) is not null, error.ToString());
        }

        (await VerbAsync(ReadToken, authority.Pem, null)).ShouldBe((true, ""));
        (await VerbAsync(null, authority.Pem, certificate)).ShouldBe((true, ""));
        (await VerbAsync(null, authority.Pem, null)).Error.ShouldContain("wants to know who asks");
        (await VerbAsync(WrongToken, authority.Pem, null)).Error.ShouldContain("does not know this token");
        (await VerbAsync(ReadToken, other.Pem, null)).Error.ShouldContain("no node answers");
        (await VerbAsync(ReadToken, other.Pem, null)).Error.ShouldNotContain("inner exception");
        Should.Throw<BadArgumentsException>(() => NodeClient.Connect(node.Address, "secret", null, null, null, TimeSpan.FromSeconds(1))).Message.ShouldNotContain("secret");
        Should.Throw<BadArgumentsException>(() => NodeClient.Connect(node.Address, null, key, null, null, TimeSpan.FromSeconds(1))).Message.ShouldStartWith($"--ca {key}: ");
        (await Verbs.RunAsync(["positions", "show", "--address", node.Address, "--key", key])).ShouldBe(Verbs.BadArguments);
    }

    [Fact]
    public async Task Without_credentials_this_machine_may_do_all_but_no_page_of_another_site()
    {
        await using var node = await StartAsync(AccessOptions.None);
        (await node.GetAsync("/health")).Status.ShouldBe(HttpStatusCode.OK);
        var positions = new Uri(node.Server.Address!, "/api/v1/positions");
        async Task<HttpStatusCode> PostAsync(string type, string? origin = null, string? host = null)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, positions) { Content = new StringContent("{}", new MediaTypeHeaderValue(type)) };
            if (origin is not null) request.Headers.Add("Origin", origin);
            request.Headers.Host = host;
            using var answer = await node.Http.SendAsync(request);
            return answer.StatusCode;
        }

        var passes = HttpStatusCode.BadRequest;
        (await PostAsync("application/json")).ShouldBe(passes);
        (await PostAsync("application/json", $"http://{node.Address}")).ShouldBe(passes);
        (await PostAsync("application/json", host: "localhost:9000")).ShouldBe(passes, "a tunnel");
        (await PostAsync("text/plain")).ShouldBe(HttpStatusCode.UnsupportedMediaType);
        (await PostAsync("application/x-www-form-urlencoded")).ShouldBe(HttpStatusCode.UnsupportedMediaType);
        (await PostAsync("application/json", "http://example.org")).ShouldBe(HttpStatusCode.Forbidden);
        (await PostAsync("application/json", "null")).ShouldBe(HttpStatusCode.Forbidden);
        // A name of another site that leads to this machine.
        (await PostAsync("application/json", "http://example.org", "example.org")).ShouldBe(HttpStatusCode.Forbidden);
        using var rebound = new HttpRequestMessage(HttpMethod.Get, new Uri(node.Server.Address!, "/health")) { Headers = { Host = $"example.org:{node.Server.Address!.Port}" } };
        (await node.Http.SendAsync(rebound)).StatusCode.ShouldBe(HttpStatusCode.Forbidden);
    }

    [Theory]
    [InlineData("0.0.0.0", "127.0.0.1", "http.host")]
    [InlineData("127.0.0.1", "::", "metrics.host")]
    public async Task Beyond_loopback_a_node_without_credentials_does_not_start(string api, string metrics, string key)
    {
        var options = LiveNode.Options("127.0.0.1:9", folder.FullName) with { Http = new EndpointOptions(api, 0), Metrics = new EndpointOptions(metrics, 0) };
        await using var node = new LiveNode(options, Pipeline);
        var refused = await Should.ThrowAsync<EndpointUnavailableException>(() => node.Server.StartAsync(CancellationToken.None));
        refused.Message.ShouldStartWith($"{key}: value ");
        refused.Message.ShouldContain("set \"http.tokens\"");
        node.Server.Address.ShouldBeNull();

        await using var known = new LiveNode(options with { Access = Tokens() }, Pipeline);
        await known.Server.StartAsync(CancellationToken.None);
        known.Log.All.ShouldContain(line => line.Contains("in the clear", StringComparison.Ordinal) == (api == "0.0.0.0"));
    }

    [Fact]
    public async Task Metrics_may_be_opened_on_purpose()
    {
        await using var node = await StartAsync(Tokens() with { IsMetricsOpen = true });
        (await node.ScrapeAsync()).Families.Count.ShouldBeGreaterThan(0);
        (await node.GetAsync("/health")).Status.ShouldBe(HttpStatusCode.Unauthorized);
    }

    [Fact]
    public async Task A_certificate_that_cannot_be_read_is_told_with_its_key()
    {
        var missing = Path.Combine(folder.FullName, "none.pem");
        await using var node = new LiveNode(Options(new AccessOptions { Tls = new TlsOptions(missing, missing, null, new Dictionary<string, Right>()) }), Pipeline);
        (await Should.ThrowAsync<EndpointUnavailableException>(() => node.Server.StartAsync(CancellationToken.None))).Message.ShouldStartWith($"http.tls.certificate: value \"{missing}");
    }

    [Fact]
    public void Refusals_do_not_fill_the_log()
    {
        var (log, time) = (new LogLines(), new StillTime());
        var refusals = new RefusalLog(log, time);
        for (var attempt = 0; attempt < 1_000; attempt++) refusals.Tell(401, IPAddress.Loopback, "");
        time.Now += RefusalLog.Pause;
        refusals.Tell(403, IPAddress.Loopback, "grafana");
        log.Of("AccessRefused").ShouldBe(["AccessRefused: 401 to 127.0.0.1", "AccessRefused: 403 to 127.0.0.1 (grafana); 999 more since the last such line"]);
    }

    private AccessOptions Tokens() => new()
    {
        Tokens = [AccessToken.Of("grafana", Right.Read, ReadToken), AccessToken.Of("ops", Right.Steer, SteerToken)],
        ClusterToken = new SecretText(ClusterToken),
    };

    private AccessOptions Tls(AccessOptions access)
    {
        var (certificate, key) = authority.Server();
        return access with { Tls = new TlsOptions(certificate, key, authority.Pem, new Dictionary<string, Right> { ["reader"] = Right.Read, ["steerer"] = Right.Steer }) };
    }

    private NodeOptions Options(AccessOptions access) => LiveNode.Options("127.0.0.1:9", folder.FullName) with { Access = access };

    /// <summary>A node that has not begun to work: what it answers to those who may ask is that it is starting.</summary>
    private async Task<LiveNode> StartAsync(AccessOptions access)
    {
        var node = new LiveNode(Options(access), Pipeline);
        await node.Server.StartAsync(CancellationToken.None);
        return node;
    }

    private static Task<HttpResponseMessage> SendAsync(HttpClient http, Uri address, string method, string path, string body)
    {
        var request = new HttpRequestMessage(new HttpMethod(method), new Uri(address, path));
        if (method != "GET") request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        return http.SendAsync(request);
    }

    private sealed class StillTime : TimeProvider
    {
        public TimeSpan Now { get; set; }

        public override long GetTimestamp() => Now.Ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;
    }
}
