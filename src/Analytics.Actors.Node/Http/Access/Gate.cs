using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Analytics.Actors.Node.Configuration;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Http.Access;

/// <summary>
/// Decides who may pass, after routing and before anything is answered. Refusals are short and the same for a missing and a
/// wrong token, and take the same time. Without credentials in the configuration everybody on this machine passes, but no
/// page of another site that runs in a browser here.
/// </summary>
internal sealed class Gate(AccessOptions access, bool isOpenOnPurpose, ILogger logger, TimeProvider time)
{
    private const string Bearer = "Bearer ";

    private readonly RefusalLog refusals = new(logger, time);

    /// <summary>Answers a refusal, or calls what comes next with the <see cref="Caller"/> known.</summary>
    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (RightFor(context.GetEndpoint()) is not { } needed)
        {
            await next(context).ConfigureAwait(false);
            return;
        }

        var caller = isOpenOnPurpose || access.IsOpen ? Caller.Anybody : Identify(context);
        if (caller is null)
        {
            context.Response.Headers.WWWAuthenticate = "Bearer";
            await RefuseAsync(context, StatusCodes.Status401Unauthorized, "say who asks: Authorization: Bearer TOKEN, or a client certificate").ConfigureAwait(false);
        }
        else if (caller.Right is not { } right || right < needed)
        {
            await RefuseAsync(context, StatusCodes.Status403Forbidden, $"this needs the right to {AccessOptions.Name(needed)}", caller.Name).ConfigureAwait(false);
        }
        else if (CrossSite(context) is { } site)
        {
            await RefuseAsync(context, StatusCodes.Status403Forbidden, site).ConfigureAwait(false);
        }
        else if (!IsSafe(context.Request.Method) && context.GetEndpoint() is RouteEndpoint && !context.Request.HasJsonContentType())
        {
            // A page of another site can send a form to a loopback address, but not this without being asked first.
            await JsonResponses.Error(StatusCodes.Status415UnsupportedMediaType, "send application/json").ExecuteAsync(context).ConfigureAwait(false);
        }
        else
        {
            context.Features.Set(caller);
            await next(context).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Null: none. What is not there, and a method that is not possible, is told to those who may read; a route that says
    /// nothing of its right is a mistake, and closed.
    /// </summary>
    public static Right? RightFor(Endpoint? endpoint) =>
        endpoint?.Metadata.GetMetadata<NeededRight>() is { } said ? said.Right : endpoint is RouteEndpoint ? Right.Steer : Right.Read;

    private static bool IsSafe(string method) => HttpMethods.IsGet(method) || HttpMethods.IsHead(method) || HttpMethods.IsOptions(method) || HttpMethods.IsTrace(method);

    private Caller? Identify(HttpContext context)
    {
        var header = context.Request.Headers.Authorization;
        if (header.Count == 0) return access.Tls?.ClientCa is not null && context.Connection.ClientCertificate is { } certificate ? Identify(certificate, access.Tls) : null;
        var text = header.Count == 1 ? header[0] ?? "" : "";
        var isBearer = text.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase);
        // Every token is compared, always, and by its hash: how long it takes tells nothing of how much was right.
        var hash = AccessToken.HashOf(isBearer ? text[Bearer.Length..].Trim() : text);
        Caller? found = null;
        foreach (var token in access.Tokens)
        {
            if (CryptographicOperations.FixedTimeEquals(hash, token.Hash.Span)) found = new Caller(token.Name, token.Right, false);
        }

        if (access.ClusterToken is { } peers && CryptographicOperations.FixedTimeEquals(hash, AccessToken.HashOf(peers.Reveal()))) found ??= new Caller("the cluster", Right.Steer, true);
        return isBearer ? found : null;
    }

    // The handshake has checked where it comes from.
    private static Caller? Identify(X509Certificate2 certificate, TlsOptions tls)
    {
        var names = certificate.SubjectName.EnumerateRelativeDistinguishedNames()
            .Where(part => !part.HasMultipleElements && part.GetSingleElementType().Value == "2.5.4.3").Select(part => part.GetSingleElementValue()).ToList();
        return names is [{ Length: > 0 } name] ? new Caller(name, tls.Clients.TryGetValue(name, out var right) ? right : null, false) : null;
    }

    /// <summary>
    /// Why a request may be the work of another site's page in a browser; null where it is not. A name that such a page gives to
    /// this machine's address stands in Host; where it may not look, Origin names the page.
    /// </summary>
    private string? CrossSite(HttpContext context)
    {
        var host = context.Request.Host;
        if (access.IsOpen && !isOpenOnPurpose && host.HasValue && !AccessOptions.IsLoopback(host.Host.Trim('[', ']')))
            return "whoever is on this machine asks as 127.0.0.1 or localhost; under another name the node wants to know who asks (http.tokens)";
        if (IsSafe(context.Request.Method) || context.Request.Headers.Origin.Count == 0) return null;
        var isOwn = Uri.TryCreate(context.Request.Headers.Origin.ToString(), UriKind.Absolute, out var origin)
            && Uri.TryCreate($"{origin.Scheme}://{host.Value}", UriKind.Absolute, out var own)
            && string.Equals(origin.Authority, own.Authority, StringComparison.OrdinalIgnoreCase);
        return isOwn ? null : "a page of another site may not order anything";
    }

    private async Task RefuseAsync(HttpContext context, int status, string message, string caller = "")
    {
        refusals.Tell(status, context.Connection.RemoteIpAddress, caller);
        await JsonResponses.Error(status, message).ExecuteAsync(context).ConfigureAwait(false);
    }
}

/// <summary>Refused requests in the log: one line, then for ten seconds only their number, so that nobody can fill it.</summary>
internal sealed class RefusalLog(ILogger logger, TimeProvider time)
{
    public static readonly TimeSpan Pause = TimeSpan.FromSeconds(10);

    private readonly Lock gate = new();
    private long? toldAt;
    private long untold;

    /// <param name="caller">Who it was, where that is known.</param>
    public void Tell(int status, IPAddress? from, string caller)
    {
        long before;
        lock (gate)
        {
            if (toldAt is { } last && time.GetElapsedTime(last) < Pause)
            {
                untold++;
                return;
            }

            toldAt = time.GetTimestamp();
            (before, untold) = (untold, 0);
        }

        logger.LogWarning(
            new EventId(2, "AccessRefused"), "AccessRefused: {Status} to {From}{Caller}{Before}", status, from,
            caller.Length == 0 ? "" : $" ({caller})", before == 0 ? "" : $"; {before} more since the last such line");
    }
}
