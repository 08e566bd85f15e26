using System.CommandLine;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Analytics.Actors.Node.Cli;

/// <summary>A running node's API, as verbs ask it: what goes wrong is said on stderr, with what would be right.</summary>
internal sealed class NodeClient(HttpClient http, TextWriter error)
{
    public static Option<string> Address() => new("--address") { Description = "host:port of a node's API", DefaultValueFactory = _ => "127.0.0.1:8000" };

    public static Option<bool> Json() => new("--json") { Description = "as JSON" };

    public static Option<string> By(string says) => new("--by") { Description = says, DefaultValueFactory = _ => $"{Environment.UserName}@{Environment.MachineName}" };

    public static HttpClient Connect(string address, TimeSpan answerLimit)
    {
        if (!Uri.TryCreate(address.Contains("://", StringComparison.Ordinal) ? address : $"http://{address}", UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
            throw new BadArgumentsException($"--address {address}: must be host:port of a node's API, such as 127.0.0.1:8000");
        return new HttpClient { BaseAddress = uri, Timeout = answerLimit };
    }

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
            if (answer.IsSuccessStatusCode) return body;
            var why = body is JsonObject failure ? failure["error"]?.ToString() ?? text : text;
            if (answer.StatusCode == HttpStatusCode.BadRequest) throw new BadArgumentsException(why);
            await error.WriteLineAsync(why).ConfigureAwait(false);
        }
        catch (HttpRequestException failure)
        {
            await error.WriteLineAsync($"no node answers at {http.BaseAddress}: {failure.Message} (--address names a node's http.host and http.port)").ConfigureAwait(false);
        }
        catch (JsonException)
        {
            await error.WriteLineAsync($"what answers at {http.BaseAddress} is not a node of this system (--address)").ConfigureAwait(false);
        }
        catch (TaskCanceledException) when (!cancellation.IsCancellationRequested)
        {
            await error.WriteLineAsync($"the node at {http.BaseAddress} did not answer in time").ConfigureAwait(false);
        }

        return null;
    }
}
