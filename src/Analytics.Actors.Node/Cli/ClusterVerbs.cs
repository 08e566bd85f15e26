using System.CommandLine;
using System.CommandLine.Completions;
using System.Globalization;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;
using static Analytics.Actors.Node.Cli.Tables;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verbs <c>cluster show, status, leave, down, tail</c>: any node answers.</summary>
internal sealed class ClusterVerbs(Desk desk)
{
    private const string Root = "/api/v1";

    private static readonly TimeSpan CompletionLimit = TimeSpan.FromMilliseconds(300);

    public Command Command()
    {
        var command = new Command("cluster", "nodes of the cluster: who is there, is all well, what happened; take one out") { Show(), Status(), Leave(), Down(), Tail() };
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics cluster status
              analytics cluster show --watch
              analytics cluster tail --since 1h
              analytics cluster leave node-2
              analytics cluster down node-3 --yes --by anna

            Any node can be asked (--address); each answers for all of them.
            """);
        return command;
    }

    /// <summary>Ids of nodes, from a node on this machine, if one answers at once.</summary>
    public static IEnumerable<CompletionItem> NodeIds()
    {
        try
        {
            using var http = NodeClient.Connect(NodeClient.DefaultAddress, CompletionLimit);
            var nodes = JsonNode.Parse(http.GetStringAsync($"{Root}/nodes").GetAwaiter().GetResult()) as JsonArray ?? [];
            return nodes.Select(node => new CompletionItem(Text(node!["node"]))).ToList();
        }
        catch (Exception away) when (away is HttpRequestException or OperationCanceledException or System.Text.Json.JsonException or BadArgumentsException)
        {
            return [];
        }
    }

    private Command Show()
    {
        var command = new Command("show", "every node: address, version, roles, state, shards, load, when it was last seen");
        var look = new Look(desk, command);
        command.SetAction((parse, cancellation) => look.ShowAsync(parse, (node, stop) => node.GetAsync($"{Root}/nodes", stop), nodes => Nodes((JsonArray)nodes, look.Now), cancellation));
        return command;
    }

    internal static string Nodes(JsonArray nodes, DateTimeOffset now)
    {
        return Render(
            ["node", "state", "address", "version", "roles", ">shards", ">records/s", ">calls", ">cpu", ">memory", ">config", ">up", ">seen"],
            nodes.Select(node => (IReadOnlyList<string>)
            [
                Text(node!["node"]), Text(node["state"]), Text(node["address"]), Text(node["version"]), string.Join('+', node["roles"]!.AsArray().Select(Text)),
                .. IsGone(node) ? Enumerable.Repeat("-", 7) : [
                    Text(node["shards"]), Count(node["records_per_second"]), Text(node["calls_running"]), Number(node["cpu"]).ToString("0%", CultureInfo.InvariantCulture), Bytes(node["memory_bytes"]),
                    Text(node["configuration_version"]), Ago(node["started"], now)],
                Span(Number(node["age_seconds"])) + " ago",
            ]));

        // What it last told of itself is no longer so.
        static bool IsGone(JsonNode node) => Text(node["state"]) is "left" or "down";
    }

    private Command Status()
    {
        var command = new Command("status", "is the cluster healthy, and if not, why; exit code 1 where it is not");
        var look = new Look(desk, command);
        command.SetAction((parse, cancellation) => look.ShowAsync(parse, AskStatusAsync, status => Describe((JsonObject)status), cancellation, status => IsTrue(status["healthy"]) ? Verbs.Done : Verbs.Failed));
        return command;
    }

    private static async Task<JsonNode?> AskStatusAsync(NodeClient node, CancellationToken cancellation) =>
        await node.GetAsync($"{Root}/status", cancellation).ConfigureAwait(false) is JsonArray lines
        && await node.GetAsync($"{Root}/nodes", cancellation).ConfigureAwait(false) is JsonArray nodes ? Judge(lines, nodes) : null;

    internal static JsonObject Judge(JsonArray lines, JsonArray nodes)
    {
        var reasons = new List<string>();
        var vanished = nodes.Where(node => Text(node!["state"]) == "vanished").ToDictionary(node => Text(node!["node"]), node => Number(node!["age_seconds"]), StringComparer.Ordinal);
        foreach (var (node, age) in vanished) reasons.Add($"{node}: not heard of for {Span(age)}; start it again, or, if it is not to come back: analytics cluster down {node}");
        // That one that vanished does not answer goes without saying.
        foreach (var line in lines.Where(line => Text(line!["status"]) is not ("healthy" or "-") && !(Text(line["status"]) == "unreachable" && vanished.ContainsKey(Text(line["node"])))))
        {
            var problems = line!["problems"] as JsonArray ?? [];
            reasons.AddRange(problems.Count == 0 ? [$"{line["node"]}: {line["status"]}"] : problems.Select(problem => $"{line["node"]}: {problem}"));
        }

        var count = lines.Max(line => (int)Number(line!["shard_count"]));
        var owned = lines.SelectMany(line => line!["shards"] as JsonArray ?? []).Select(shard => (int)Number(shard)).ToHashSet();
        var orphans = Enumerable.Range(0, count).Where(shard => !owned.Contains(shard)).ToList();
        if (orphans.Count > 0) reasons.Add($"{(orphans.Count == 1 ? "shard" : "shards")} {string.Join(", ", orphans)}: run by no node that answers");
        JsonArray Numbers(IEnumerable<int> numbers) => new([.. numbers.Select(number => (JsonNode)number)]);
        return new JsonObject
        {
            ["healthy"] = reasons.Count == 0,
            ["reasons"] = new JsonArray([.. reasons.Select(reason => (JsonNode)reason)]),
            ["nodes"] = new JsonObject(nodes.CountBy(node => Text(node!["state"])).Select(state => KeyValuePair.Create(state.Key, (JsonNode?)state.Value))),
            ["shard_count"] = count,
            ["shards_owned"] = owned.Count,
            ["shards_without_owner"] = Numbers(orphans),
            ["stations"] = lines.Sum(line => (long)Number(line!["stations"])),
            ["source_lag"] = lines.Sum(line => (long)Number(line!["source_lag"])),
            ["shard_lag"] = lines.Sum(line => (long)Number(line!["shard_lag"])),
            ["stuck_calls"] = lines.Sum(line => (line!["stuck_calls"] as JsonArray)?.Count ?? 0),
            ["stores"] = new JsonObject(lines.Where(line => line!["store"] is not null).Select(line => KeyValuePair.Create(Text(line!["node"]), (JsonNode?)line!["store"]!.DeepClone()))),
        };
    }

    internal static string Describe(JsonObject status)
    {
        var reasons = status["reasons"]!.AsArray();
        var stores = status["stores"]!.AsObject().Where(store => Text(store.Value) != "running").ToList();
        List<string> lines =
        [
            IsTrue(status["healthy"]) ? "healthy" : $"NOT HEALTHY: {reasons.Count} {(reasons.Count == 1 ? "reason" : "reasons")}",
            "",
            $"nodes     {(status["nodes"]!.AsObject() is { Count: > 0 } states ? string.Join(", ", states.Select(state => $"{state.Value} {state.Key}")) : "none has registered")}",
            $"shards    {status["shards_owned"]} of {status["shard_count"]} run",
            $"stations  {Count(status["stations"])}",
            $"lag       {Count(status["source_lag"])} records of sources, {Count(status["shard_lag"])} of shards",
            $"calls     {status["stuck_calls"]} stuck",
            $"store     {(stores.Count == 0 ? "running" : string.Join(", ", stores.Select(store => $"{store.Value} at {store.Key}")))}",
        ];
        if (reasons.Count > 0) lines.AddRange(["", .. reasons.Select(reason => "- " + Visible(Text(reason)))]);
        return string.Join('\n', lines);
    }

    private Command Leave() => Order("leave", "takes a node out in order: it hands its shards over and ends", false,
        (_, answer) => $"{answer["node"]} leaves; analytics cluster tail shows how it goes");

    private Command Down() => Order("down", "declares a dead or frozen node down: its shards are fenced at once, it can write nothing more", true,
        (name, answer) => answer["shards"] is JsonArray { Count: > 0 } shards ? $"{name} is down, fenced: shards {string.Join(", ", shards.Select(Text))}" : $"{name} is down; it had no shards");

    private Command Order(string what, string says, bool isAsked, Func<string, JsonObject, string> tell)
    {
        var name = new Argument<string>("NODE") { Description = "its id, as cluster show has it" };
        name.CompletionSources.Add(_ => NodeIds());
        var by = NodeClient.By("who orders it, for the record");
        var yes = Look.Yes();
        var command = new Command(what, says) { name, by };
        if (isAsked) command.Add(yes);
        var look = new Look(desk, command, isWatched: false);
        command.SetAction(async (parse, cancellation) =>
        {
            var node = parse.GetValue(name)!;
            if (isAsked) await look.ConfirmAsync(parse, parse.GetValue(yes), $"{node} will be able to write nothing more, and ends as soon as it hears of it.", cancellation).ConfigureAwait(false);
            return await look.ShowAsync(
                parse, (client, stop) => client.PostAsync($"{Root}/cluster/{what}", new JsonObject { ["node"] = node, ["by"] = parse.GetValue(by) }, stop),
                answer => tell(node, answer as JsonObject ?? []), cancellation).ConfigureAwait(false);
        });
        return command;
    }

    private Command Tail()
    {
        var since = new Option<string?>("--since") { Description = "begin with what happened in this span before now, such as 1h; default: the last 20 events" };
        var once = new Option<bool>("--once") { Description = "what there is, and end" };
        var command = new Command("tail", "what happens: joins, leaves, handovers with their durations, fencings, gaps, orders; until Ctrl-C") { since, once };
        var look = new Look(desk, command, isWatched: false);
        command.SetAction((parse, cancellation) =>
        {
            long spanMs = 0;
            if (parse.GetValue(since) is { } text && !DurationText.TryParse(text, out spanMs)) throw new BadArgumentsException($"--since {text}: must be a span such as 30s, 5min or 1h");
            long? after = null;
            return look.FollowAsync(parse, async node =>
            {
                var path = after is { } last ? $"{Root}/events?after={last}&limit=10000" : $"{Root}/events?limit={(spanMs > 0 ? 10_000 : 20)}";
                if (await node.GetAsync(path, cancellation).ConfigureAwait(false) is not JsonArray events) return false;
                foreach (var happened in events)
                {
                    var number = (long)Number(happened!["number"]);
                    var isOld = after is null && spanMs > 0 && Number(happened["time"]) < (look.Now.ToUnixTimeMilliseconds() - spanMs);
                    if (!isOld) await parse.InvocationConfiguration.Output.WriteLineAsync(look.AsJson(parse) ? Json(happened) : Line(happened)).ConfigureAwait(false);
                    if (ReferenceEquals(happened, events[^1])) after = number;
                }

                after ??= 0;
                await parse.InvocationConfiguration.Output.FlushAsync(cancellation).ConfigureAwait(false);
                return true;
            }, parse.GetValue(once), cancellation);
        });
        return command;
    }

    private static string Line(JsonNode happened)
    {
        var shard = happened["shard"] is { } number ? $"shard {number}" : "";
        var took = happened["duration_ms"] is { } ms ? Span(Number(ms) / 1000) : "";
        var by = happened["by"] is { } who ? $" (by {who})" : "";
        return Visible($"{Time(happened["time"])}  {Text(happened["kind"]),-13}  {Text(happened["node"]),-12}  {shard,-9}  {took,6}  {happened["detail"]}{by}").TrimEnd();
    }
}
