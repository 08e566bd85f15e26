using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Node.Http;
using Analytics.Actors.Tests.Http;

namespace Analytics.Actors.Tests.CommandLines;

/// <summary>What a user reads of a node that has worked: in a pipe, so without colours, and with every id whole.</summary>
public sealed class LookingVerbTests(LiveNodeFixture fixture) : IClassFixture<LiveNodeFixture>
{
    private readonly LiveNode node = fixture.Node;

    private async Task<CommandRun> Look(params string[] arguments)
    {
        var run = await CommandRun.AtAsync(node, arguments);
        run.Output.ShouldNotContain("\u001b");
        run.Lines.ShouldAllBe(line => line == line.TrimEnd());
        return run;
    }

    private async Task<JsonNode> Json(params string[] arguments)
    {
        var run = await Look([.. arguments, "--json"]);
        run.Code.ShouldBe(0, run.Error);
        return JsonNode.Parse(run.Output)!;
    }

    [Fact]
    public async Task Shards()
    {
        var run = await Look("shards");
        run.Code.ShouldBe(0, run.Error);
        run.Lines.Count.ShouldBe(1 + LiveNode.Shards);
        run.Lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries).ShouldBe(["shard", "node", "phase", "epoch", "stations", "in", "memory", "lag", "waiting", "calls", "batches", "outbox", "checkpoint", "state"]);
        run.Row("3")[..4].ShouldBe(["3", "node-1", "running", "1"]);
        run.Row("3")[6].ShouldBe("0", "its lag");
        (await Json("shards")).AsArray().Sum(shard => (int)shard!["stations"]!).ShouldBe(2);
    }

    [Fact]
    public async Task Stations_by_id_by_prefix_and_by_how_long_they_have_waited()
    {
        var run = await Look("stations");
        run.Code.ShouldBe(0, run.Error);
        run.Lines[0].ShouldBe("2 stations");
        run.Lines[1].ShouldStartWith("station");
        run.Row(LiveNodeFixture.Plain)[1].ShouldBe("node-1");
        run.Output.ShouldContain(LiveNodeFixture.Odd);
        run.Output.ShouldContain("in memory");

        run = await Look("stations", "--prefix", "Süd/2 ");
        run.Output.ShouldContain(LiveNodeFixture.Odd);
        run.Output.ShouldNotContain(LiveNodeFixture.Plain);
        (await Look("stations", "--prefix", "nobody")).Output.ShouldContain("none as asked for");
        run = await Look("stations", "--limit", "1");
        run.Output.ShouldContain($"more: --after {LiveNodeFixture.Plain}");
        (await Json("stations", "--after", LiveNodeFixture.Plain))["stations"]!.AsArray().ShouldHaveSingleItem()!["station"]!.GetValue<string>().ShouldBe(LiveNodeFixture.Odd);

        var stale = (await Json("stations", "--stale")).AsArray();
        stale.Select(line => (long)line!["newest"]!).ShouldBeInOrder(SortDirection.Ascending);
        stale.Count.ShouldBe(2);
        (await Json("stations", "--stale", "--limit", "1")).AsArray().ShouldHaveSingleItem()!["newest"]!.GetValue<long>().ShouldBe((long)stale[0]!["newest"]!);
        var shard = (int)stale[0]!["shard"]!;
        (await Json("stations", "--shard", $"{shard}"))["stations"]!.AsArray().ShouldAllBe(line => (int)line!["shard"]! == shard);
    }

    [Fact]
    public async Task A_station_with_its_windows_modules_and_answers()
    {
        var run = await Look("station", LiveNodeFixture.Odd);
        run.Code.ShouldBe(0, run.Error);
        run.Lines[0].ShouldBe($"station   {LiveNodeFixture.Odd}");
        run.Lines[1].ShouldMatch("shard     [0-3] on node-1, epoch 1, in memory");
        run.Lines[2].ShouldMatch(@"record    the last one [0-9.]+m?s ago, .*Z; 0 wait in its shard's logs");
        run.Output.ShouldContain("  SCHEDULE-STATION-REALTIME-DATA  ");
        run.Output.ShouldMatch(@"outputPowerPerGunAvg\[1\] +▁+█  0 to 20\.5, last 20\.5");
        run.Row("load_prediction").ShouldBe(["load_prediction", "yes", "100%", "-", "-", "-"]);
        run.Row("station_guidance")[^3].ShouldBe("load_prediction", "what it depends on, and how old that is");
        run.Output.ShouldMatch($@"s ago +load_prediction   result +1  SCHEDULE-STATION-REALTIME-DATA:0:{fixture.RealtimeOffset} +-");

        var json = await Json("station", LiveNodeFixture.Plain);
        json["modules"]!.AsArray().Select(module => (string)module!["module"]!).ShouldBe(["load_prediction", "station_guidance"]);
        ((bool)json["paused"]!).ShouldBeFalse();
        json["answers"]!.AsArray().Count.ShouldBeGreaterThan(2);

        run = await Look("station", "nobody");
        run.Code.ShouldBe(1);
        run.Error.ShouldContain("no station 'nobody'");
    }

    [Fact]
    public async Task Batches_that_are_over()
    {
        var run = await Look("batches", "--module", "load_prediction");
        run.Code.ShouldBe(0, run.Error);
        run.Output.Trim().ShouldBe("no batches", "a complete batch is not kept");
        (await Look("batches", "--open")).Output.Trim().ShouldBe("no batches");
        (await Json("batches")).ShouldBeOfType<JsonArray>();
    }

    [Fact]
    public async Task Sources_with_their_last_record_and_rate()
    {
        var run = await Look("sources");
        run.Code.ShouldBe(0, run.Error);
        var row = run.Lines.First(line => line.StartsWith("SCHEDULE-STATION-REALTIME-DATA", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        row[..6].ShouldBe(["SCHEDULE-STATION-REALTIME-DATA", "0", "node-1", "1", "1", "0"]);
        var source = (await Json("sources")).AsArray().First(line => (string)line!["topic"]! == "SCHEDULE-STATION-REALTIME-DATA" && (int)line["partition"]! == 0)!;
        DateTimeOffset.FromUnixTimeMilliseconds((long)source["last_record"]!).ShouldBe(DateTimeOffset.UtcNow, TimeSpan.FromMinutes(5));
        ((double)source["records_per_second"]!).ShouldBeInRange(0, 1);
    }

    [Fact]
    public async Task Positions_as_all_tables_are()
    {
        var run = await Look("positions", "show");
        run.Code.ShouldBe(0, run.Error);
        run.Lines[0].ShouldMatch("^topic  +partition  next  end  lag  life  state$");
        run.Row("SCHEDULE-STATION-REALTIME-DATA").ShouldBe(["SCHEDULE-STATION-REALTIME-DATA", "0", "1", "1", "0", "0", "read", "by", "node-1"]);
    }

    [Fact]
    public async Task The_log_of_the_node()
    {
        var run = await Look("log", "tail", "--lines", "1000");
        run.Code.ShouldBe(0, run.Error);
        run.Output.ShouldMatch(@"\d\d\.\d\d\dZ  INFO      node-1        NodeStarted: node-1 of live");
        run.Output.ShouldContain("DeadLetter: SCHEDULE-STATION-PARAM[1]");
        (await Look("log", "tail", "--level", "critical")).Output.Trim().ShouldBeEmpty();
        run = await Look("log", "tail", "--level", "INFO", "--lines", "1000");
        run.Output.ShouldContain("NodeStarted", customMessage: "as the lines themselves write it");
        (await Look("log", "tail", "--station", "nobody")).Output.Trim().ShouldBeEmpty();
        (await Look("log", "tail", "--node", "node-9")).Output.Trim().ShouldBeEmpty();
        var lines = (await Look("log", "tail", "--json", "--lines", "3")).Lines.Select(line => JsonNode.Parse(line)!).ToList();
        lines.Select(line => (long)line["number"]!).ShouldBeInOrder(SortDirection.Ascending);
        lines.Count.ShouldBe(3);
    }

    [Fact]
    public async Task The_cluster_at_a_glance()
    {
        var run = await Look("cluster", "status");
        run.Lines[0].ShouldBe("healthy", run.Output + run.Error);
        run.Code.ShouldBe(0);
        run.Output.ShouldContain($"shards    {LiveNode.Shards} of {LiveNode.Shards} run");
        run.Output.ShouldContain("stations  2");
        run.Output.ShouldContain("lag       0 records of sources, 0 of shards");
        ((bool)(await Json("cluster", "status"))["healthy"]!).ShouldBeTrue();
        (await Json("cluster", "show")).ShouldBeOfType<JsonArray>();
        (await Look("cluster", "tail", "--once", "--since", "1h")).Code.ShouldBe(0);
    }

    [Fact]
    public void A_node_that_should_be_there_and_is_not_heard_of_is_told_as_vanished()
    {
        NodeRow Row(string name, NodeState state, long ageMs) => new(
            new NodeEntry(name, "s", "http://10.0.0.1:8000", "1.0.0", ["router", "shard", "api"], state, 1_763_000_000_000, 3, new NodeLoad(12.34, 2, 0.25, 100_000_000), 7), ageMs);
        var nodes = OverviewApi.Nodes([Row("b", NodeState.Running, 60_000), Row("a", NodeState.Running, 500), Row("c", NodeState.Left, 60_000)]);
        nodes.Select(line => ((string)line!["node"]!, (string)line["state"]!)).ShouldBe([("a", "running"), ("b", "vanished"), ("c", "left")]);
        nodes[0]!.ToJsonString().ShouldBe("""{"node":"a","address":"http://10.0.0.1:8000","version":"1.0.0","roles":["router","shard","api"],"state":"running","shards":3,"records_per_second":12.3,"calls_running":2,"cpu":0.25,"memory_bytes":100000000,"configuration_version":7,"started":1763000000000,"age_seconds":0.5}""");
    }

    [Fact]
    public void Of_a_node_that_is_gone_nothing_is_shown_that_was_so_once()
    {
        var nodes = (JsonArray)JsonNode.Parse("""
            [{"node":"a","address":"http://10.0.0.1:8000","version":"1.0.0","roles":["router","shard"],"state":"running","shards":3,"records_per_second":12.3,"calls_running":2,"cpu":0.25,"memory_bytes":100000000,"configuration_version":7,"started":0,"age_seconds":0.5},
             {"node":"b","address":"http://10.0.0.2:8000","version":"1.0.0","roles":["router"],"state":"left","shards":3,"records_per_second":12.3,"calls_running":2,"cpu":0.25,"memory_bytes":100000000,"configuration_version":7,"started":0,"age_seconds":75}]
            """)!;
        Analytics.Actors.Node.Cli.ClusterVerbs.Nodes(nodes, DateTimeOffset.UnixEpoch.AddSeconds(90)).Split('\n')[1..].Select(line => string.Join(' ', line.Split(' ', StringSplitOptions.RemoveEmptyEntries))).ShouldBe(
        [
            "a running http://10.0.0.1:8000 1.0.0 router+shard 3 12.3 2 25% 100 MB 7 1m30s 500ms ago",
            "b left http://10.0.0.2:8000 1.0.0 router - - - - - - - 1m15s ago",
        ]);
    }

    [Fact]
    public void What_is_not_well_is_told_with_its_reason()
    {
        static JsonArray Lines(string json) => (JsonArray)JsonNode.Parse(json)!;
        var status = Analytics.Actors.Node.Cli.ClusterVerbs.Judge(
            Lines("""
            [{"node":"a","status":"degraded","shard_count":4,"shards":[0,1],"stations":7,"source_lag":5,"shard_lag":1,"store":"failing","stuck_calls":[{}],"problems":["a call of m for station S1 has not returned for 31 s","the store does not work: away"]},
             {"node":"b","status":"unreachable"},{"node":"c","status":"unreachable"},{"node":"d","status":"healthy","shard_count":4,"shards":[3],"stations":2,"store":"running","stuck_calls":[],"problems":[]}]
            """),
            Lines("""[{"node":"a","state":"running"},{"node":"b","state":"vanished","age_seconds":75},{"node":"c","state":"running"},{"node":"d","state":"running"}]"""));
        Analytics.Actors.Node.Cli.ClusterVerbs.Describe(status).ShouldBe("""
            NOT HEALTHY: 5 reasons

            nodes     3 running, 1 vanished
            shards    3 of 4 run
            stations  9
            lag       5 records of sources, 1 of shards
            calls     1 stuck
            store     failing at a

            - b: not heard of for 1m15s; start it again, or, if it is not to come back: analytics cluster down b
            - a: a call of m for station S1 has not returned for 31 s
            - a: the store does not work: away
            - c: unreachable
            - shard 2: run by no node that answers
            """);
        status["shards_without_owner"]!.ToJsonString().ShouldBe("[2]");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_is_watched_is_shown_again_until_it_is_stopped(bool isTerminal)
    {
        static int Pictures(string text) => text.Split("waiting  calls").Length - 1;
        var run = await CommandRun.UntilAsync(node, isTerminal, text => Pictures(text) >= 3, "shards", "--watch", "0.1");
        run.Code.ShouldBe(0, "Ctrl-C is how watching ends");
        Pictures(run.Output).ShouldBe(3);
        run.Output.Split("\u001b[H").Length.ShouldBe(isTerminal ? 4 : 1, "in place in a terminal, below each other in a pipe");
        run = await CommandRun.UntilAsync(node, isTerminal, text => text.Count(letter => letter == '\n') >= 2, "stations", "--json", "--watch", "0.1");
        run.Lines.ShouldAllBe(line => JsonNode.Parse(line)!["station_count"]!.GetValue<int>() == 2);
    }

    [Theory]
    [InlineData("stations", "--limit", "0")]
    [InlineData("stations", "--stale", "--after", "x")]
    [InlineData("stations", "--shard", "99")]
    [InlineData("shards", "--watch", "soon")]
    [InlineData("station")]
    [InlineData("station", "S1", "explode")]
    [InlineData("station", "S1", "forget")]
    [InlineData("cluster", "down", "node-1")]
    [InlineData("cluster", "tail", "--once", "--since", "yesterday")]
    [InlineData("log", "tail", "--level", "loud")]
    public async Task Bad_arguments_end_with_2_and_say_what_would_be_right(params string[] arguments)
    {
        var run = await CommandRun.AtAsync(node, arguments);
        run.Code.ShouldBe(2, run.Output + run.Error);
        run.Error.ShouldNotBeEmpty();
    }

    [Theory]
    [InlineData("--shard x: must be a whole number", "stations", "--shard", "x", "--address", "127.0.0.1:9")]
    [InlineData("show x: must be a whole number", "config", "show", "x", "--address", "127.0.0.1:9")]
    [InlineData("--rate much: must be a number", "demo", "--rate", "much")]
    [InlineData("--address 8002: must be host:port, such as 127.0.0.1:8002", "shards", "--address", "8002")]
    public async Task Bad_arguments_are_told_in_the_words_of_the_command_line(string says, params string[] arguments)
    {
        var run = await CommandRun.RunAsync(arguments);
        run.Code.ShouldBe(2, run.Output + run.Error);
        run.Error.ShouldStartWith(says);
        run.Error.ShouldNotContain("System.");
    }

    [Theory]
    [InlineData("cluster", "show")]
    [InlineData("cluster", "status")]
    [InlineData("shards")]
    [InlineData("stations")]
    [InlineData("station", "S1")]
    [InlineData("sources")]
    [InlineData("positions", "show")]
    [InlineData("log", "tail")]
    public async Task Without_a_node_they_fail_with_1(params string[] arguments)
    {
        var run = await CommandRun.RunAsync([.. arguments, "--address", "127.0.0.1:9"]);
        run.Code.ShouldBe(1);
        run.Error.ShouldContain("no node answers at http://127.0.0.1:9/");
    }
}
