using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Node.Tracing;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Defects;
using Analytics.Actors.Tests.Pipeline;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.Tracing;

/// <summary>Traces: recorded records through the production core, every effect as a line, the same for the same file.</summary>
public class TraceFileTests
{
    private const string Modules =
        """
        "m": { "topics": ["METERS", "PARAMS", "CALENDAR"], "requires": ["METERS", "PARAMS"] },
        "orders": { "topics": ["ORDERS"], "batch": "none" },
        "after": { "topics": [], "dependsOn": ["m"], "retries": 1 }
        """;

    private static readonly string EveryKind = Lines(
        Record(Calendar, 0, 1_000, """{"day":"Monday"}"""),
        Record(Params, 0, 1_000, """[{"stationId":"S1","capacity":5},{"stationId":"S2","capacity":6}]"""),
        Record(Meters, 0, 1_500, Values(1, "S1", "S2", "S3")),
        Record(Meters, 1, 1_600, """[{"stationId":"S1","value":2},{"value":3}]"""),
        $$"""{"topic":"METERS","partition":0,"offset":2,"timestamp":1700,"raw":"{{Convert.ToBase64String("not json"u8)}}"}""",
        Record(Orders, 0, 2_000, Order("S1", 1)),
        """{"advance":60000}""");

    [Fact]
    public void The_same_file_gives_the_same_bytes()
    {
        foreach (var shards in new[] { 1, 4, 16 }) Run(EveryKind, shards: shards).ShouldBe(Run(EveryKind, shards: shards));
        var pipeline = PipelineFiles.DefaultConfiguration();
        var records = Lines(
            Record("SCHEDULE-STATION-PARAM", 0, 1_763_000_000_000, """[{"stationId":"1001","gunNum":2}]"""),
            Record("SCHEDULE-STATION-REALTIME-DATA", 0, 1_763_000_000_100, """{"realTimeData":[{"stationId":"1001","sendTime":"2025-11-13 01:00:00","gunPower":{"gunNo":["01"],"outputPowerPerGunAvg":[5],"outputPowerPerGunMax":[6]}}]}"""),
            """{"advance":10000}""");
        var first = new StringWriter();
        var second = new StringWriter();
        var catalog = Analytics.Actors.Node.Modules.ModuleCatalog.WithBuiltIns(pipeline.CodeTables);
        var modules = catalog.Names.ToDictionary(name => name, name => catalog.Find(name)!);
        TraceFile.Run(pipeline, modules, "records", new StringReader(records), first);
        TraceFile.Run(pipeline, modules, "records", new StringReader(records), second);
        second.ToString().ShouldBe(first.ToString());
        first.ToString().ShouldContain("\"event\":\"upload\",\"topic\":\"MODULE-OUTPUT-LOAD_PREDICTION\"");
    }

    [Fact]
    public void Every_effect_is_a_line_of_its_kind()
    {
        var lines = Events(Run(EveryKind, "after", _ => throw new InvalidOperationException("broken")));
        lines.Select(line => (string)line["event"]!).Distinct().Order().ShouldBe(["applied", "call", "dead-letter", "timer", "upload"]);

        lines.First(line => Is(line, "applied")).ToJsonString().ShouldBe("""{"event":"applied","station":"","topic":"CALENDAR"}""");
        lines.Count(line => Is(line, "applied") && (string)line["topic"]! == Meters).ShouldBe(4);
        lines.Count(line => Is(line, "applied") && (string)line["topic"]! == "MODULE-OUTPUT-M").ShouldBe(6);

        var call = lines.First(line => Is(line, "call"));
        ((string)call["module"]!, (string)call["station"]!, (string)call["batch"]!).ShouldBe(("m", "S1", "PARAMS:0:0"));
        ((string)call["input"]!["stationId"]!).ShouldBe("S1");
        ((int)call["input"]!["capacity"]!).ShouldBe(5);
        ((string)call["input"]!["day"]!).ShouldBe("Monday");
        lines.Count(line => Is(line, "call") && (string)line["module"]! == "after").ShouldBe(12, "six calls, each tried twice");

        var upload = lines.First(line => Is(line, "upload"));
        ((string)upload["topic"]!, (string)upload["key"]!).ShouldBe(("MODULE-OUTPUT-M", "PARAMS:0:0"));
        BatchTests.Stations((JsonObject)upload["value"]!).ShouldBe(["S1", "S2"]);
        lines.Where(line => Is(line, "upload")).Select(line => (string)line["topic"]!).ShouldBe(["MODULE-OUTPUT-M", "MODULE-OUTPUT-M", "MODULE-OUTPUT-M", "MODULE-OUTPUT-ORDERS"], ignoreOrder: true);

        lines.Where(line => Is(line, "dead-letter")).Select(line => $"{line["topic"]}:{line["partition"]}:{line["offset"]}:{line["index"]} {line["reason"]}")
            .ShouldBe(["METERS:1:1:1 no-id", "METERS:0:2:0 not-json"]);
        lines.Where(line => Is(line, "timer")).Select(line => (string)line["kind"]!).Distinct().Order().ShouldBe(["incomplete", "order-second", "retry"]);
        var timer = lines.First(line => Is(line, "timer") && (string)line["kind"]! == "order-second");
        ((string)timer["entity"]!, (long)timer["time"]!).ShouldBe(("S1", 3_000L));
    }

