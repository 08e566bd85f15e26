using System.Text;
using System.Text.Json;

namespace Analytics.Actors.Tests.Pipeline;

/// <summary>Every kind of wrong pipeline is refused with exit code 2 and a line that names file, path, value and rule.</summary>
public class WrongPipelineTests
{
    // Each: what is wrong, the pipeline, and the path, the value and a part of the rule that the message must name.
    private static readonly (string Name, string Text, string Path, string Value, string Rule)[] Cases =
    [
        ("unknown key at the root", """{ "topics": { "T": {} }, "modules": {}, "timezone": "Z" }""", "timezone", "Z", "unknown key; did you mean \"timeZone\"?"),
        ("unknown key of a topic", PipelineFiles.WithTopic("\"windw\": 3"), "topics.T.windw", "3", "unknown key; did you mean \"window\"?"),
        ("unknown key of a module", PipelineFiles.WithModule("\"topics\": [\"T\"], \"retrys\": 3"), "modules.m.retrys", "3", "unknown key; did you mean \"retries\"?"),
        ("unknown key of a shape", PipelineFiles.WithTopic("\"shape\": { \"kind\": \"columns\", \"list\": \"a\", \"lists\": \"b\" }, \"fields\": [\"x\"]"), "topics.T.shape.lists", "b", "unknown key; did you mean \"list\"?"),
        ("unknown key of a batch", PipelineFiles.WithModule("\"topics\": [\"T\"], \"batch\": { \"deadlin\": \"5s\" }"), "modules.m.batch.deadlin", "5s", "unknown key; did you mean \"deadline\"?"),
        ("unknown topic", PipelineFiles.WithModule("\"topics\": [\"T\", \"SCHEDULE-CAR\"]"), "modules.m.topics[1]", "SCHEDULE-CAR", "unknown topic"),
        ("topic named twice", PipelineFiles.WithModule("\"topics\": [\"T\", \"T\"]"), "modules.m.topics[1]", "T", "is named twice"),
        ("unknown module", PipelineFiles.WithModule("\"topics\": [\"T\"], \"dependsOn\": [\"load\"]"), "modules.m.dependsOn[0]", "load", "unknown module"),
        ("module written twice", """{ "topics": { "T": {} }, "modules": { "m": { "topics": ["T"] }, "m": { "topics": ["T"] } } }""", "modules.m", "{...}", "this key is written twice"),
        ("topic written twice", """{ "topics": { "T": {}, "T": { "window": 2 } }, "modules": {} }""", "topics.T", "{...}", "this key is written twice"),
        ("option written twice", PipelineFiles.WithTopic("\"window\": 2, \"window\": 3"), "topics.T.window", "3", "this key is written twice"),
        ("module without topics", PipelineFiles.WithModule("\"enabled\": true"), "modules.m.topics", "", "at least one topic"),
        ("module with an empty list of topics", PipelineFiles.WithModule("\"topics\": []"), "modules.m.topics", "[]", "at least one topic"),
        ("window of 0", PipelineFiles.WithTopic("\"window\": 0"), "topics.T.window", "0", "must be a whole number from 1"),
        ("window below 0", PipelineFiles.WithTopic("\"window\": -5"), "topics.T.window", "-5", "must be a whole number from 1"),
        ("window that is no whole number", PipelineFiles.WithTopic("\"window\": 1.5"), "topics.T.window", "1.5", "must be a whole number from 1"),
        ("window as text", PipelineFiles.WithTopic("\"window\": \"168\""), "topics.T.window", "168", "must be a whole number from 1"),
        ("window as null", PipelineFiles.WithTopic("\"window\": null"), "topics.T.window", "null", "leave the key out for the default"),
        ("duration as a bare number", PipelineFiles.WithTopic("\"ttl\": 3600"), "topics.T.ttl", "3600", "not a bare number"),
        ("duration of zero", PipelineFiles.WithTopic("\"ttl\": \"0s\""), "topics.T.ttl", "0s", "must be a duration above zero"),
        ("duration below zero", PipelineFiles.WithTopic("\"ttl\": \"-1s\""), "topics.T.ttl", "-1s", "must be a duration above zero"),
        ("duration with an unknown unit", PipelineFiles.WithTopic("\"ttl\": \"3 weeks\""), "topics.T.ttl", "3 weeks", "(ms, s, min, h, d)"),
        ("deadline of zero", PipelineFiles.WithModule("\"topics\": [\"T\"], \"batch\": { \"deadline\": \"0s\" }"), "modules.m.batch.deadline", "0s", "above zero"),
        ("retention as a number", PipelineFiles.WithModule("\"topics\": [\"T\"], \"batch\": { \"retention\": 600 }"), "modules.m.batch.retention", "600", "not a bare number"),
        ("completeAt above 1", PipelineFiles.WithModule("\"topics\": [\"T\"], \"batch\": { \"completeAt\": 1.01 }"), "modules.m.batch.completeAt", "1.01", "must be a number from 0 to 1"),
        ("completeAt below 0", PipelineFiles.WithModule("\"topics\": [\"T\"], \"batch\": { \"completeAt\": -0.1 }"), "modules.m.batch.completeAt", "-0.1", "must be a number from 0 to 1"),
        ("deadline of batch none", PipelineFiles.WithModule("\"topics\": [\"T\"], \"batch\": { \"kind\": \"none\", \"deadline\": \"1s\" }"), "modules.m.batch.deadline", "1s", "sends each result alone"),
        ("batch window without length", PipelineFiles.WithModule("\"topics\": [\"T\"], \"batch\": { \"kind\": \"window\" }"), "modules.m.batch.length", "", "must be the span of event time"),
        ("batch window of no length", PipelineFiles.WithModule("\"topics\": [\"T\"], \"batch\": { \"kind\": \"window\", \"length\": \"0s\" }"), "modules.m.batch.length", "0s", "above zero"),
        ("batch window as text", PipelineFiles.WithModule("\"topics\": [\"T\"], \"batch\": \"window\""), "modules.m.batch", "window", "a window needs its length"),
        ("batch length beside record", PipelineFiles.WithModule("\"topics\": [\"T\"], \"batch\": { \"length\": \"1h\" }"), "modules.m.batch.length", "1h", "only a batch of kind \"window\""),
        ("keyed and global", PipelineFiles.WithTopic("\"keyed\": true, \"scope\": \"global\""), "topics.T.keyed", "true", "a global record names no station that could be its key"),
        ("keyed by another word", PipelineFiles.WithTopic("\"keyed\": \"gun\""), "topics.T.keyed", "gun", "true or false"),
        ("keyed output", """{ "topics": { "T": {}, "MODULE-OUTPUT-A": { "keyed": "station" } }, "modules": { "a": { "topics": ["T"] } } }""", "topics.MODULE-OUTPUT-A.keyed", "station", "the uploads of module \"a\" are keyed by batch"),
        ("global topic that triggers", """{ "topics": { "T": { "scope": "global", "triggers": true } }, "modules": { "m": { "topics": ["T"] } } }""", "topics.T.triggers", "true", "a global record names no stations"),
        ("global topic with a station", PipelineFiles.WithTopic("\"scope\": \"global\", \"station\": \"id\""), "topics.T.station", "id", "a global topic has no station id"),
        ("global topic of orders", PipelineFiles.WithTopic("\"scope\": \"global\", \"mode\": \"second\", \"shape\": { \"kind\": \"orders\", \"member\": \"o\" }"), "topics.T.mode", "second", "a global topic must have mode"),
        ("module that nothing triggers", PipelineFiles.WithModule("\"topics\": [\"G\"]"), "modules.m.topics", "[...]", "none of these topics triggers a call"),
        ("grid without mode replace", PipelineFiles.WithTopic("\"shape\": { \"kind\": \"grid\", \"times\": \"t\", \"rowSeries\": [\"a\"] }, \"period\": \"1h\""), "topics.T.shape", "{...}", "shape \"grid\" needs mode \"replace\""),
        ("grid without period", PipelineFiles.WithTopic("\"mode\": \"replace\", \"shape\": { \"kind\": \"grid\", \"times\": \"t\", \"rowSeries\": [\"a\"] }"), "topics.T.period", "", "shape \"grid\" needs the length of its periods"),
        ("grid without what it reads", PipelineFiles.WithTopic("\"mode\": \"replace\", \"period\": \"1h\", \"shape\": \"grid\""), "topics.T.shape", "grid", "this shape needs an object"),
        ("grid without series", PipelineFiles.WithTopic("\"mode\": \"replace\", \"period\": \"1h\", \"shape\": { \"kind\": \"grid\", \"times\": \"t\" }"), "topics.T.shape.series", "", "a grid needs \"series\""),
        ("grid with two members of one name", PipelineFiles.WithTopic("\"mode\": \"replace\", \"period\": \"1h\", \"shape\": { \"kind\": \"grid\", \"times\": \"t\", \"rowSeries\": [\"t\"] }"), "topics.T.shape.series", "", "two members \"t\""),
        ("replace with devices", PipelineFiles.WithTopic("\"mode\": \"replace\", \"shape\": { \"kind\": \"devices\", \"member\": \"d\" }"), "topics.T.shape", "{...}", "shape \"devices\" needs mode \"device\""),
        ("order of a global record", PipelineFiles.WithTopic("\"scope\": \"global\", \"orderBy\": \"t\""), "topics.T.orderBy", "t", "nothing to put in order"),
        ("field of an unknown type", PipelineFiles.WithTopic("\"fields\": [{ \"from\": \"a\", \"type\": \"numbr\" }]"), "topics.T.fields[0].type", "numbr", "did you mean \"number\"?"),
        ("period without grid", PipelineFiles.WithTopic("\"period\": \"1h\""), "topics.T.period", "1h", "only shape \"grid\" has periods"),
        ("device without its member", PipelineFiles.WithTopic("\"mode\": \"device\", \"shape\": { \"kind\": \"devices\", \"member\": \"d\" }"), "topics.T.device", "", "needs the member that names the device"),
        ("device without mode device", PipelineFiles.WithTopic("\"device\": \"hostCode\""), "topics.T.device", "hostCode", "only a topic with mode \"device\""),
        ("second without orders", PipelineFiles.WithTopic("\"mode\": \"second\""), "topics.T.shape", "", "mode \"second\" needs"),
        ("second with fields", PipelineFiles.WithTopic("\"mode\": \"second\", \"shape\": \"fields\""), "topics.T.shape", "fields", "mode \"second\" needs"),
        ("unknown mode", PipelineFiles.WithTopic("\"mode\": \"apend\""), "topics.T.mode", "apend", "did you mean \"append\"?"),
        ("unknown fill", PipelineFiles.WithTopic("\"pad\": true, \"fill\": \"lineal\""), "topics.T.fill", "lineal", "did you mean \"linear\"?"),
        ("fill with nothing to fill", PipelineFiles.WithTopic("\"fill\": \"linear\""), "topics.T.fill", "linear", "nothing is filled here"),
        ("empty station path", PipelineFiles.WithTopic("\"station\": \"\""), "topics.T.station", "", "1 to 256 characters"),
        ("station path with an empty member", PipelineFiles.WithTopic("\"station\": [\"a\", \"head..id\"]"), "topics.T.station[1]", "head..id", "none of them empty"),
        ("no station path", PipelineFiles.WithTopic("\"station\": []"), "topics.T.station", "[]", "must name at least one"),
        ("empty field name", PipelineFiles.WithTopic("\"fields\": [\"a\", \"\"]"), "topics.T.fields[1]", "", "1 to 256 characters"),
        ("field named twice", PipelineFiles.WithTopic("\"fields\": [\"a\", \"a\"]"), "topics.T.fields[1]", "a", "two members \"a\""),
        ("field renamed onto another", PipelineFiles.WithTopic("\"fields\": [\"a\", { \"from\": \"b\", \"as\": \"a\" }]"), "topics.T.fields[1]", "{...}", "two members \"a\""),
        ("field without source", PipelineFiles.WithTopic("\"fields\": [{ \"as\": \"a\" }]"), "topics.T.fields[0].from", "", "either \"from\" or \"indexOf\""),
        ("unknown start", PipelineFiles.WithTopic("\"start\": \"newest\""), "topics.T.start", "newest", "must be \"latest\", \"earliest\""),
        ("start at no group", PipelineFiles.WithTopic("\"start\": \"group:\""), "topics.T.start", "group:", "\"group:NAME\""),
        ("start at no time", PipelineFiles.WithTopic("\"start\": \"timestamp:yesterday\""), "topics.T.start", "timestamp:yesterday", "\"timestamp:TIME\""),
        ("outOfRange at a group", PipelineFiles.WithTopic("\"outOfRange\": \"group:g\""), "topics.T.outOfRange", "group:g", "must be \"stop\", \"earliest\""),
        ("envelope named twice", PipelineFiles.WithTopic("\"envelope\": [\"list\", \"list\"]"), "topics.T.envelope[1]", "list", "is named twice"),
        ("requires a foreign topic", PipelineFiles.WithModule("\"topics\": [\"T\"], \"requires\": [\"G\"]"), "modules.m.requires[0]", "G", "is not a topic of this module"),
        ("requires nothing", PipelineFiles.WithModule("\"topics\": [\"T\"], \"requires\": []"), "modules.m.requires", "[]", "must name at least one topic"),
        ("requires a word", PipelineFiles.WithModule("\"topics\": [\"T\"], \"requires\": \"some\""), "modules.m.requires", "some", "must be \"all\", \"any\" or a list"),
        ("trigger without meaning", PipelineFiles.WithModule("\"topics\": [\"T\"], \"trigger\": \"interval\""), "modules.m.trigger", "interval", "{ \"interval\": DURATION }"),
        ("trigger that never comes", PipelineFiles.WithModule("\"topics\": [\"T\"], \"trigger\": { \"event\": false }"), "modules.m.trigger.interval", "", "the module is never called"),
        ("module that reads its own output", PipelineFiles.WithModule("\"topics\": [\"T\"], \"output\": \"T\""), "modules.m.topics[0]", "T", "cycle: m -> m"),
        ("module that depends on itself", PipelineFiles.WithModule("\"topics\": [\"T\"], \"dependsOn\": [\"m\"]"), "modules.m.dependsOn[0]", "m", "cycle: m -> m"),
        ("cycle of three", """{ "topics": { "T": {} }, "modules": { "a": { "dependsOn": ["b"] }, "b": { "dependsOn": ["c"] }, "c": { "topics": ["T"], "dependsOn": ["a"] } } }""", "modules.c.dependsOn[0]", "a", "cycle: a -> b -> c -> a"),
        ("cycle through an output topic", """{ "topics": { "T": {} }, "modules": { "a": { "topics": ["T", "MODULE-OUTPUT-B"] }, "b": { "dependsOn": ["a"] } } }""", "modules.b.dependsOn[0]", "a", "cycle: a -> b -> a"),
        ("output topic shared", """{ "topics": { "T": {} }, "modules": { "a": { "topics": ["T"], "output": "O" }, "b": { "topics": ["T"], "output": "O" } } }""", "modules.b.output", "O", "module \"a\" writes to topic \"O\" already"),
        ("output topic that Kafka has no name for", PipelineFiles.WithModule("\"topics\": [\"T\"], \"output\": \"my output\""), "modules.m.output", "my output", "as Kafka has it"),
        ("topic that Kafka has no name for", """{ "topics": { "my topic": {} }, "modules": {} }""", "topics[\"my topic\"]", "{}", "as Kafka has it"),
        ("time zone by name", """{ "timeZone": "Asia/Shanghai", "topics": { "T": {} }, "modules": {} }""", "timeZone", "Asia/Shanghai", "an offset from UTC"),
        ("code table with numbers", """{ "codeTables": { "kinds": { "00": 1 } }, "topics": { "T": {} }, "modules": {} }""", "codeTables.kinds.00", "1", "must be the meaning of the code"),
        ("topics as a list", """{ "topics": [], "modules": {} }""", "topics", "[]", "must be an object"),
        ("no modules", """{ "topics": { "T": {} } }""", "modules", "", "is required"),
        ("no topics at all", """{ "topics": {}, "modules": {} }""", "topics", "", "at least one topic"),
        ("a list instead of a pipeline", "[1]", "(file)", "[...]", "must be an object"),
        ("not JSON", "{\n  \"topics\": { \"T\" {} }\n}", "line 2, column 19", "\"topics\": { \"T\" {} }", "must be JSON"),
        ("half a surrogate pair", "{\n  \"topics\": { \"\\ud800\": {} }\n}", "line 2", "\"topics\": { \"\\ud800\": {} }", "half of a surrogate pair"),
    ];

