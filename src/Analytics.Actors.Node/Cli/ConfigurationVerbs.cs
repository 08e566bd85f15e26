using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using static Analytics.Actors.Node.Cli.Tables;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verbs <c>config plan</c>, <c>config apply</c> and <c>config show</c>: the configuration that the cluster runs.</summary>
internal sealed class ConfigurationVerbs(Desk desk)
{
    private const string Root = "/api/v1/config";
    private static readonly TimeSpan AskAgain = TimeSpan.FromMilliseconds(500);

    public Command Plan()
    {
        var file = FileArgument();
        var command = new Command("plan", "what a pipeline file would change as the cluster's next configuration, and what that would do; changes nothing") { file };
        var look = new Look(desk, command, isWatched: false);
        command.SetAction((parse, cancellation) =>
        {
            var text = Read(parse.GetValue(file)!);
            return look.ShowAsync(parse, (node, stop) => node.PostAsync($"{Root}/plan", new JsonObject { ["text"] = text }, stop), Describe, cancellation, Judge);
        });
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics config plan cluster-config/pipeline.json
              analytics config plan new.json --json

            Exit code 0: it could be applied; 2: it is refused, and why is said.
            """);
        return command;
    }

    public Command Apply()
    {
        var file = FileArgument();
        var by = NodeClient.By("who applies it, for the record");
        var comment = new Option<string>("--comment") { Description = "why, for the record", DefaultValueFactory = _ => "" };
        var expect = new Option<long?>("--expect") { Description = "apply it only if this is still the current version" };
        var wait = new Option<int>("--wait") { Description = "seconds to wait until every node runs it", DefaultValueFactory = _ => 30 };
        var command = new Command("apply", "makes a pipeline file the cluster's next configuration, and waits until every node runs it; a refused one leaves all as it was") { file, by, comment, expect, wait };
        var look = new Look(desk, command, isWatched: false);
        command.SetAction((parse, cancellation) =>
        {
            var body = new JsonObject { ["text"] = Read(parse.GetValue(file)!), ["by"] = parse.GetValue(by), ["comment"] = parse.GetValue(comment) };
            if (parse.GetValue(expect) is { } version) body["expected"] = version;
            var limit = TimeSpan.FromSeconds(parse.GetValue(wait));
            return look.ShowAsync(parse, async (node, stop) =>
            {
                var applied = await node.PostAsync($"{Root}/apply", body, stop).ConfigureAwait(false);
                if (applied is not null && IsTrue(applied["applied"])) applied["behind"] = await BehindAsync(node, (long)Number(applied["version"]), limit, stop).ConfigureAwait(false);
                return applied;
            }, Describe, cancellation, Judge);
        });
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics config apply new.json --comment "station guidance"
              analytics config apply new.json --expect 7

            Nodes take it over while they run: no restart, nothing is lost or processed twice. Rules of routing (envelope, station,
            batches) count from an offset on, in each source partition: at most some seconds of traffic later.
            Exit code 0: every node runs it; 1: it is applied, and some node does not run it yet; 2: it was refused.
            """);
        return command;
    }

    public Command Show()
    {
        var version = new Argument<long?>("VERSION") { Description = "a version's number; default: the current one", Arity = ArgumentArity.ZeroOrOne };
        var text = new Option<bool>("--text") { Description = "the pipeline alone, as it was applied: good for a file" };
        var command = new Command("show", "the configuration that the cluster runs, its history, and which node runs which version") { version, text };
        var look = new Look(desk, command, isWatched: false);
        command.SetAction((parse, cancellation) => look.ShowAsync(
            parse, (node, stop) => node.GetAsync(parse.GetValue(version) is { } number ? $"{Root}?version={number.ToString(CultureInfo.InvariantCulture)}" : Root, stop),
            answer => parse.GetValue(text) ? answer["text"]!.GetValue<string>().TrimEnd('\n') : History(answer), cancellation));
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics config show
              analytics config show 3 --text > version3.json
            """);
        return command;
    }

    private static Argument<string> FileArgument() => new("FILE") { Description = "a pipeline file, as config check reads it" };

    private static string Read(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception wrong) when (wrong is IOException or UnauthorizedAccessException)
        {
            throw new BadArgumentsException($"{file}: cannot be read: {wrong.Message}");
        }
    }

    // The nodes that do not run the version when the time is up.
    private async Task<JsonArray> BehindAsync(NodeClient node, long version, TimeSpan limit, CancellationToken cancellation)
    {
        for (var begun = desk.Time.GetTimestamp(); ;)
        {
            var shown = await node.GetAsync(Root, cancellation).ConfigureAwait(false);
            var behind = (shown?["nodes"] as JsonArray ?? []).Where(line => Number(line!["version"]) < version).ToList();
            if ((shown is not null && behind.Count == 0) || desk.Time.GetElapsedTime(begun) >= limit) return new JsonArray([.. behind.Select(line => line!.DeepClone())]);
            await Task.Delay(AskAgain, desk.Time, cancellation).ConfigureAwait(false);
        }
    }

    private static int Judge(JsonNode answer) =>
        IsTrue(answer["refused"]) || answer["conflict"] is not null ? Verbs.BadArguments : answer["behind"] is JsonArray { Count: > 0 } ? Verbs.Failed : Verbs.Done;

    private static string Describe(JsonNode answer)
    {
        List<string> lines = [];
        if (answer["conflict"] is { } other) return $"nothing was applied: version {other} is the current one by now; plan it again";
        foreach (var problem in answer["problems"]!.AsArray()) lines.Add(Visible($"refused: {problem}"));
        foreach (var refusal in answer["refusals"]!.AsArray()) lines.Add(Visible($"refused: {refusal!["what"]}: {refusal["change"]}: {refusal["effect"]}"));
        foreach (var change in answer["changes"]!.AsArray()) lines.Add(Visible($"{change!["what"]}: {change["change"]}: {change["effect"]}"));
        foreach (var rule in answer["routing"]!.AsArray()) lines.Add(Visible($"routing, from an offset on: {rule!["rule"]}: \"{rule["from"]}\" -> \"{rule["to"]}\""));
        foreach (var warning in answer["warnings"]!.AsArray()) lines.Add(Visible($"note: {warning}"));
        if (IsTrue(answer["unchanged"])) lines.Add($"nothing changes: version {answer["current"]} says the same");
        else if (IsTrue(answer["refused"])) lines.Add($"nothing is changed: version {answer["current"]} stays");
        else if (answer["version"] is { } version)
        {
            foreach (var from in answer["from_offsets"]!.AsArray()) lines.Add($"{from!["topic"]}[{from["partition"]}]: routed by version {version} from offset {from["from"]} on");
            lines.Add($"version {version} is applied");
            var behind = answer["behind"]!.AsArray();
            lines.Add(behind.Count == 0 ? "every node runs it" : $"not yet on {string.Join(", ", behind.Select(line => $"{line!["node"]} (version {line["version"]})"))}: see its /health and log");
        }
        else lines.Add($"it can be applied on version {answer["current"]}");
        return string.Join('\n', lines);
    }

    private static string History(JsonNode answer) => string.Join('\n',
    [
        answer["text"]!.GetValue<string>().TrimEnd('\n'),
        "",
        Render([">version", "applied", "by", "comment"], answer["history"]!.AsArray().Select(line => (IReadOnlyList<string>)[$"{line!["version"]}", Time(line["applied"]), Text(line["by"]), Text(line["comment"])])),
        "",
        Render(["node", ">runs version"], answer["nodes"]!.AsArray().Select(line => (IReadOnlyList<string>)[Text(line!["node"]), $"{line["version"]}"])),
    ]);
}
