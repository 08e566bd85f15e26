using System.CommandLine;
using System.Text.Json.Nodes;
using static Analytics.Actors.Node.Cli.Tables;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verbs <c>shards</c>, <c>batches</c> and <c>sources</c>: what is worked on, and how far it is.</summary>
internal sealed class WorkVerbs(Desk desk)
{
    private const string Root = "/api/v1";

    public Command Shards()
    {
        var command = new Command("shards", "every shard: its owner and phase, stations, what it has read, holds and owes");
        var look = new Look(desk, command);
        command.SetAction((parse, cancellation) => look.ShowAsync(parse, AskShardsAsync, shards => Render(
            [">shard", "node", "phase", ">epoch", ">stations", ">in memory", ">lag", ">waiting", ">calls", ">batches", ">outbox", ">checkpoint", "state"],
            ((JsonArray)shards).Select(shard => (IReadOnlyList<string>)
            [
                Text(shard!["shard"]), Text(shard["node"]), Text(shard["phase"]), Text(shard["epoch"]), Count(shard["stations"]), Count(shard["stations_in_memory"]), Count(shard["lag"]),
                Count(shard["waiting_records"]), Count(shard["running_calls"]), Count(shard["batches"]), Count(shard["outbox"]), Text(shard["checkpoint"]),
                IsTrue(shard["full"]) ? "full, reading pauses" : Number(shard["missing_records"]) > 0 ? $"{shard["missing_records"]} records missing" : Stale(shard),
            ])), cancellation));
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics shards
              analytics shards --watch 1
              analytics shards --json | jq '.[] | select(.lag > 0)'

            lag is what waits in a shard's logs; waiting are records in hand whose stations are being loaded.
            """);
        return command;
    }

    public Command Batches()
    {
        var limit = new Option<int>("--limit") { Description = "at most so many, 1 to 10000", DefaultValueFactory = _ => 50 };
        var module = new Option<string?>("--module") { Description = "of this module" };
        var open = new Option<bool>("--open") { Description = "only those that are not over" };
        var command = new Command("batches", "batches that wait for answers, the oldest first, then those that are over and kept for late answers") { module, open, limit };
        var look = new Look(desk, command);
        command.SetAction((parse, cancellation) =>
        {
            var most = parse.GetValue(limit);
            if (most is < 1 or > 10_000) throw new BadArgumentsException($"--limit {most}: must be 1 to 10000");
            var isAll = parse.GetValue(module) is null && !parse.GetValue(open);
            return look.ShowAsync(parse, async (node, stop) =>
            {
                var found = await node.GetAsync($"{Root}/batches?limit={(isAll ? most : 10_000)}", stop).ConfigureAwait(false) as JsonArray;
                return found is null ? null : new JsonArray([.. found.Where(batch => (parse.GetValue(module) is not { } name || Text(batch!["module"]) == name) && (!parse.GetValue(open) || batch!["ended"] is null))
                    .Take(most).Select(batch => batch!.DeepClone())]);
            }, batches => ((JsonArray)batches).Count == 0 ? "no batches" : Render(
                ["batch", "module", "node", ">shard", "state", ">answered", ">expected", ">age", ">deadline", ">revision", "waits for"],
                ((JsonArray)batches).Select(batch => (IReadOnlyList<string>)
                [
                    Text(batch!["batch_id"]), Text(batch["module"]), Text(batch["node"]), Text(batch["shard"]), batch["ended"] is not null ? "over" : IsTrue(batch["open"]) ? "open" : "not announced",
                    Text(batch["answered"]), Text(batch["expected"]), Ago(batch["opened"], look.Now),
                    batch["deadline"] is { } deadline ? "in " + Span((Number(deadline) - look.Now.ToUnixTimeMilliseconds()) / 1000) : "-",
                    Text(batch["revision"]), string.Join(' ', batch["waits_for"]!.AsArray().Select(Text)),
                ])), cancellation);
        });
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics batches --open
              analytics batches --module load_prediction --watch
            """);
        return command;
    }

    public Command Sources()
    {
        var command = new Command("sources", "every source partition: who reads it, position, end, lag, last record, rate");
        var look = new Look(desk, command);
        command.SetAction((parse, cancellation) => look.ShowAsync(parse, (node, stop) => node.GetAsync($"{Root}/sources", stop), sources => Render(
            ["topic", ">partition", "node", ">position", ">end", ">lag", "last record", ">records/s", "state"],
            ((JsonArray)sources).Select(source => (IReadOnlyList<string>)
            [
                Text(source!["topic"]), Text(source["partition"]), Text(source["node"]), Text(source["position"]), Text(source["end"]), Count(source["lag"]),
                source["last_record"] is { } last ? $"{Time(last)} ({Ago(last, look.Now)} ago)" : "-", Count(source["records_per_second"]),
                source["stopped"] is { } stopped ? $"STOPPED: {stopped}" : source["gap"] is { } gap ? $"gap at {gap["at"]}: {gap["reason"]}" : Stale(source),
            ])), cancellation));
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics sources --watch
              analytics sources --json | jq 'map(.lag // 0) | add'

            last record is the time of the newest record that a node has read since its start; positions show has the gaps.
            """);
        return command;
    }

    // A node that does not answer, of which the database tells what it last knew.
    private static string Stale(JsonNode line) => IsTrue(line["stale"]) ? line["age_seconds"] is { } age ? $"as of {Span(Number(age))} ago" : "as the database has it" : "";

    // Shards that no node tells of are shown too.
    private static async Task<JsonNode?> AskShardsAsync(NodeClient node, CancellationToken cancellation)
    {
        if (await node.GetAsync($"{Root}/shards", cancellation).ConfigureAwait(false) is not JsonArray shards
            || await node.GetAsync($"{Root}/cluster", cancellation).ConfigureAwait(false) is not JsonObject cluster) return null;
        var known = shards.Select(shard => (int)Number(shard!["shard"])).ToHashSet();
        for (var shard = 0; shard < (int)Number(cluster["shard_count"]); shard++)
        {
            if (!known.Contains(shard)) shards.Add(new JsonObject { ["shard"] = shard, ["node"] = null, ["phase"] = "no owner" });
        }

        var ordered = shards.OrderBy(shard => Number(shard!["shard"])).ToList();
        shards.Clear();
        return new JsonArray([.. ordered]);
    }
}