    public static TheoryData<string> Names => [.. Cases.Select(wrong => wrong.Name)];

    [Theory, MemberData(nameof(Names))]
    public void A_wrong_pipeline_is_refused_with_path_value_and_rule(string name)
    {
        var (_, text, path, value, rule) = Cases.Single(wrong => wrong.Name == name);

        var run = PipelineFiles.Check(text);

        run.ExitCode.ShouldBe(2);
        run.Output.ShouldBeEmpty();
        run.Lines.ShouldContain(line => line.StartsWith($"{run.File}: {path}: value \"{value}\": ") && line.Contains(rule), run.Error);
    }

    [Fact]
    public void One_mistake_gives_one_message()
    {
        // Some mistakes break two rules at once; all others must not drag further messages behind them.
        string[] twice = ["grid with two members of one name"];
        foreach (var (name, text, _, _, _) in Cases.Where(wrong => !twice.Contains(wrong.Name)))
        {
            PipelineFiles.Check(text).Lines.Count.ShouldBe(1, name + Environment.NewLine + PipelineFiles.Check(text).Error);
        }
    }

    [Fact]
    public void All_problems_are_reported_not_only_the_first()
    {
        var run = PipelineFiles.Check("""
            {
              "timeZone": 8,
              "topics": { "T": { "window": 0, "ttl": 5, "colour": "red" }, "U": { "mode": "grid" } },
              "modules": { "m": { "topics": ["T", "V"], "retries": -1 }, "n": {} }
            }
            """);

        run.ExitCode.ShouldBe(2);
        string[] paths = ["timeZone", "topics.T.window", "topics.T.ttl", "topics.T.colour", "topics.U.mode", "modules.m.topics[1]", "modules.m.retries", "modules.n.topics"];
        run.Lines.Select(line => line[(run.File.Length + 2)..].Split(": ")[0]).ShouldBe(paths, ignoreOrder: true);
    }

