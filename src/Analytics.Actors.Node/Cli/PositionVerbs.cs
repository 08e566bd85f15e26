using System.CommandLine;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verbs <c>positions show</c> and <c>positions set</c>: they ask a node's API.</summary>
internal static class PositionVerbs
{
    private const string Path = "/api/v1/positions";
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(60);

    public static Command Command() => new("positions", "how far topics are read, and where reading goes on") { Show(), Set() };

    private static Command Show()
    {
        var address = NodeClient.Address();
        var json = NodeClient.Json();
        var command = new Command("show", "positions of source topics and of shards' logs, with their gaps; those that no node reads as they are stored") { address, json };
        command.SetAction((parse, cancellation) => AskAsync(parse, node => node.GetAsync($"{Path}?limit=10000", cancellation), (lines, output) =>
        {
            if (parse.GetValue(json)) output.WriteLine(lines.ToJsonString());
            else output.WriteLine(Tables.Render(
                ["topic", ">partition", ">next", ">end", ">lag", ">life", "state"],
                lines.Select(line => (IReadOnlyList<string>)[Tables.Text(line!["topic"]), Tables.Text(line["partition"]), Tables.Text(line["next"]), Tables.Text(line["end"]), Tables.Text(line["lag"]), Tables.Text(line["incarnation"]), State(line)])));
        }));
        return command;
    }

    private static Command Set()
    {
        var topic = new Argument<string>("TOPIC") { Description = "a source topic, or GROUP.station-events or GROUP.batch-results (their partition is the shard)" };
        var to = new Option<string>("--to") { Description = $"{PositionText.Form} (the first record that is not older; without a zone in the pipeline's)", Required = true };
        var partition = new Option<int?>("--partition") { Description = "this one only; default: all" };
        var by = NodeClient.By("who sets it, for the record");
        var address = NodeClient.Address();
        var json = NodeClient.Json();
        var command = new Command("set", """
            where reading of a topic goes on, while nodes run

            The nodes that read it go there within seconds; the jump is recorded with who set it and when. Set forward, the
            records between are skipped. Set backward, they are processed again on purpose: state changes by them once more,
            modules are called and results go out once more. Of shards' logs what was applied is not applied again, wherever
            they are set to.
            """) { topic, to, partition, by, address, json };
        command.SetAction((parse, cancellation) =>
        {
            if (!PositionText.TryRead(parse.GetValue(to)!, TimeSpan.Zero, out _)) throw new BadArgumentsException($"--to {parse.GetValue(to)}: must be {PositionText.Form}");
            var body = new JsonObject { ["topic"] = parse.GetValue(topic), ["to"] = parse.GetValue(to), ["by"] = parse.GetValue(by) };
            if (parse.GetValue(partition) is { } one) body["partition"] = one;
            return AskAsync(parse, node => node.PostAsync(Path, body, cancellation), (lines, output) =>
            {
                if (parse.GetValue(json)) output.WriteLine(lines.ToJsonString());
                else foreach (var line in lines) output.WriteLine($"{line!["topic"]}[{line["partition"]}] goes on at {line["next"]}{(line["from"] is { } from ? $" instead of {from}" : "")}, incarnation {line["incarnation"]}");
            });
        });
        return command;
    }

    private static string State(JsonNode line)
    {
        var gap = line["gap"] is { } found ? $"{found["at"]}: {found["from"] ?? "?"} to {found["to"] ?? "?"}, {found["reason"]}" : "";
        if (line["stopped"] is { } stopped) return $"STOPPED: {stopped}";
        if (line["wanted"]!.GetValue<bool>()) return $"to be taken up: {gap}";
        return gap.Length > 0 ? $"gap {gap}" : line["here"]!.GetValue<bool>() ? $"read by {line["node"]}" : "as stored";
    }

    private static async Task<int> AskAsync(
        ParseResult parse, Func<NodeClient, Task<JsonNode?>> request, Action<JsonArray, TextWriter> show)
    {
        var error = parse.InvocationConfiguration.Error;
        using var http = NodeClient.Connect(parse, AnswerLimit);
        var body = await request(new NodeClient(http, error)).ConfigureAwait(false);
        if (body is JsonArray lines)
        {
            show(lines, parse.InvocationConfiguration.Output);
            return Verbs.Done;
        }

        if (body is not null) await error.WriteLineAsync(body.ToJsonString()).ConfigureAwait(false);
        return Verbs.Failed;
    }
}
