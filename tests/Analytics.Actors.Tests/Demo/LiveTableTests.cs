using System.Text;
using Analytics.Actors.Node.Demo;
using Spectre.Console;

namespace Analytics.Actors.Tests.Demo;

public class LiveTableTests
{
    private static DemoSnapshot Snapshot(double seconds) => new()
    {
        Elapsed = TimeSpan.FromSeconds(seconds),
        Duration = TimeSpan.FromSeconds(30),
        Topics = [new TopicActivity(ScheduleTopics.CarOrder, 1_234, 300, 90_000, 17, 0), new TopicActivity(ScheduleTopics.Meter, 100, 20, 3_000, 3, 5)],
        Modules = [new ModuleActivity("load_prediction", 77, 12, 70, 2, 4, 66)],
        Uploads = 66,
        DeadLetters = 5,
    };

    private static IAnsiConsole Console(TextWriter writer) => AnsiConsole.Create(new AnsiConsoleSettings
    {
        Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors, Interactive = InteractionSupport.No, Out = new AnsiConsoleOutput(writer),
    });

    [Fact]
    public void The_table_shows_topics_and_modules()
    {
        var writer = new StringWriter();
        var console = Console(writer);
        console.Profile.Width = 140;
        console.Write(LiveTable.Table(Snapshot(3)));
        var text = writer.ToString();
        foreach (var shown in (string[])["SCHEDULE-CAR-ORDER", "1,234", "17", "load_prediction", "77", "320 records/s", "3 of 30 s"]) text.ShouldContain(shown);
    }

    [Fact]
    public async Task Where_there_is_no_terminal_a_line_a_second_comes()
    {
        var writer = new StringWriter();
        var live = new LiveTable(Console(writer));
        live.Show(Snapshot(3));
        live.Complete();
        await live.RunAsync(CancellationToken.None);
        writer.ToString().ShouldBe("3 s running: 1334 records, 320/s, lag 20, 77 calls, 2 errors, 4 open batches, 66 uploads, 5 dead letters, p50 0 ms, p99 0 ms, 0 faults" + Environment.NewLine);
    }

    [Fact]
    public async Task Snapshots_within_a_second_are_one_line()
    {
        var writer = new GatedWriter();
        var live = new LiveTable(Console(writer));
        var running = live.RunAsync(CancellationToken.None);
        live.Show(Snapshot(1));
        await writer.Written.WaitAsync();
        live.Show(Snapshot(1.4));
        live.Show(Snapshot(2.1));
        await writer.Written.WaitAsync();
        live.Complete();
        await running;
        writer.Lines.Select(line => line[..3]).ShouldBe(["1 s", "2 s"]);
    }

    [Fact]
    public async Task A_terminal_that_does_not_take_anything_holds_nobody_up()
    {
        using var gate = new ManualResetEventSlim();
        var writer = new GatedWriter { Gate = gate };
        var live = new LiveTable(Console(writer));
        var running = live.RunAsync(CancellationToken.None);
        live.Show(Snapshot(1));
        await writer.Entered.WaitAsync();
        // The writer hangs: these must return all the same.
        for (var second = 2; second < 500; second++) live.Show(Snapshot(second));
        running.IsCompleted.ShouldBeFalse();
        gate.Set();
        live.Complete();
        await running;
        writer.Lines.Select(line => line.Split(' ')[0]).ShouldBe(["1", "499"]);
    }

    [Fact]
    public async Task Cancellation_ends_it() => await Should.NotThrowAsync(new LiveTable(Console(new StringWriter())).RunAsync(new CancellationToken(true)));

    private sealed class GatedWriter : TextWriter
    {
        public ManualResetEventSlim? Gate { get; init; }
        public SemaphoreSlim Entered { get; } = new(0);
        public SemaphoreSlim Written { get; } = new(0);
        public List<string> Lines { get; } = [];
        public override Encoding Encoding => Encoding.UTF8;

        public override void WriteLine(string? value)
        {
            Entered.Release();
            Gate?.Wait();
            Lines.Add(value ?? "");
            Written.Release();
        }
    }
}