    [Fact]
    public void A_line_may_answer_a_call_and_what_is_not_answered_times_its_batch_out()
    {
        var text = Run(Lines(
            Record(Meters, 0, 1_000, Values(1, "S1", "S2", "S3", "S4")),
            """{"answer":{"module":"m","station":"S2","result":{"load":5}}}""",
            """{"answer":{"module":"m","station":"S1","result":null}}""",
            """{"answer":{"module":"m","station":"S3","error":"no"}}""",
            """{"advance":5000}""",
            """{"answer":{"module":"m","station":"S4","result":{"late":1}}}"""), pipeline: OneModule("\"retries\": 0"));
        var lines = Events(text);
        var upload = lines.First(line => Is(line, "upload"))["value"]!;
        upload["stations"]!.ToJsonString().ShouldBe("""[{"load":5,"station_id":"S2"}]""");
        BatchTests.Texts(upload["failed"]).ShouldBe(["S3"]);
        BatchTests.Texts(upload["missing"]).ShouldBe(["S1", "S4"]);
        ((double)upload["timestamp"]!).ShouldBe(6);
        lines.Single(line => Is(line, "timer")).ToJsonString().ShouldBe("""{"event":"timer","kind":"deadline","entity":"METERS:0:0","time":6000}""");
        var revision = lines.Last(line => Is(line, "upload"))["value"]!;
        ((int)revision["revision"]!).ShouldBe(2);
        revision["stations"]!.ToJsonString().ShouldBe("""[{"late":1,"station_id":"S4"}]""");
        lines.ShouldNotContain(line => Is(line, "dead-letter"));
    }

    [Fact]
    public void Modules_that_are_not_there_answer_with_an_empty_object()
    {
        var upload = Events(Run(Record(Meters, 0, 1_000, Values(1, "S1")), pipeline: OneModule())).Single(line => Is(line, "upload"));
        upload["value"]!["stations"]!.ToJsonString().ShouldBe("""[{"station_id":"S1"}]""");
    }

    [Fact]
    public void A_module_that_throws_or_returns_nonsense_has_answered_with_an_error()
    {
        foreach (var call in new Func<ModuleInput, ModuleResult>[]
        {
            _ => throw new InvalidOperationException("broken"),
            _ => ModuleResult.FromJson("[1]"u8.ToArray()),
            _ => ModuleResult.FromJson("{\"a\":1}{"u8.ToArray()),
            _ => ModuleResult.FromJson("{\"\\ud800\":1}"u8.ToArray()),
            _ => ModuleResult.FromJson("{\"a\":\"\\udc00\"}"u8.ToArray()),
            _ => ModuleResult.FromJson("{'\u00ff':1}".Replace('\'', '"').Select(letter => (byte)letter).ToArray()),
        })
        {
            var text = Run(Lines(Record(Meters, 0, 1_000, Values(1, "S1")), """{"advance":10000}"""), "m", call, OneModule("\"batch\": \"none\", \"retries\": 0"));
            var letter = Events(text).Single(line => Is(line, "dead-letter"));
            ((string)letter["reason"]!).ShouldBe("call-failed");
        }
    }

    [Fact]
    public void Ours_and_texts_of_any_script_come_out_as_they_went_in()
    {
        var text = Run(Record(Meters, 0, 1_000, """[{"stationId":"站点","value":"<é>"}]"""), pipeline: OneModule());
        text.ShouldContain("\"station\":\"站点\"");
        text.ShouldEndWith("\n");
        text.ShouldNotContain("\r");
    }