    [Fact]
    public void A_missing_file_and_a_directory_are_refused()
    {
        var missing = PipelineFiles.CheckFile(Path.Combine(Path.GetTempPath(), $"no-such-{Guid.NewGuid():N}.json"));
        missing.ExitCode.ShouldBe(2);
        missing.Error.ShouldContain("does not exist");
        var directory = PipelineFiles.CheckFile(Path.GetTempPath());
        directory.ExitCode.ShouldBe(2);
        directory.Error.ShouldContain("is a directory");
    }

    [Fact]
    public void Bytes_that_are_no_text_are_refused()
    {
        byte[][] files = [[], [0], [0xff, 0xfe, 0x7b], [.. "{ \"topics\": \""u8, 0xc3, 0x28, .. "\" }"u8], Encoding.UTF8.GetBytes(new string('[', 100_000)), [.. "\uFEFF"u8]];
        foreach (var bytes in files)
        {
            var run = PipelineFiles.Check(bytes);
            run.ExitCode.ShouldBe(2);
            run.Lines.Count.ShouldBe(1);
            run.Error.ShouldNotContain("Exception");
        }
    }

    [Fact]
    public void Control_characters_and_long_values_do_not_reach_the_terminal()
    {
        var run = PipelineFiles.Check(PipelineFiles.WithTopic($"\"mode\": \"\\u001b[31m\\n{new string('x', 5000)}\", \"\\u0007\": 1"));
        run.ExitCode.ShouldBe(2);
        run.Error.Replace(Environment.NewLine, "").ShouldAllBe(character => !char.IsControl(character));
        run.Lines.ShouldAllBe(line => line.Length < 1000);
    }

