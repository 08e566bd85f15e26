using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using static Analytics.Actors.Node.Cli.Tables;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verbs <c>stations</c> and <c>station ID [pause|resume|forget]</c>.</summary>
internal sealed class StationVerbs(Desk desk)
{
    private const string Root = "/api/v1";

    // Lines of one window's series, as of a grid with many guns.
    private const int SeriesMost = 6;

    public Command Stations()
    {
        var prefix = new Option<string?>("--prefix") { Description = "whose id begins with this" };
        var shard = new Option<int?>("--shard") { Description = "of this shard" };
        var stale = new Option<bool>("--stale") { Description = "those that have waited longest since their last record, first" };
        var after = new Option<string?>("--after") { Description = "an id: those that come after it" };
        var limit = new Option<int>("--limit") { Description = "at most so many, 1 to 10000", DefaultValueFactory = _ => 50 };
        var command = new Command("stations", "stations by id, of the whole cluster, in memory or not; or those that have waited longest") { prefix, shard, stale, after, limit };
        var look = new Look(desk, command);
        command.SetAction((parse, cancellation) =>
        {
            var most = parse.GetValue(limit);
            if (most is < 1 or > 10_000) throw new BadArgumentsException($"--limit {most}: must be 1 to 10000");
            if (parse.GetValue(stale) && parse.GetValue(after) is not null) throw new BadArgumentsException("--after: goes with the list by id, not with --stale");
            List<string> query = [$"limit={most}"];
            if (parse.GetValue(prefix) is { } begins) query.Add("prefix=" + Uri.EscapeDataString(begins));
            if (parse.GetValue(shard) is { } one) query.Add($"shard={one.ToString(CultureInfo.InvariantCulture)}");
            if (parse.GetValue(after) is { } last) query.Add("after=" + Uri.EscapeDataString(last));
            var path = $"{Root}/{(parse.GetValue(stale) ? "stale-stations" : "stations")}?{string.Join('&', query)}";
            return look.ShowAsync(parse, (node, stop) => node.GetAsync(path, stop), answer => List(answer, look.Now), cancellation);
        });
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics stations --prefix 4403
              analytics stations --stale --limit 20 --watch 10
              analytics stations --shard 3 --json
            """);
        return command;
    }

    public Command Station()
    {
        var id = new Argument<string>("ID") { Description = "the station's id" };
        var order = new Argument<string?>("ORDER") { Description = "pause, resume or forget it; without: show it", Arity = ArgumentArity.ZeroOrOne };
        order.AcceptOnlyFromAmong("pause", "resume", "forget");
        var by = NodeClient.By("who orders it, for the record");
        var yes = Look.Yes();
        var command = new Command("station", "one station: windows with sparklines, modules' inputs and dependencies, open calls, last answers; or pause, resume, forget it") { id, order, by, yes };
        var look = new Look(desk, command);
        command.SetAction(async (parse, cancellation) =>
        {
            var station = parse.GetValue(id)!;
            if (parse.GetValue(order) is not { } what)
                return await look.ShowAsync(parse, (node, stop) => node.GetAsync($"{Root}/station?id={Uri.EscapeDataString(station)}", stop), answer => Describe(answer, look.Now), cancellation).ConfigureAwait(false);
            if (what == "forget") await look.ConfirmAsync(parse, parse.GetValue(yes), $"Everything that is held of station {Visible(station)} will be deleted.", cancellation).ConfigureAwait(false);
            return await look.ShowAsync(
                parse, (node, stop) => node.PostAsync($"{Root}/station/{what}", new JsonObject { ["id"] = station, ["by"] = parse.GetValue(by) }, stop),
                answer => $"station {Visible(station)} {(what == "pause" ? "is paused: windows go on, its calls answer nothing" : what == "resume" ? "goes on with the next record" : "is forgotten: the next record makes it anew")} (shard {answer["shard"]} on {answer["node"]})",
                cancellation).ConfigureAwait(false);
        });
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics station 4403001
              analytics station 4403001 --watch
              analytics station 4403001 pause --by anna
              analytics station 4403001 resume
              analytics station 4403001 forget --yes

            The answer to an order comes when it is stored. Paused: windows go on, what would call modules answers nothing, so
            that no batch waits. Forgotten: windows, open calls and timers are deleted; the next record makes the station anew.
            """);
        return command;
    }

    private static string List(JsonNode answer, DateTimeOffset now)
    {
        var lines = answer as JsonArray ?? answer["stations"] as JsonArray ?? [];
        List<string> text = [];
        if (answer is JsonObject all) text.Add($"{Count(all["station_count"])} stations{(lines.Count == 0 ? ", none as asked for" : "")}");
        else if (lines.Count == 0) text.Add("no stations");
        if (lines.Count > 0)
        {
            text.Add(Render(
                ["station", "node", ">shard", "last record", ">age", ">topics", ">calls", "state"],
                lines.Select(line => (IReadOnlyList<string>)
                [
                    Text(line!["station"]), Text(line["node"]), Text(line["shard"]), Time(line["newest"]), Ago(line["newest"], now), Text(line["topics"]), Text(line["calls_owed"]),
                    IsTrue(line["paused"]) ? "PAUSED" : IsTrue(line["stale"]) ? "as the database has it" : IsTrue(line["in_memory"]) ? "in memory" : "in the database",
                ])));
        }

        if ((answer as JsonObject)?["next"] is { } next) text.Add($"more: --after {Visible(Text(next))}");
        return string.Join('\n', text);
    }

    private static string Describe(JsonNode station, DateTimeOffset now)
    {
        List<string> text =
        [
            $"station   {Visible(Text(station["station"]))}{(IsTrue(station["paused"]) ? "   PAUSED" : "")}",
            $"shard     {Text(station["shard"])} on {Text(station["node"])}, epoch {Text(station["epoch"])}, {(IsTrue(station["stale"]) ? "as the database has it" : IsTrue(station["in_memory"]) ? "in memory" : "in the database")}",
            $"record    {(station["newest"] is { } newest ? $"the last one {Ago(newest, now)} ago, {Time(newest)}" : "none is held")}; {Count(station["lag"])} wait in its shard's logs",
            $"calls     {Text(station["calls_owed"])} owed",
            "",
            "windows",
        ];
        var windows = station["windows"] as JsonObject ?? [];
        if (windows.Count == 0) text.Add("  none");
        foreach (var (topic, window) in windows)
        {
            var age = window!["age_seconds"] is { } seconds ? $"{Span(Number(seconds))} old" : "-";
            text.Add($"  {topic}  {(IsTrue(window["empty"]) ? "empty" : $"{age}, {Bytes(window["bytes"])}")}{(window["failed"] is { } failed ? $"  FAILED: {Visible(Text(failed))}" : "")}");
            text.AddRange(Members(window["input"] as JsonObject ?? []));
        }

        var modules = station["modules"] as JsonArray ?? [];
        if (modules.Count > 0) text.AddRange(["", "modules (what a call would see now)", Indented(Render(
            ["module", "ready", ">available", "missing", "failed", "depends on"],
            modules.Select(module => (IReadOnlyList<string>)
            [
                Text(module!["module"]), IsTrue(module["ready"]) ? "yes" : "no", Number(module["availability_ratio"]).ToString("0%", CultureInfo.InvariantCulture),
                Names(module["missing_topics"]), Names(module["failed_topics"]),
                string.Join(", ", (module["depends_on"] as JsonArray ?? []).Select(needed => $"{needed!["module"]} ({(IsTrue(needed["available"]) ? $"{Span(Number(needed["age_seconds"]))} old" : "missing")})")) is { Length: > 0 } needs ? needs : "-",
            ])))]);
        var calls = station["calls"] as JsonArray ?? [];
        if (calls.Count > 0) text.AddRange(["", "open calls", Indented(Render(
            ["module", "state", ">attempts", "input taken", "due", "batches"],
            calls.Select(call => (IReadOnlyList<string>)
            [
                Text(call!["module"]), Text(call["state"]), Text(call["attempts"]), call["captured"] is { } taken ? Ago(taken, now) + " ago" : "-",
                call["due"] is { } due ? "in " + Span((Number(due) - now.ToUnixTimeMilliseconds()) / 1000) : "-", Names(call["batches"]),
            ])))]);
        var answers = station["answers"] as JsonArray ?? [];
        if (answers.Count > 0) text.AddRange(["", "last answers", Indented(Render(
            ["answered", "module", "outcome", ">attempt", "batch", "reason"],
            answers.Select(answer => (IReadOnlyList<string>)[Ago(answer!["time"], now) + " ago", Text(answer["module"]), Text(answer["outcome"]), Text(answer["attempt"]), Text(answer["batch_id"]), Text(answer["reason"])])))]);
        return string.Join('\n', text);
    }

    // Series as sparklines, single values after each other.
    private static IEnumerable<string> Members(JsonObject input)
    {
        List<string> singles = [];
        foreach (var (name, value) in input)
        {
            if (value is not JsonArray list) singles.Add($"{name} {Short(value)}");
            else
            {
                var series = list.Count > 0 && list.All(inner => inner is JsonArray) ? SeriesOf(name, [.. list.Select(inner => (JsonArray)inner!)]) : [(name, list)];
                foreach (var (title, values) in series.Take(SeriesMost)) yield return $"    {Visible(title),-32} {Series(values)}";
                if (series.Count > SeriesMost) yield return $"    {Visible(name)}: {series.Count - SeriesMost} more (--json has them)";
            }
        }

        if (singles.Count > 0) yield return "    " + Visible(string.Join("  ", singles));
    }

    // A grid has a row per period and a value per gun, aligned lists the other way round: a series runs along the longer side.
    private static List<(string Title, JsonArray Values)> SeriesOf(string name, IReadOnlyList<JsonArray> rows)
    {
        var width = rows.Max(row => row.Count);
        return rows.Count <= width
            ? rows.Select((row, index) => ($"{name}[{index}]", row)).ToList()
            : Enumerable.Range(0, width).Select(index => ($"{name}[{index}]", new JsonArray([.. rows.Select(row => index < row.Count ? row[index]?.DeepClone() : null)]))).ToList();
    }

    private static string Series(JsonArray values)
    {
        var numbers = values.Select(value => value?.GetValueKind() == JsonValueKind.Number ? Number(value) : (double?)null).ToList();
        var known = numbers.OfType<double>().ToList();
        if (known.Count == 0 || known.Count < values.Count(value => value is not null)) return Visible(values.Count <= 3 ? string.Join(", ", values.Select(Short)) : $"{values.Count} values, {Short(values[0])} to {Short(values[^1])}");
        return known.Count == 1 ? Plain(known[0]) : $"{Sparkline(numbers)}  {Plain(known.Min())} to {Plain(known.Max())}, last {Plain(known[^1])}";
    }

    private static string Plain(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);

    private static string Short(JsonNode? value)
    {
        var text = value is JsonObject or JsonArray ? Json(value) : value?.ToString() ?? "null";
        return text.Length > 60 ? text[..57] + "..." : text;
    }

    private static string Names(JsonNode? list) => list is JsonArray { Count: > 0 } names ? string.Join(", ", names.Select(Text)) : "-";

    private static string Indented(string table) => "  " + table.Replace("\n", "\n  ", StringComparison.Ordinal);
}
