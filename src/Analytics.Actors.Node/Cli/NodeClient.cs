using System.CommandLine;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Http;
using Analytics.Actors.Node.Http.Access;

namespace Analytics.Actors.Node.Cli;

/// <summary>A running node's API, as verbs ask it: what goes wrong is said on stderr, with what would be right.</summary>
internal sealed class NodeClient(HttpClient http, TextWriter error)
{
    public const string TokenVariable = "ANALYTICS_TOKEN";
    public const string AddressVariable = "ANALYTICS_ADDRESS";
    private const string AddressName = "--address";

    public static Option<string> Address() => new(AddressName) { Description = $"host:port of a node's API; better in {AddressVariable} where it is always the same", DefaultValueFactory = _ => DefaultAddress };

    public static string DefaultAddress => Environment.GetEnvironmentVariable(AddressVariable) is { Length: > 0 } address ? address : "127.0.0.1:8000";

    public static Option<bool> Json() => new("--json") { Description = "as JSON" };

    public static Option<string> By(string says) => new("--by") { Description = says, DefaultValueFactory = _ => $"{Environment.UserName}@{Environment.MachineName}" };

    private static readonly Option<string?> Token = new("--token") { Description = $"the token that the node knows you by; better in {TokenVariable}, where no list of processes shows it" };
    private static readonly Option<string?> Ca = new("--ca") { Description = "PEM file of the authority that the node's certificate comes from [default: those that this machine trusts]" };
    private static readonly Option<string?> Certificate = new("--certificate") { Description = "PEM file of a client certificate that the node knows you by" };
    private static readonly Option<string?> Key = new("--key") { Description = "PEM file of its key [default: in the same file]" };

    /// <summary>Every command that asks a node gets the options of how to be known to it.</summary>
    public static void AddAccessOptions(Command command)
    {
        foreach (var below in command.Subcommands) AddAccessOptions(below);
        if (!command.Options.Any(option => option.Name == AddressName)) return;
        foreach (var option in (Option[])[Token, Ca, Certificate, Key]) command.Add(option);
    }

    /// <summary>A client of the node that a command's options name, known to it as they say.</summary>
    public static HttpClient Connect(ParseResult parse, TimeSpan answerLimit) => Connect(
        parse.GetValue<string>(AddressName)!, parse.GetValue(Token) ?? Environment.GetEnvironmentVariable(TokenVariable),
        parse.GetValue(Ca), parse.GetValue(Certificate), parse.GetValue(Key), answerLimit);

    /// <summary>With the token of the environment, if there is one.</summary>
    public static HttpClient Connect(string address, TimeSpan answerLimit) =>
        Connect(address, Environment.GetEnvironmentVariable(TokenVariable), null, null, null, answerLimit);

    /// <exception cref="BadArgumentsException">The address is none, or a file cannot be used.</exception>
    public static HttpClient Connect(string address, string? token, string? ca, string? certificate, string? key, TimeSpan answerLimit)
    {
        if (key is not null && certificate is null) throw new BadArgumentsException("--key: has no meaning without --certificate");
        // As an address a number alone would be an IPv4 address, and 8002 none that anybody means.
        if (address.Length > 0 && address.All(char.IsAsciiDigit)) throw new BadArgumentsException($"{AddressName} {address}: must be host:port, such as 127.0.0.1:{address}");
        var scheme = ca is null && certificate is null ? "http" : "https";
        if (!Uri.TryCreate(address.Contains("://", StringComparison.Ordinal) ? address : $"{scheme}://{address}", UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
            throw new BadArgumentsException($"{AddressName} {address}: must be host:port of a node's API, such as 127.0.0.1:8000 (https://host:port where it has a certificate)");
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false };
        if (ca is not null) handler.SslOptions.RemoteCertificateValidationCallback = ServerTls.ServersOf(Pem("--ca", ca, () => ServerTls.Authorities("--ca", ca)));
        if (certificate is not null) handler.SslOptions.ClientCertificates = [Pem("--certificate", certificate, () => X509Certificate2.CreateFromPemFile(certificate, key))];
        var http = new HttpClient(handler) { BaseAddress = uri, Timeout = answerLimit };
        if (string.IsNullOrWhiteSpace(token)) return http;
        // What is no token cannot be sent, and must not be shown.
        if (!AccessOptions.IsToken(token.Trim())) throw new BadArgumentsException($"--token: must be {AccessOptions.TokenForm}");
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token.Trim());
        return http;
    }

