using System.Net;
using System.Net.Sockets;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http.Access;
using Analytics.Actors.Node.Metrics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Http;

/// <summary>A node cannot listen where it is told to; the message names the key, its value, and what would be right.</summary>
public sealed class EndpointUnavailableException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// The HTTP faces of one node: API, health and dashboard on <c>http</c>, and <c>/metrics</c> alone on <c>metrics</c>, each a
/// listener of its own. May be started before the node, which then is seen starting, and outlives its stop.
/// </summary>
public sealed class NodeServer(NodeHost node, ILoggerFactory logging) : IAsyncDisposable
{
    // What is being answered may finish; an open connection of a browser must not hold up the node's stop.
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(2);

    // A scrape waits so long for the loops, then it gets what was known before.
    private static readonly TimeSpan SampleLimit = TimeSpan.FromSeconds(2);

    private readonly MetricsSampler sampler = new(node);
    private readonly ILogger logger = logging.CreateLogger("Analytics.Actors.Http");
    private ServerTls? tls;
    private NodePeers? peers;
    private WebApplication? api;
    private WebApplication? metrics;

    /// <summary>Where the API, health and the dashboard are, with the port that was really taken; null before the start.</summary>
    public Uri? Address { get; private set; }

    /// <summary>Where /metrics is; null before the start.</summary>
    public Uri? MetricsAddress { get; private set; }

    /// <summary>What the API answers, route by route; empty before the start.</summary>
    internal IReadOnlyList<Endpoint> Routes => api is null ? [] : [.. ((IEndpointRouteBuilder)api).DataSources.SelectMany(source => source.Endpoints)];

    /// <exception cref="EndpointUnavailableException">
    /// One of the ports is taken, the address is not this machine's or reaches beyond it unprotected, or a certificate cannot be used.
    /// </exception>
    public async Task StartAsync(CancellationToken cancellation)
    {
        var access = node.Options.Access;
        if (access.WhyNotAt(node.Options.Http.Host, false) is { } notThere) throw new EndpointUnavailableException($"http.host: value \"{node.Options.Http.Host}\": {notThere}");
        if (access.WhyNotAt(node.Options.Metrics.Host, access.IsMetricsOpen) is { } notOpen) throw new EndpointUnavailableException($"metrics.host: value \"{node.Options.Metrics.Host}\": {notOpen}");
        if (access.Tls is { } certificates) tls = new ServerTls(certificates);
        peers = new NodePeers(node.Options.NodeId, access, () => node.Cluster?.Rows ?? [], logger);
        api = Build(node.Options.Http, new Gate(access, false, logger, TimeProvider.System));
        api.Use(new SteeringLog(steered => node.Cluster?.Tell(steered), node.Options.NodeId, logger).InvokeAsync);
        RoleGate.Use(api, node);
        NodeApi.Map(api, node, peers);
        if (node.Options.Roles.Api) DashboardPage.Map(api);
        metrics = Build(node.Options.Metrics, new Gate(access, access.IsMetricsOpen, logger, TimeProvider.System));
        metrics.MapGet("/metrics", WriteMetricsAsync).Needs(Right.Read);
        try
        {
            node.ListeningAt = Address = await StartAsync(api, "http", node.Options.Http, cancellation).ConfigureAwait(false);
            MetricsAddress = await StartAsync(metrics, "metrics", node.Options.Metrics, cancellation).ConfigureAwait(false);
        }
        catch
        {
            await StopAsync().ConfigureAwait(false);
            throw;
        }

        logger.LogInformation(new EventId(1, "HttpStarted"), "HttpStarted: API and dashboard on {Address}, metrics on {MetricsAddress}metrics; {Access}", Address, MetricsAddress, Describe(access));
        if (access.Tokens.Count > 0 && tls is null && !AccessOptions.IsLoopback(node.Options.Http.Host))
            logger.LogWarning("tokens cross the network in the clear: set http.tls, or let a proxy with TLS stand before {Address}", Address);
    }