    [Fact]
    public void Long_chains_of_modules_are_walked_without_the_stack()
    {
        var modules = Enumerable.Range(0, 20_000).Select(i => $"\"m{i}\": {{ \"topics\": [\"T\"], \"dependsOn\": [\"m{(i + 1) % 20_000}\"] }}");
        var run = PipelineFiles.Check($"{{ \"topics\": {{ \"T\": {{}} }}, \"modules\": {{ {string.Join(',', modules)} }} }}");
        run.ExitCode.ShouldBe(2);
        run.Lines.ShouldHaveSingleItem().ShouldContain("cycle: m0 -> m1 -> m2");
    }

    [Fact]
    public void Json_output_carries_the_same_problems()
    {
        var folder = Directory.CreateTempSubdirectory("pipeline-test-");
        try
        {
            var file = Path.Combine(folder.FullName, "p.json");
            File.WriteAllText(file, PipelineFiles.WithTopic("\"window\": 0"));
            var run = PipelineFiles.CheckFile(file, json: true);
            run.ExitCode.ShouldBe(2);
            run.Error.ShouldBeEmpty();
            var answer = JsonDocument.Parse(run.Output).RootElement;
            answer.GetProperty("valid").GetBoolean().ShouldBeFalse();
            var problem = answer.GetProperty("problems").EnumerateArray().ShouldHaveSingleItem();
            problem.GetProperty("file").GetString().ShouldBe(file);
            problem.GetProperty("path").GetString().ShouldBe("topics.T.window");
            problem.GetProperty("value").GetString().ShouldBe("0");
            problem.GetProperty("rule").GetString()!.ShouldContain("whole number");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