    private static T Pem<T>(string option, string file, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception wrong) when (wrong is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException or EndpointUnavailableException)
        {
            throw new BadArgumentsException($"{option} {file}: cannot be used as a PEM file: {wrong.Message}");
        }
    }

    private string toldSilent = "";

    public Task<JsonNode?> GetAsync(string path, CancellationToken cancellation) => AskAsync(() => http.GetAsync(path, cancellation), cancellation);

    public async Task<JsonNode?> PostAsync(string path, JsonObject body, CancellationToken cancellation)
    {
        using var content = new StringContent(body.ToJsonString(), Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
        return await AskAsync(() => http.PostAsync(path, content, cancellation), cancellation).ConfigureAwait(false);
    }

    /// <summary>Null where the node refused or did not answer, which was said on stderr then.</summary>
    private async Task<JsonNode?> AskAsync(Func<Task<HttpResponseMessage>> request, CancellationToken cancellation)
    {
        try
        {
            using var answer = await request().ConfigureAwait(false);
            var text = await answer.Content.ReadAsStringAsync(cancellation).ConfigureAwait(false);
            var body = JsonNode.Parse(text);
            // A verb may ask twice to show one picture: the same is said once, until all of them answer again.
            var nowSilent = answer.Headers.TryGetValues(ClusterRoutes.UnreachableHeader, out var silent) ? string.Join(", ", silent.SelectMany(nodes => nodes.Split(','))) : "";
            if (nowSilent.Length > 0 && nowSilent != toldSilent)
                await error.WriteLineAsync($"not answering: {nowSilent}; what is told of them comes from the database, or is missing").ConfigureAwait(false);
            toldSilent = nowSilent;
            if (answer.IsSuccessStatusCode) return body;
            var why = body is JsonObject failure ? failure["error"]?.ToString() ?? text : text;
            if (answer.StatusCode == HttpStatusCode.Unauthorized) why = http.DefaultRequestHeaders.Authorization is null
                ? $"the node at {http.BaseAddress} wants to know who asks: --token or {TokenVariable}, or --certificate"
                : $"the node at {http.BaseAddress} does not know this token: its http.tokens has those that it knows (--token, {TokenVariable})";
            if (answer.StatusCode == HttpStatusCode.BadRequest) throw new BadArgumentsException(why);
            await error.WriteLineAsync(why).ConfigureAwait(false);
        }
        catch (HttpRequestException failure)
        {
            await error.WriteLineAsync($"no node answers at {http.BaseAddress}: {Reason(failure)} (--address names a node's http.host and http.port)").ConfigureAwait(false);
        }
        catch (JsonException)
        {
            await error.WriteLineAsync($"what answers at {http.BaseAddress} is not a node of this system (--address)").ConfigureAwait(false);
        }
        catch (TaskCanceledException) when (!cancellation.IsCancellationRequested)
        {
            await error.WriteLineAsync($"the node at {http.BaseAddress} did not answer within {http.Timeout.TotalSeconds:0} s; another node may (--address)").ConfigureAwait(false);
        }

        return null;
    }

    // The outer message may say no more than that there is an inner one.
    private static string Reason(HttpRequestException failure) => failure.InnerException switch
    {
        null or SocketException => failure.Message,
        _ when failure.HttpRequestError == HttpRequestError.SecureConnectionError => $"no TLS connection: {failure.GetBaseException().Message.TrimEnd('.')}",
        var inner => inner.Message.TrimEnd('.'),
    };
}
