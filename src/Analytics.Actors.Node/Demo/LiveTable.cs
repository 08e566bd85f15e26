using System.Globalization;
using System.Threading.Channels;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Analytics.Actors.Node.Demo;

/// <summary>
/// Shows a running demo: a table that redraws itself in a terminal, one line a second elsewhere. <see cref="Show"/> never
/// waits: a terminal that does not keep up (or was stopped) misses snapshots, it does not hold up the demo.
/// </summary>
public sealed class LiveTable
{
    private static readonly TimeSpan BetweenLines = TimeSpan.FromSeconds(1);

    private readonly IAnsiConsole console;

    // One place, the newest snapshot wins.
    private readonly Channel<DemoSnapshot> snapshots = Channel.CreateBounded<DemoSnapshot>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });

    /// <param name="console">Null: the process's own.</param>
    public LiveTable(IAnsiConsole? console = null) => this.console = console ?? AnsiConsole.Console;

    /// <summary>Gives the newest snapshot; returns at once.</summary>
    public void Show(DemoSnapshot snapshot) => snapshots.Writer.TryWrite(snapshot);

    /// <summary>No more snapshots: <see cref="RunAsync"/> draws the last one and ends.</summary>
    public void Complete() => snapshots.Writer.TryComplete();

    /// <summary>Draws until <see cref="Complete"/> or cancellation, on a thread of its own where the console blocks.</summary>
    public Task RunAsync(CancellationToken cancellation) => Task.Run(
        async () =>
        {
            try
            {
                if (console.Profile.Capabilities.Interactive && console.Profile.Out.IsTerminal) await DrawAsync(cancellation).ConfigureAwait(false);
                else await WriteLinesAsync(cancellation).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
            }
            catch (IOException)
            {
                // The reader of our output is gone; the demo and its report go on.
            }
        },
        CancellationToken.None);

    /// <summary>The table.</summary>
    public static IRenderable Table(DemoSnapshot snapshot)
    {
        var topics = new Table().MinimalBorder().AddColumn(new TableColumn("topic").NoWrap());
        foreach (var heading in (string[])["records", "records/s", "KB/s", "lag", "dead letters"]) topics.AddColumn(new TableColumn(heading).RightAligned());
        foreach (var topic in snapshot.Topics)
            topics.AddRow(Markup.Escape(topic.Topic), Count(topic.Records), Rate(topic.RecordsPerSecond), Rate(topic.BytesPerSecond / 1024), Count(topic.Lag), Problem(topic.DeadLetters));

        var modules = new Table().MinimalBorder().AddColumn(new TableColumn("module").NoWrap());
        foreach (var heading in (string[])["calls", "calls/s", "results", "errors", "open", "uploads"]) modules.AddColumn(new TableColumn(heading).RightAligned());
        foreach (var module in snapshot.Modules)
            modules.AddRow(Markup.Escape(module.Module), Count(module.Calls), Rate(module.CallsPerSecond), Count(module.Results), Problem(module.Errors), Count(module.BatchesOpen), Count(module.Uploads));

        // A small terminal shows the upper part only: the modules tell more.
        return new Rows(new Markup($"[bold]{Markup.Escape(Heading(snapshot))}[/]"), modules, topics);
    }

    /// <summary>The same in one line.</summary>
    public static string Line(DemoSnapshot snapshot) => string.Create(
        CultureInfo.InvariantCulture,
        $"{snapshot.Elapsed.TotalSeconds:0} s {snapshot.Phase}: {snapshot.Records} records, {snapshot.RecordsPerSecond:0}/s, lag {snapshot.Lag}, {snapshot.Calls} calls, {snapshot.Errors} errors, {snapshot.BatchesOpen} open batches, {snapshot.Uploads} uploads, {snapshot.DeadLetters} dead letters, p50 {snapshot.LatencyP50Ms} ms, p99 {snapshot.LatencyP99Ms} ms, {snapshot.Faults} faults");

    private async Task DrawAsync(CancellationToken cancellation)
    {
        await console.Live(new Markup("starting")).AutoClear(false).Overflow(VerticalOverflow.Crop).StartAsync(async live =>
        {
            await foreach (var snapshot in snapshots.Reader.ReadAllAsync(cancellation).ConfigureAwait(false))
            {
                live.UpdateTarget(Table(snapshot));
                live.Refresh();
            }
        }).ConfigureAwait(false);
    }

    private async Task WriteLinesAsync(CancellationToken cancellation)
    {
        DemoSnapshot? shown = null, last = null;
        await foreach (var snapshot in snapshots.Reader.ReadAllAsync(cancellation).ConfigureAwait(false))
        {
            last = snapshot;
            // The demo's own time decides, so that a slow reader gets no burst of lines.
            if (shown is not null && snapshot.Elapsed - shown.Elapsed < BetweenLines && snapshot.Phase == shown.Phase) continue;
            console.Profile.Out.Writer.WriteLine(Line(snapshot));
            shown = snapshot;
        }

        if (last is not null && last != shown) console.Profile.Out.Writer.WriteLine(Line(last));
    }

    private static string Heading(DemoSnapshot snapshot) => string.Create(
        CultureInfo.InvariantCulture,
        $"{snapshot.Phase}  {snapshot.Elapsed.TotalSeconds:0} of {snapshot.Duration.TotalSeconds:0} s   {snapshot.Nodes} node(s), {snapshot.Stations} stations   {snapshot.RecordsPerSecond:0} records/s   p50 {snapshot.LatencyP50Ms} ms, p99 {snapshot.LatencyP99Ms} ms   {snapshot.Uploads} uploads, {snapshot.DeadLetters} dead letters, {snapshot.Faults} faults");

    private static string Count(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Rate(double value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Problem(long value) => value == 0 ? "0" : $"[yellow]{Count(value)}[/]";
}
