using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Analytics.Actors.Node.Cli;

/// <summary>Which letters a command line means; null: not given.</summary>
internal sealed record DeadLetterSelection(string? Topic, string? Reason, string? Station, string? Since, string? Until, int? Limit)
{
    public IEnumerable<(string Name, string Value)> Given => new[] { ("topic", Topic), ("reason", Reason), ("station", Station), ("since", Since), ("until", Until) }
        .Where(pair => pair.Item2 is not null).Select(pair => (pair.Item1, pair.Item2!));
}

/// <summary>The verbs <c>dead-letters list, show, replay, discard</c>: they ask a node's API.</summary>
internal sealed class DeadLettersVerb(NodeClient node, bool asJson, TextWriter output, TextWriter error)
{
    private const string Root = "/api/v1/dead-letters";

    // Bytes that are shown as text on a page for people.
    private const int ShownMax = 2_000;

    public async Task<int> ListAsync(DeadLetterSelection selection, string state, string? after, CancellationToken cancellation)
    {
        var limit = selection.Limit ?? 100;
        IEnumerable<(string Name, string Value)> query = [.. selection.Given, ("state", state), ("limit", limit.ToString(CultureInfo.InvariantCulture))];
        if (after is not null) query = query.Append(("after", after));
        var path = $"{Root}?{string.Join('&', query.Select(pair => $"{pair.Name}={Uri.EscapeDataString(pair.Value)}"))}";
        if (await node.GetAsync(path, cancellation).ConfigureAwait(false) is not JsonArray letters) return Verbs.Failed;
        if (asJson)
        {
            await output.WriteLineAsync(Print(letters)).ConfigureAwait(false);
            return Verbs.Done;
        }

        if (letters.Count == 0)
        {
            await output.WriteLineAsync(state == "all" ? "no dead letters" : $"no {state} dead letters").ConfigureAwait(false);
            return Verbs.Done;
        }

        await output.WriteLineAsync(Table(letters)).ConfigureAwait(false);
        if (letters.Count == limit) await output.WriteLineAsync($"more, older ones: --after {letters[^1]!["id"]}").ConfigureAwait(false);
        return Verbs.Done;
    }

    public async Task<int> ShowAsync(string id, CancellationToken cancellation)
    {
        if (await node.GetAsync($"{Root}/{Uri.EscapeDataString(id)}", cancellation).ConfigureAwait(false) is not JsonObject letter) return Verbs.Failed;
        if (asJson)
        {
            await output.WriteLineAsync(Print(letter)).ConfigureAwait(false);
            return Verbs.Done;
        }

        await output.WriteLineAsync(Describe(letter)).ConfigureAwait(false);
        return Verbs.Done;
    }

    /// <summary>Exit code 0 where all that was meant is done; 1 where a letter was refused, with the reason.</summary>
    public async Task<int> OrderAsync(string what, IReadOnlyList<string> ids, DeadLetterSelection selection, bool all, string by, CancellationToken cancellation)
    {
        var body = new JsonObject { ["by"] = by };
        if (ids.Count > 0) body["ids"] = new JsonArray([.. ids.Select(id => (JsonNode)id)]);
        foreach (var (name, value) in selection.Given) body[name] = value;
        if (selection.Limit is { } limit) body["limit"] = limit;
        if (all) body["all"] = true;
        if (await node.PostAsync($"{Root}/{what}", body, cancellation).ConfigureAwait(false) is not JsonObject receipt) return Verbs.Failed;
        var refused = receipt["refused"]!.AsArray();
        if (asJson)
        {
            await output.WriteLineAsync(Print(receipt)).ConfigureAwait(false);
            return refused.Count == 0 ? Verbs.Done : Verbs.Failed;
        }

        var done = receipt["done"]!.AsArray();
        await output.WriteLineAsync($"{done.Count} {receipt["state"]}{(done.Count > 0 ? ": " + string.Join(", ", done.Select(id => id!.ToString())) : "")}").ConfigureAwait(false);
        if (receipt["more"]!.GetValue<bool>()) await output.WriteLineAsync("more letters match: repeat the command, or raise --limit").ConfigureAwait(false);
        foreach (var refusal in refused) await error.WriteLineAsync($"{refusal!["letter"]}: {refusal["why"]}").ConfigureAwait(false);
        return refused.Count == 0 ? Verbs.Done : Verbs.Failed;
    }

    private static string Table(JsonArray letters) => Tables.Render(
        ["id", "written", "state", "topic", "place", "station", "reason", "detail"],
        letters.Select(letter => (IReadOnlyList<string>)
        [
            $"{letter!["id"]}", Time(letter["timestamp"]), $"{letter["state"]}", $"{letter["topic"]}", $"{letter["partition"]}:{letter["offset"]}.{letter["index"]}",
            OneLine(letter["station"]), $"{letter["reason"]}", OneLine(letter["detail"]),
        ]));

    private static string Describe(JsonObject letter)
    {
        var text = new StringBuilder();
        void Line(string name, string value) => text.Append(CultureInfo.InvariantCulture, $"{name,-10} {value}\n");
        Line("letter", $"{letter["id"]}, {letter["state"]}{(letter["changed_by"] is { } by ? $" by {by} at {Time(letter["changed"])}" : "")}");
        Line("source", $"{letter["topic"]} partition {letter["partition"]} offset {letter["offset"]} item {letter["index"]} (incarnation {letter["incarnation"]}), record of {Time(letter["record_timestamp"])}");
        if (letter["station"] is { } station) Line("station", OneLine(station));
        Line("reason", $"{letter["reason"]}: {OneLine(letter["detail"])}");
        Line("written", Time(letter["timestamp"]));
        if (letter["replay_of"] is { } replayed) Line("replay of", $"{replayed}");
        Line("replay", letter["not_replayable"] is { } why ? $"cannot be replayed: {why}" : "possible");
        var bytes = Convert.FromBase64String(letter["bytes"]!.ToString());
        Line("holds", $"{letter["holds"]}, {letter["length"]} bytes, crc32c {letter["crc32c"]}{(bytes.Length < letter["length"]!.GetValue<long>() ? $"; only the first {bytes.Length} are kept" : "")}");
        if (bytes.Length == 0) return text.ToString().TrimEnd();
        var shown = Encoding.UTF8.GetString(bytes, 0, Math.Min(bytes.Length, ShownMax));
        text.Append('\n').Append(Tables.Visible(shown, keepLines: true));
        if (bytes.Length > ShownMax) text.Append(CultureInfo.InvariantCulture, $"\n... {bytes.Length - ShownMax} bytes more (--json has them)");
        return text.ToString();
    }

    private static string Time(JsonNode? ms) => ms?.GetValue<long>() is { } known and > 0
        ? DateTimeOffset.FromUnixTimeMilliseconds(known).ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture)
        : "-";

    private static string OneLine(JsonNode? text) => Tables.Visible(text?.ToString() ?? "-");

    private static string Print(JsonNode node) => node.ToJsonString(new JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
