using System.CommandLine;

namespace Analytics.Actors.Node.Cli;

/// <summary>The command line of <c>dead-letters</c>.</summary>
internal static class DeadLetterVerbs
{
    public static Command Command()
    {
        var command = new Command("dead-letters", "what could not be decoded, routed or applied: look at it, send it through the normal path again, or close it")
        {
            List(), Show(), Order("replay", "sends letters through the normal path again, as new records, in order per station"),
            Order("discard", "closes letters without doing anything; they can still be read"),
        };
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics dead-letters list --reason wrong-type --since 2h
              analytics dead-letters show 3-17
              analytics dead-letters replay 3-17 3-18
              analytics dead-letters replay --topic SCHEDULE-DEVICE-METER --reason wrong-type
              analytics dead-letters discard --until 2025-11-04T00:00:00+08:00 --by anna

            A letter's id is its shard and its number there. list and show work at any node; replay and discard at the node
            that owns the shard, and say which that is. Only what holds a source record, or an item of one, can be replayed;
            show says so.
            """);
        return command;
    }

    private static Command List()
    {
        var filter = new FilterOptions("100");
        var state = new Option<string>("--state") { Description = "open, replayed, discarded or all", DefaultValueFactory = _ => "open" };
        state.AcceptOnlyFromAmong("open", "replayed", "discarded", "all");
        var after = new Option<string?>("--after") { Description = "an id: those that are older than it" };
        var (address, json) = (NodeClient.Address(), NodeClient.Json());
        var command = new Command("list", "dead letters of the whole cluster, the newest first") { state, after, address, json };
        filter.AddTo(command);
        command.SetAction((parse, cancellation) => WithNodeAsync(parse, address, json, verb =>
            verb.ListAsync(filter.Read(parse), parse.GetValue(state)!, parse.GetValue(after), cancellation)));
        return command;
    }

    private static Command Show()
    {
        var id = new Argument<string>("ID") { Description = "such as 3-17" };
        var (address, json) = (NodeClient.Address(), NodeClient.Json());
        var command = new Command("show", "one dead letter, with its bytes and whether it can be replayed") { id, address, json };
        command.SetAction((parse, cancellation) => WithNodeAsync(parse, address, json, verb => verb.ShowAsync(Id(parse.GetValue(id)!), cancellation)));
        return command;
    }

    private static Command Order(string what, string says)
    {
        var ids = new Argument<string[]>("ID") { Description = "such as 3-17; or give a filter: all open letters that it means", Arity = ArgumentArity.ZeroOrMore };
        var filter = new FilterOptions("1000");
        var all = new Option<bool>("--all") { Description = "all open letters" };
        var by = NodeClient.By("who orders it, for the log and the letter");
        var (address, json) = (NodeClient.Address(), NodeClient.Json());
        var command = new Command(what, says) { ids, all, by, address, json };
        filter.AddTo(command);
        command.SetAction((parse, cancellation) =>
        {
            var named = (parse.GetValue(ids) ?? []).Select(Id).ToList();
            var selection = filter.Read(parse);
            var isFiltered = selection.Given.Any();
            if (named.Count > 0 && (isFiltered || parse.GetValue(all))) throw new BadArgumentsException($"{what}: name letters, or give a filter, not both");
            if (named.Count == 0 && !isFiltered && !parse.GetValue(all)) throw new BadArgumentsException($"{what}: say which letters: their ids, a filter (--topic, --reason, --station, --since, --until), or --all");
            return WithNodeAsync(parse, address, json, verb => verb.OrderAsync(what, named, selection, parse.GetValue(all), parse.GetValue(by)!, cancellation));
        });
        return command;
    }

    private static async Task<int> WithNodeAsync(ParseResult parse, Option<string> address, Option<bool> json, Func<DeadLettersVerb, Task<int>> run)
    {
        // An order waits for checkpoints, a hundred letters at a time.
        using var http = NodeClient.Connect(parse, TimeSpan.FromMinutes(5));
        return await run(new DeadLettersVerb(new NodeClient(http, Console.Error), parse.GetValue(json), Console.Out, Console.Error)).ConfigureAwait(false);
    }

    private static string Id(string text) =>
        Core.DeadLetterId.TryParse(text, out var id) ? id.ToString() : throw new BadArgumentsException($"{text}: is not the id of a dead letter; one looks like 3-17 (shard, number)");

    /// <summary>The options that say which letters are meant.</summary>
    private sealed class FilterOptions(string limitDefault)
    {
        private readonly Option<string?> topic = new("--topic") { Description = "of this source topic" };
        private readonly Option<string?> reason = new("--reason") { Description = "with this code: not-json, no-id, wrong-type, ..." };
        private readonly Option<string?> station = new("--station") { Description = "of this station, where it is known" };
        private readonly Option<string?> since = new("--since") { Description = "written at this time or later: 2025-11-04T10:00:00+08:00 (without a zone: UTC), or a span before now: 2h" };
        private readonly Option<string?> until = new("--until") { Description = "written before this time" };
        private readonly Option<int?> limit = new("--limit") { Description = $"at most so many, 1 to 10000 [default: {limitDefault}]" };

        public void AddTo(Command command)
        {
            foreach (var option in (Option[])[topic, reason, station, since, until, limit]) command.Add(option);
        }

        public DeadLetterSelection Read(ParseResult parse)
        {
            if (parse.GetValue(limit) is { } most and (< 1 or > 10_000)) throw new BadArgumentsException($"--limit {most}: must be 1 to 10000");
            return new(parse.GetValue(topic), parse.GetValue(reason), parse.GetValue(station), parse.GetValue(since), parse.GetValue(until), parse.GetValue(limit));
        }
    }
}
