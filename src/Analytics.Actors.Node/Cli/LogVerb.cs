using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using static Analytics.Actors.Node.Cli.Tables;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verb <c>log tail</c>: the newest lines of every node's log, merged by time.</summary>
internal sealed class LogVerb(Desk desk)
{
    // Nodes' clocks differ: what one has just written may have a lower number than what another wrote before.
    private const long SkewMicroseconds = 30_000_000;

    public Command Command()
    {
        var node = new Option<string?>("--node") { Description = "of this node only" };
        node.CompletionSources.Add(_ => ClusterVerbs.NodeIds());
        var level = new Option<string?>("--level") { Description = "this level and above: debug, info, warning, error, critical" };
        string[] levels = ["debug", "info", "warning", "error", "critical"];
        level.CompletionSources.Add(levels);
        var station = new Option<string?>("--station") { Description = "lines about this station" };
        var lines = new Option<int>("--lines") { Description = "how many to begin with, 1 to 10000", DefaultValueFactory = _ => 50 };
        var follow = new Option<bool>("--follow", "-f") { Description = "and what comes, until Ctrl-C" };
        var tail = new Command("tail", "the newest lines of all nodes' logs, merged by time; each node keeps its last 2000") { node, level, station, lines, follow };
        var look = new Look(desk, tail, isWatched: false);
        tail.SetAction((parse, cancellation) =>
        {
            var most = parse.GetValue(lines);
            if (most is < 1 or > 10_000) throw new BadArgumentsException($"--lines {most}: must be 1 to 10000");
            List<string> query = [];
            // Lines show their level in capitals; who copies it from there means the same.
            if (parse.GetValue(level) is { } lowest)
            {
                if (!levels.Contains(lowest, StringComparer.OrdinalIgnoreCase)) throw new BadArgumentsException($"--level {lowest}: must be one of {string.Join(", ", levels)}");
                query.Add($"level={lowest.ToLowerInvariant()}");
            }

            if (parse.GetValue(station) is { } id) query.Add($"station={Uri.EscapeDataString(id)}");
            var known = new Dictionary<string, long>(StringComparer.Ordinal);
            return look.FollowAsync(parse, async client =>
            {
                var isFirst = known.Count == 0;
                var from = isFirst ? $"limit={most}" : $"after={known.Values.Max() - SkewMicroseconds}&limit=10000";
                if (await client.GetAsync($"/api/v1/log?{string.Join('&', query.Append(from))}", cancellation).ConfigureAwait(false) is not JsonArray found) return false;
                var wanted = found.Where(line => parse.GetValue(node) is not { } one || Text(line!["node"]) == one)
                    .Where(line => !known.TryGetValue(Text(line!["node"]), out var last) || Number(line["number"]) > last)
                    .OrderBy(line => Number(line!["number"])).ToList();
                foreach (var line in isFirst ? wanted.TakeLast(most) : wanted)
                {
                    known[Text(line!["node"])] = (long)Number(line["number"]);
                    await parse.InvocationConfiguration.Output.WriteLineAsync(look.AsJson(parse) ? Json(line) : Line(line)).ConfigureAwait(false);
                }

                if (known.Count == 0) known[""] = 0;
                await parse.InvocationConfiguration.Output.FlushAsync(cancellation).ConfigureAwait(false);
                return true;
            }, !parse.GetValue(follow), cancellation);
        });
        HelpWithExamples.AddTo(tail, """
            Examples:
              analytics log tail
              analytics log tail --level warning --follow
              analytics log tail --node node-2 --station 4403001
            """);
        return new Command("log", "logs of the cluster's nodes") { tail };
    }

    private static string Line(JsonNode line)
    {
        var time = DateTimeOffset.FromUnixTimeMilliseconds((long)Number(line["time"])).ToString("yyyy-MM-dd HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
        // A trace of an exception keeps its lines; each of them without control characters.
        return $"{time}  {Text(line["level"]),-8}  {Text(line["node"]),-12}  {string.Join("\n    ", Text(line["message"]).ReplaceLineEndings("\n").Split('\n').Select(line => Visible(line)))}";
    }
}