    /// <summary>Stops listening; what is being answered gets a moment to end.</summary>
    public async Task StopAsync()
    {
        foreach (var application in new[] { api, metrics })
        {
            if (application is null) continue;
            using var limit = new CancellationTokenSource(StopLimit);
            await application.StopAsync(limit.Token).ConfigureAwait(false);
            await application.DisposeAsync().ConfigureAwait(false);
        }

        api = metrics = null;
        peers?.Dispose();
        tls?.Dispose();
        (peers, tls) = (null, null);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        sampler.Dispose();
    }

    private async Task WriteMetricsAsync(HttpContext context)
    {
        await sampler.SampleAsync(SampleLimit).ConfigureAwait(false);
        context.Response.ContentType = PrometheusText.ContentType;
        await context.Response.WriteAsync(node.Observer.Metrics.Text.Render(), context.RequestAborted).ConfigureAwait(false);
    }

    private static string Describe(AccessOptions access) => access.IsOpen
        ? "everybody on this machine may read and steer"
        : string.Join(", ",
        [
            .. access.Tokens.Select(token => $"{token.Name} may {AccessOptions.Name(token.Right)}"),
            .. access.Tls?.Clients.Select(client => $"certificate {client.Key} may {AccessOptions.Name(client.Value)}") ?? [],
            .. access.ClusterToken is null ? (string[])[] : ["the cluster's nodes ask each other"],
        ]);

    private WebApplication Build(EndpointOptions endpoint, Gate gate)
    {
        // Empty, not slim: nothing of this is configured by files, environment or arguments of ASP.NET, and a signal is the
        // node's affair alone.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = typeof(NodeServer).Assembly.GetName().Name });
        builder.Services.AddSingleton(logging);
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = StopLimit);
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore();
        if (tls is not null) builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxConcurrentConnections = 256;
            kestrel.Limits.MaxRequestBodySize = 4 * 1024 * 1024;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            Listen(kestrel, endpoint);
        });
        var application = builder.Build();
        JsonResponses.UseJsonErrors(application);
        application.Use(gate.InvokeAsync);
        return application;
    }

    private void Listen(KestrelServerOptions kestrel, EndpointOptions endpoint)
    {
        // "localhost" means both loopback addresses, which cannot agree on a free port: then it is the first of them.
        if (endpoint.Host != "localhost") kestrel.Listen(IPAddress.Parse(endpoint.Host), endpoint.Port, Secure);
        else if (endpoint.Port == 0) kestrel.Listen(IPAddress.Loopback, 0, Secure);
        else kestrel.ListenLocalhost(endpoint.Port, Secure);
    }

    private void Secure(ListenOptions listen)
    {
        if (tls is not null) listen.UseHttps(tls.Configure);
    }

    private static async Task<Uri> StartAsync(WebApplication application, string key, EndpointOptions endpoint, CancellationToken cancellation)
    {
        try
        {
            await application.StartAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is IOException or SocketException)
        {
            throw new EndpointUnavailableException(Explain(key, endpoint, failure), failure);
        }

        var addresses = application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;
        return new Uri(addresses.First());
    }

    private static string Explain(string key, EndpointOptions endpoint, Exception failure)
    {
        var socket = failure as SocketException ?? failure.InnerException as SocketException ?? failure.InnerException?.InnerException as SocketException;
        var isTaken = failure.InnerException is Microsoft.AspNetCore.Connections.AddressInUseException || socket?.SocketErrorCode == SocketError.AddressAlreadyInUse;
        if (isTaken) return $"{key}.port: value {endpoint.Port}: another program listens on {endpoint.Host}:{endpoint.Port}; stop it, or name a free port (0 takes any)";
        return socket?.SocketErrorCode switch
        {
            SocketError.AddressNotAvailable => $"{key}.host: value \"{endpoint.Host}\": is not an address of this machine; name one (127.0.0.1, 0.0.0.0 for all)",
            SocketError.AccessDenied => $"{key}.port: value {endpoint.Port}: this user may not listen there; name a port from 1024 on (0 takes any free one)",
            _ => $"{key}: cannot listen on {endpoint.Host}:{endpoint.Port}: {failure.Message}",
        };
    }

    /// <summary>Ends when it is told to, not by a signal.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
