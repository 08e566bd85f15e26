using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.RegularExpressions;
using Analytics.Actors.Node.Bench;
using Analytics.Actors.Node.Demo;
using Analytics.Actors.Node.Replay;

namespace Analytics.Actors.Node.Cli;

/// <summary>
/// The verbs of the executable and their arguments. Exit codes: 0 done, 1 failed, 2 bad arguments or configuration, with
/// a message on stderr that says what, where, and what would be right.
/// </summary>
public static class Verbs
{
    /// <summary>The argument of a node that ends with the program that started it.</summary>
    internal const string UntilInputEnds = "--until-input-ends";

    public const int Done = 0;
    public const int Failed = 1;
    public const int BadArguments = 2;

    public static async Task<int> RunAsync(string[] args)
    {
        using var signals = new StopSignals(ignoresInterrupts: args.Contains(UntilInputEnds) || args.Contains(BenchNodeVerb.Name));
        return await RunAsync(args, Desk.Own, Console.Out, Console.Error, signals.Stop).ConfigureAwait(false);
    }

    internal static async Task<int> RunAsync(string[] args, Desk desk, TextWriter output, TextWriter error, CancellationToken stop)
    {
        var root = Root(desk);
        var parsed = root.Parse(args);
        // What is to be completed is not whole yet.
        var isCompleted = root.Directives.OfType<SuggestDirective>().Any(suggest => parsed.GetResult(suggest) is not null);
        if (parsed.Errors.Count > 0 && !isCompleted && parsed.Action is not (System.CommandLine.Help.HelpAction or HelpWithExamples))
        {
            foreach (var wrong in parsed.Errors) await error.WriteLineAsync(Plain(wrong.Message)).ConfigureAwait(false);
            await error.WriteLineAsync($"see: analytics {string.Join(' ', parsed.CommandResult.Command.Parents.OfType<Command>().Where(parent => parent is not RootCommand).Select(parent => parent.Name).Append(parsed.CommandResult.Command is RootCommand ? "" : parsed.CommandResult.Command.Name))} --help").ConfigureAwait(false);
            return BadArguments;
        }

        try
        {
            // The library would end the process two seconds after a signal, whatever is still under way.
            var invocation = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null, Output = output, Error = error };
            return await parsed.InvokeAsync(invocation, stop).ConfigureAwait(false);
        }
        catch (BadArgumentsException wrong)
        {
            await error.WriteLineAsync(wrong.Message).ConfigureAwait(false);
            return BadArguments;
        }
        catch (ReplayDataException wrong)
        {
            await error.WriteLineAsync(wrong.Message).ConfigureAwait(false);
            return BadArguments;
        }
        catch (OperationCanceledException)
        {
            await error.WriteLineAsync("stopped by a signal before there was a result").ConfigureAwait(false);
            return Failed;
        }
        catch (Exception failure)
        {
            await error.WriteLineAsync(failure.Message).ConfigureAwait(false);
            return Failed;
        }
    }

    // The library names types of .NET where a number is due.
    private static string Plain(string message) => Regex.Match(message, @"^Cannot parse argument '(.*)' for (?:command|option) '(.*)' as expected type '.*System\.(\w+)\]?'\.$", RegexOptions.Singleline) is { Success: true } match
        ? $"{match.Groups[2].Value} {match.Groups[1].Value}: must be a {(match.Groups[3].Value.StartsWith("Int", StringComparison.Ordinal) ? "whole number" : "number")}"
        : message;

    private static RootCommand Root(Desk desk)
    {
        var root = Commands(desk);
        NodeClient.AddAccessOptions(root);
        return root;
    }

    private static RootCommand Commands(Desk desk) => new("Analytics.Actors: stations' records in, windows per station, module calls, batches of results out.")
    {
        Demo(), Node(), Broker(), Trace(), Replay(), Evaluate(), new BenchVerb(BenchScenarios.All).Command(), BenchNode(),
        new ClusterVerbs(desk).Command(), new WorkVerbs(desk).Shards(), new StationVerbs(desk).Stations(), new StationVerbs(desk).Station(), new WorkVerbs(desk).Batches(), new WorkVerbs(desk).Sources(),
        PositionVerbs.Command(), DeadLetterVerbs.Command(), new LogVerb(desk).Command(), Config(desk), Store(), CompletionVerb.Command(),
    };

    private static Command Demo()
    {
        var duration = new Option<TimeSpan>("--duration") { Description = "for how long records are produced: 30s, 5min, 1h", CustomParser = Duration, DefaultValueFactory = _ => TimeSpan.FromSeconds(30) };
        var stations = new Option<int>("--stations") { Description = "simulated stations", DefaultValueFactory = _ => 200 };
        var rate = new Option<double>("--rate") { Description = "records per second after the start", DefaultValueFactory = _ => 500 };
        var nodes = new Option<int>("--nodes") { Description = "nodes, 1 to 8; with more than one each is a process of its own", DefaultValueFactory = _ => 1 };
        var data = new Option<string?>("--data") { Description = "replay the real data in this directory instead of simulating" };
        var report = new Option<string?>("--report") { Description = "write the report as JSON to this file" };
        var fault = new Option<string?>("--fault") { Description = "drop=N,dup=N: drop or double so many records inside the node; the report must then say so" };
        var seed = new Option<int>("--seed") { Description = "seed of the simulated stations", DefaultValueFactory = _ => 1 };
        var pipeline = PipelineOption();
        var keep = new Option<string?>("--keep") { Description = "keep the database and the node's log in this directory" };
        var command = new Command("demo", "the whole system on this machine: broker, node, stations, a live view, and a check of everything") { duration, stations, rate, nodes, data, report, fault, seed, pipeline, keep };
        command.SetAction(async (parse, cancellation) =>
        {
            if (parse.GetValue(nodes) is < 1 or > 8) throw new BadArgumentsException($"--nodes {parse.GetValue(nodes)}: must be 1 to 8");
            if (parse.GetValue(nodes) > 1 && parse.GetValue(fault) is { } planted) throw new BadArgumentsException($"--fault {planted}: faults are planted inside the demo's own process, which runs a node only without --nodes");
            if (parse.GetValue(stations) is < 1 or > 100_000) throw new BadArgumentsException($"--stations {parse.GetValue(stations)}: must be 1 to 100000");
            if (parse.GetValue(rate) is < 0.1 or > 100_000) throw new BadArgumentsException($"--rate {parse.GetValue(rate)}: must be 0.1 to 100000 records a second");
            if (parse.GetValue(data) is { } directory)
            {
                if (!Directory.Exists(directory)) throw new BadArgumentsException($"--data {directory}: there is no such directory");
                // A file that is missing shows now, not after the node has started.
                _ = ReplayData.Read(directory).First();
            }

            var (drop, duplicate) = Faults(parse.GetValue(fault));
            var runner = new DemoRunner(
                new DemoOptions
                {
                    Duration = parse.GetValue(duration),
                    Stations = parse.GetValue(stations),
                    Rate = parse.GetValue(rate),
                    Data = parse.GetValue(data),
                    Report = parse.GetValue(report),
                    Drop = drop,
                    Duplicate = duplicate,
                    Seed = parse.GetValue(seed),
                    Keep = parse.GetValue(keep),
                    Nodes = parse.GetValue(nodes),
                    Pipeline = parse.GetValue(pipeline),
                },
                Files.Pipeline(parse.GetValue(pipeline)), Console.Out);
            return await runner.RunAsync(cancellation).ConfigureAwait(false);
        });
        return command;
    }

    private static Command Node()
    {
        var config = ConfigOption();
        var set = new Option<string[]>("--set") { Description = "a.b=c: overrides one key of the configuration; may be given several times" };
        var input = new Option<bool>(UntilInputEnds) { Description = "also stops in order when its standard input ends, so that it does not outlive the program that started it" };
        var command = new Command("node", "one node of a cluster, until SIGTERM, Ctrl-C, or analytics cluster leave") { config, set, input };
        command.SetAction((parse, cancellation) => NodeVerb.RunAsync(
            parse.GetValue(config), parse.GetValue(set) ?? [], parse.GetValue(input) ? Console.In : null, Console.Out, Console.Error, cancellation));
        return command;
    }

    private static Command BenchNode()
    {
        var command = new Command(BenchNodeVerb.Name, "nodes under test, one after the other") { Hidden = true };
        command.SetAction((parse, cancellation) => BenchNodeVerb.RunAsync(Console.In, Console.Out, Console.Error, BenchScenarios.Modules, cancellation));
        return command;
    }

    private static Command Broker()
    {
        var brokers = new Option<int>("--brokers") { Description = "1 to 3", DefaultValueFactory = _ => 3 };
        var pipeline = PipelineOption();
        var group = new Option<string>("--group") { Description = "the group whose internal topics are made", DefaultValueFactory = _ => "analytics-dev" };
        var shards = new Option<int>("--shards") { Description = "partitions of the internal topics", DefaultValueFactory = _ => 16 };
        var partitions = new Option<int>("--partitions") { Description = "partitions of the other topics", DefaultValueFactory = _ => 4 };
        var command = new Command("broker", "the embedded broker alone; reads 'down N', 'up N', 'rtt N MS', 'errors API CODE...' from standard input, and ends with it") { brokers, pipeline, group, shards, partitions };
        command.SetAction((parse, cancellation) => BrokerVerb.RunAsync(
            parse.GetValue(brokers), Files.Pipeline(parse.GetValue(pipeline)), parse.GetValue(group)!, parse.GetValue(shards), parse.GetValue(partitions), Console.In, Console.Out, cancellation));
        return command;
    }

    private static Command Trace()
    {
        var records = new Option<string>("--records") { Description = "JSON lines: records, {\"advance\": ms}, {\"answer\": {...}}; - for standard input", Required = true };
        var pipeline = PipelineOption();
        var command = new Command("trace", "recorded records through the real core on virtual time, without broker and database; every effect as a JSON line") { records, pipeline };
        command.SetAction(parse => TraceVerb.Run(parse.GetValue(records)!, Files.Pipeline(parse.GetValue(pipeline)), Console.In, Console.Out));
        return command;
    }

    private static Command Replay()
    {
        var data = new Option<string>("--data") { Description = "the directory with the data", Required = true };
        var bootstrap = new Option<string>("--bootstrap") { Description = "host:port of the brokers", Required = true };
        var speed = new Option<double>("--speed") { Description = "event time over real time: 3600 is an hour a second; 0: as fast as it goes", DefaultValueFactory = _ => 3600 };
        var hours = new Option<int>("--push-hours") { Description = "hours between two pushes of the last 168; must divide 24", DefaultValueFactory = _ => 1 };
        var days = new Option<int?>("--days") { Description = "only the first so many days" };
        var shift = new Option<bool>("--to-now") { Description = "move all times by whole weeks, so that the data ends now" };
        var command = new Command("replay", "real data into Kafka, at a chosen speed") { data, bootstrap, speed, hours, days, shift };
        command.SetAction((parse, cancellation) => ReplayVerb.RunAsync(
            new ReplayRequest(parse.GetValue(data)!, parse.GetValue(bootstrap)!, parse.GetValue(speed), parse.GetValue(hours), parse.GetValue(days), parse.GetValue(shift)), Console.Out, cancellation));
        return command;
    }

    private static Command Evaluate()
    {
        var data = new Option<string>("--data") { Description = "the directory with the data", Required = true };
        var stations = new Option<bool>("--stations") { Description = "a line for each station" };
        var json = new Option<bool>("--json") { Description = "as JSON" };
        var command = new Command("evaluate", "how well load_prediction forecasts the measured load, beside simple forecasts") { data, stations, json };
        command.SetAction(parse =>
        {
            var result = ForecastEvaluation.Run(parse.GetValue(data)!);
            Console.Out.WriteLine(parse.GetValue(json) ? result.ToJson() : result.ToText(parse.GetValue(stations)));
            return Done;
        });
        return command;
    }

    private static Command Config(Desk desk)
    {
        var pipeline = PipelineOption();
        var config = ConfigOption();
        var json = new Option<bool>("--json") { Description = "as JSON" };
        var check = new Command("check", "says whether a pipeline (and a node's configuration) is right, and what is wrong") { pipeline, config, json };
        check.SetAction(parse => ConfigCheck.Run(
            parse.GetValue(pipeline) ?? Files.DefaultPipeline, parse.GetValue(config), parse.GetValue(json), Console.Out, Console.Error));
        var running = new ConfigurationVerbs(desk);
        return new Command("config", "configuration of the pipeline and of nodes") { check, ConfigImportCommand(), running.Plan(), running.Apply(), running.Show() };
    }

    private static Command ConfigImportCommand()
    {
        var file = new Argument<string>("FILE") { Description = "the Python library's configuration: a Python module, or .yaml" };
        var node = new Option<string>("--node") { Description = "where to write the node's configuration", DefaultValueFactory = _ => "node.json" };
        var pipeline = new Option<string>("--pipeline") { Description = "where to write the pipeline", DefaultValueFactory = _ => "pipeline.json" };
        var force = new Option<bool>("--force") { Description = "overwrites them" };
        var json = new Option<bool>("--json") { Description = "the report as JSON" };
        var command = new Command("import", "makes a configuration of the Python library's, and says what became of each key") { file, node, pipeline, force, json };
        command.SetAction(parse => ConfigImport.Run(parse.GetValue(file)!, parse.GetValue(node)!, parse.GetValue(pipeline)!, parse.GetValue(force), parse.GetValue(json), Console.Out));
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics config import /opt/analysis/config.py
              analytics config import config.yaml --node cluster-config/node.json --pipeline cluster-config/stations.json
            """);
        return command;
    }

    private static Command Store()
    {
        var config = ConfigOption();
        var set = new Option<string[]>("--set") { Description = "a.b=c: overrides one key of the configuration; may be given several times" };
        var json = new Option<bool>("--json") { Description = "as JSON" };
        var force = new Option<bool>("--force") { Description = "also while nodes are connected; they are fenced and have to be started again" };
        var show = new Command("show", "what the database holds: store id, group, schema version, and each shard's epoch, checkpoint and last owner") { config, set, json };
        show.SetAction((parse, cancellation) => StoreVerb.ShowAsync(parse.GetValue(config), parse.GetValue(set) ?? [], parse.GetValue(json), Console.Out, cancellation));
        var renew = new Command("renew", "after restoring a backup: a new store id, and new epochs that fence every node of before") { config, set, force, json };
        renew.SetAction((parse, cancellation) => StoreVerb.RenewAsync(parse.GetValue(config), parse.GetValue(set) ?? [], parse.GetValue(force), parse.GetValue(json), Console.Out, cancellation));
        return new Command("store", "the database that a node's configuration or DATABASE_URL names") { show, renew };
    }

    private static Option<string?> PipelineOption() => new("--pipeline") { Description = "the pipeline file; default: cluster-config/pipeline.json" };

    private static Option<string?> ConfigOption() => new("--config") { Description = "the node's configuration file; default: DATA_ANALYSIS_CONFIG, else cluster-config/development.json" };

    private static TimeSpan Duration(ArgumentResult argument)
    {
        var text = argument.Tokens.Count > 0 ? argument.Tokens[0].Value : "";
        if (Core.Pipeline.DurationText.TryParse(text, out var ms) && ms > 0) return TimeSpan.FromMilliseconds(ms);
        argument.AddError($"--duration {text}: must be a number with a unit, for example 30s, 5min or 1h");
        return default;
    }

    private static (int Drop, int Duplicate) Faults(string? text)
    {
        var (drop, duplicate) = (0, 0);
        foreach (var part in (text ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var (name, number) = part.Split('=') is [var left, var right] ? (left, right) : (part, "");
            if (name is not ("drop" or "dup") || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count > 1_000)
            {
                throw new BadArgumentsException($"--fault {text}: must be drop=N, dup=N or both joined by a comma, N up to 1000");
            }

            if (name == "drop") drop = count;
            else duplicate = count;
        }

        return (drop, duplicate);
    }
}

/// <summary>An argument or a configuration file is wrong; the message says what, where, and what would be right.</summary>
public sealed class BadArgumentsException(string message) : Exception(message);