    [Theory]
    [InlineData("not json", "records.jsonl:2: not JSON")]
    [InlineData("[1]", "records.jsonl:2: not an object")]
    [InlineData("{}", "records.jsonl:2: \"topic\" must be text")]
    [InlineData("""{"topic":"METERS","partition":-1,"offset":0,"timestamp":0,"value":1}""", "records.jsonl:2: \"partition\" must be a whole number")]
    [InlineData("""{"topic":"METERS","partition":99999999999,"offset":0,"timestamp":0,"value":1}""", "records.jsonl:2: \"partition\" must be a whole number")]
    [InlineData("""{"topic":"METERS","partition":0,"offset":1.5,"timestamp":0,"value":1}""", "records.jsonl:2: \"offset\" must be a whole number")]
    [InlineData("""{"topic":"METERS","partition":0,"offset":1,"timestamp":"now","value":1}""", "records.jsonl:2: \"timestamp\" must be a whole number")]
    [InlineData("""{"topic":"METERS","partition":0,"offset":1,"timestamp":1763000000000000000,"value":1}""", "records.jsonl:2: \"timestamp\" must be milliseconds")]
    [InlineData("""{"topic":"METERS","partition":0,"offset":1,"timestamp":0}""", "records.jsonl:2: a record needs \"value\" (JSON) or \"raw\" (base64)")]
    [InlineData("""{"topic":"METERS","partition":0,"offset":1,"timestamp":0,"raw":"%"}""", "records.jsonl:2: a record needs \"value\" (JSON) or \"raw\" (base64)")]
    [InlineData("""{"topic":"METERS","partition":0,"offset":1,"timestamp":0,"value":1,"origin":5}""", "records.jsonl:2: \"origin\" must be text")]
    [InlineData("""{"advance":-5}""", "records.jsonl:2: \"advance\" must be a whole number")]
    [InlineData("""{"advance":9223372036854775807}""", "records.jsonl:2: \"advance\" must be milliseconds")]
    [InlineData("""{"answer":5}""", "records.jsonl:2: \"answer\" must be an object")]
    [InlineData("""{"answer":{"module":"m"}}""", "records.jsonl:2: \"station\" must be text")]
    [InlineData("""{"answer":{"module":"m","station":"S1"}}""", "records.jsonl:2: an answer has \"result\" or \"error\"")]
    [InlineData("""{"answer":{"module":"m","station":"S1","result":[1]}}""", "records.jsonl:2: \"result\" must be an object or null")]
    [InlineData("""{"answer":{"module":"m","station":"S1","result":{"\ud800":1}}}""", "records.jsonl:2: the module returned a text with half a surrogate pair")]
    [InlineData("""{"answer":{"module":"m","station":"S9","result":{}}}""", "records.jsonl:2: no call of m for station S9 waits")]
    public void A_bad_line_says_what_is_wrong(string line, string message)
    {
        var failure = Should.Throw<TraceInputException>(() => Run(Lines(Record(Meters, 0, 1_000, Values(1, "S1")), line), pipeline: OneModule()));
        failure.Message.ShouldStartWith(message);
    }

    [Fact]
    public void Empty_lines_are_no_lines_and_an_empty_file_gives_nothing()
    {
        Run("\n  \n", pipeline: OneModule()).ShouldBe("");
        Run("", pipeline: OneModule()).ShouldBe("");
    }

    [Fact]
    public void Time_stands_at_the_first_record_and_never_goes_back()
    {
        var lines = Events(Run(Lines(
            Record(Orders, 0, 10_000, Order("S1", 1)),
            Record(Meters, 0, 3_000, Values(1, "S1")),
            """{"advance":1000}"""), pipeline: With(""" "m": { "topics": ["ORDERS"] }, "n": { "topics": ["METERS"] } """)));
        ((long)lines.Single(line => Is(line, "timer"))["time"]!).ShouldBe(11_000);
    }

    [Fact]
    public void A_topic_keyed_by_station_is_read_by_the_shards_and_comes_to_the_same()
    {
        const string modules = """ "m": { "topics": ["METERS"] } """;
        var records = Lines(
            Record(Meters, 0, 1_500, Values(1, "S1", "S2", "S3")),
            Record(Meters, 1, 1_600, """[{"stationId":"S1","value":2},{"value":3}]"""),
            """{"advance":60000}""");
        string Traced(string keyed, int shards) => Run(records, pipeline: Build($$""" "METERS": { "envelope": "list", "fields": ["value"], "keyed": {{keyed}} } """, modules), shards: shards);
        foreach (var shards in new[] { 1, 2, 4 })
        {
            var keyed = Events(Traced("true", shards)).Select(line => line.ToJsonString()).Order(StringComparer.Ordinal);
            keyed.ShouldBe(Events(Traced("false", shards)).Select(line => line.ToJsonString()).Order(StringComparer.Ordinal), $"{shards} shards");
        }
    }

    private static string Run(string input, string module = "m", Func<ModuleInput, ModuleResult>? call = null, string? pipeline = null, int shards = 1)
    {
        var modules = call is null ? [] : new Dictionary<string, IModule> { [module] = new FunctionModule(module, call) };
        using var output = new StringWriter();
        TraceFile.Run(PipelineFiles.Valid(pipeline ?? With(Modules)), modules, "records.jsonl", new StringReader(input), output, shards);
        return output.ToString();
    }

    private static bool Is(JsonObject line, string kind) => (string)line["event"]! == kind;

    private static List<JsonObject> Events(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => (JsonObject)JsonNode.Parse(line)!).ToList();

    private static string Lines(params string[] lines) => string.Join('\n', lines);

    private static string Record(string topic, int offset, long timestampMs, string value) =>
        $$"""{"topic":"{{topic}}","partition":{{(topic == Meters ? offset : 0)}},"offset":{{offset}},"timestamp":{{timestampMs}},"value":{{value}}}""";
}
