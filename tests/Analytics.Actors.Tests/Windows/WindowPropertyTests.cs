using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Tests.Records;
using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf;

namespace Analytics.Actors.Tests.Windows;

/// <summary>What holds for the windows of stations whatever arrives.</summary>
public class WindowPropertyTests
{
    private const long BaseMs = 1_763_000_000_000;
    private static readonly string[] Topics = [.. DefaultTopics.All.Keys];

    /// <summary>A part for one of two stations, some time after the one before; variants are good and bad payloads.</summary>
    public sealed record Step(int Station, int Topic, int Variant, int LaterMs, int OffsetMs)
    {
        public string TopicName => Topics[Topic % Topics.Length];
    }

    private static readonly Gen<Step> Steps =
        from station in Gen.Choose(0, 1)
        from topic in Gen.Choose(0, Topics.Length - 1)
        from variant in Gen.Choose(0, 9)
        from later in Gen.Elements(0, 300, 1_100, 60_000, 700_000, 3_600_000)
        from offset in Gen.Elements(0, 0, -2_000, -400_000, 5_000)
        select new Step(station, topic, variant, later, offset);

    /// <summary>The windows of two stations and the clock that they share.</summary>
    private sealed class Stations
    {
        private readonly SortedDictionary<(int, string), TopicWindow> windows = [];

        public IEnumerable<TopicWindow> Windows => windows.Values;

        public void Apply(Step step, long nowMs)
        {
            if (!windows.TryGetValue((step.Station, step.TopicName), out var window))
                windows[(step.Station, step.TopicName)] = window = DefaultTopics.Window(Configuration(step.TopicName));
            window.Apply(Items(step), nowMs + step.OffsetMs, nowMs);
            if (step.Variant % 3 == 0) window.Expire(nowMs);
            if (window is SecondsWindow seconds && step.Variant % 4 == 0) seconds.CloseDue(nowMs + 1_000);
        }

        public void Reload()
        {
            foreach (var key in windows.Keys.ToList())
                windows[key] = TopicWindows.Load(Configuration(key.Item2), DefaultTopics.Zone, windows[key].Save());
        }

        public List<string> State() => windows.Select(pair =>
            $"{pair.Key} {Convert.ToHexString(pair.Value.Save())} {(pair.Value.Shape() is { } shape ? Convert.ToHexString(shape.ToJsonObject()) : "-")} {pair.Value.NewestTimeMs} {pair.Value.SizeBytes}").ToList();
    }

    [Fact]
    public void Replay_gives_the_same_state() =>
        Prop.ForAll(Steps.ArrayOf().ToArbitrary(), steps => Run(steps).State().SequenceEqual(Run(steps).State())).QuickCheckThrowOnFailure();

    [Fact]
    public void What_is_saved_is_what_the_generated_code_writes() =>
        Prop.ForAll(Steps.ArrayOf().ToArbitrary(), steps =>
        {
            foreach (var window in Run(steps).Windows)
            {
                var saved = window.Save();
                WindowState.Parser.ParseFrom(saved).ToByteArray().ShouldBe(saved);
                window.Save().ShouldBe(saved);
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Saving_and_loading_in_the_middle_changes_nothing() =>
        Prop.ForAll(Steps.ArrayOf().ToArbitrary(), Gen.Choose(0, 30).ToArbitrary(), (steps, at) =>
        {
            Run(steps, reloadBefore: step => step == at || step == 2 * at).State().ShouldBe(Run(steps).State());
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void The_order_of_independent_stations_does_not_matter() =>
        Prop.ForAll(Steps.ArrayOf().ToArbitrary(), steps =>
        {
            var timed = Timed(steps).ToList();
            var apart = new Stations();
            foreach (var (step, nowMs) in timed.OrderBy(pair => pair.Step.Station)) apart.Apply(step, nowMs);
            apart.State().ShouldBe(Run(steps).State());
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Arbitrary_bytes_are_applied_without_an_exception()
    {
        var bytes = Gen.Frequency((1, ArbMap.Default.GeneratorFor<byte[]>()), (3, Mutated()));
        Prop.ForAll(bytes.ToArbitrary(), Gen.Elements(Topics).ToArbitrary(), (item, topic) =>
        {
            var window = DefaultTopics.Window(Configuration(topic));
            var good = Items(new Step(0, Array.IndexOf(Topics, topic), 0, 0, 0));
            window.Apply(good, BaseMs, BaseMs);
            var change = window.Apply([item ?? [], .. good], BaseMs, BaseMs);
            change.Rejected.ShouldAllBe(rejected => rejected.Index == 0);
            try
            {
                _ = window.Shape()?.ToJsonObject();
            }
            catch (ShapeException)
            {
                // An entry that was not well-formed: the topic counts as failed.
            }

            TopicWindows.Load(Configuration(topic), DefaultTopics.Zone, window.Save()).Save().ShouldBe(window.Save());
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
    }

    private static Gen<byte[]> Mutated() =>
        from topic in Gen.Elements(Topics)
        from position in Gen.Choose(0, 400)
        from value in Gen.Choose(0, 255)
        from removes in Gen.Elements(true, false)
        select Mutate(System.Text.Encoding.UTF8.GetBytes(SampleRecords.Item(topic)), position, (byte)value, removes);

    private static byte[] Mutate(byte[] bytes, int position, byte value, bool removes)
    {
        var at = position % bytes.Length;
        return removes ? [.. bytes[..at], .. bytes[(at + 1)..]] : [.. bytes[..at], value, .. bytes[(at + 1)..]];
    }

    private static Stations Run(Step[] steps, Func<int, bool>? reloadBefore = null)
    {
        var stations = new Stations();
        var number = 0;
        foreach (var (step, nowMs) in Timed(steps))
        {
            if (reloadBefore?.Invoke(number++) == true) stations.Reload();
            stations.Apply(step, nowMs);
        }

        return stations;
    }

    private static IEnumerable<(Step Step, long NowMs)> Timed(Step[] steps)
    {
        var nowMs = BaseMs;
        foreach (var step in steps) yield return (step, nowMs += step.LaterMs);
    }

    /// <summary>Small windows of more than one entry, so that they fill up and overflow.</summary>
    private static TopicConfiguration Configuration(string name)
    {
        var topic = DefaultTopics.All[name];
        return topic with { Window = topic.Shape == ShapeKind.Grid ? 6 : 3 };
    }

    private static ReadOnlyMemory<byte>[] Items(Step step)
    {
        var topic = step.TopicName;
        var text = topic == DefaultTopics.Calendar ? SampleRecords.Of(topic) : SampleRecords.Item(topic);
        return step.Variant switch
        {
            7 => DefaultTopics.Items(text, "5", "{}", text),
            8 => DefaultTopics.Items(text.Replace("\"H1\"", "\"H2\"").Replace("\"01\"", "\"03\""), text.Replace("03:20", "05:50")),
            9 => DefaultTopics.Items(text.Replace("\"H1\"", "null").Replace("2.5", "9007199254740993")),
            _ => DefaultTopics.Items(text.Replace("\"B1\"", $"\"B{step.Variant}\"").Replace("03:20", $"0{step.Variant}:20").Replace("12.5", $"{step.Variant}.5")),
        };
    }
}
