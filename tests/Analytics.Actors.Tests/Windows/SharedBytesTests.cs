using System.Text;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Tests.Records;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Windows;

/// <summary>
/// Windows of many stations take their arrays from one pool and give them back; records lie in memory that is used again.
/// What a window has given away never changes for all that.
/// </summary>
public class SharedBytesTests
{
    private const long BaseMs = 1_763_000_000_000;
    private static readonly string[] Topics =
    [
        DefaultTopics.Param, DefaultTopics.Order, DefaultTopics.Order, DefaultTopics.Order, DefaultTopics.Dcdc, DefaultTopics.Storage, DefaultTopics.Meter,
        DefaultTopics.Gun, DefaultTopics.Price, DefaultTopics.Realtime, DefaultTopics.Weather, DefaultTopics.Error,
    ];

    /// <param name="Length">Of a member that makes the item longer: of one size class or another.</param>
    public sealed record Step(int Station, int Topic, int Items, int Length, int LaterMs, int Act);

    private static readonly Gen<Step> Steps =
        from station in Gen.Choose(0, 2)
        from topic in Gen.Choose(0, Topics.Length - 1)
        from items in Gen.Choose(1, 4)
        from length in Gen.Elements(0, 1, 5, 8, 40, 700, 3_000)
        from later in Gen.Elements(0, 0, 0, 300, 1_100, 60_000, 700_000)
        from act in Gen.Choose(0, 9)
        select new Step(station, topic, items, length, later, act);

    [Fact]
    public void What_was_captured_or_saved_stays_as_it_was() =>
        Prop.ForAll(Steps.ArrayOf().ToArbitrary(), steps =>
        {
            var contexts = new WindowContexts(DefaultTopics.Zone, _ => []);
            var windows = new Dictionary<(int, string), TopicWindow>();
            var given = new List<(InputFragment Fragment, byte[] Then)>();
            var nowMs = BaseMs;
            var number = 0;
            foreach (var step in steps)
            {
                nowMs += step.LaterMs;
                var topic = Configuration(Topics[step.Topic]);
                if (!windows.TryGetValue((step.Station, topic.Name), out var window)) windows.Add((step.Station, topic.Name), window = TopicWindows.Create(contexts.Of(topic)));
                var items = Enumerable.Range(0, step.Items).Select(_ => Encoding.UTF8.GetBytes(Item(topic.Name, number++, step.Length))).ToArray();
                var slices = Array.ConvertAll(items, item => new ReadOnlyMemory<byte>(item));
                if (window is SecondsWindow seconds)
                {
                    foreach (var closed in seconds.Add(slices, nowMs - (step.Act == 3 ? 2_000 : 0), nowMs, delivers: step.Act % 2 == 0).Closed) Note(closed.Fragment);
                    if (step.Act == 4) Note(seconds.CloseDue(nowMs + 1_000, step.Length % 2 == 0)?.Fragment);
                }
                else
                {
                    window.Apply(slices, nowMs, nowMs).Rejected.ShouldBeEmpty();
                }

                // The record's memory holds another one now.
                foreach (var item in items) item.AsSpan().Fill((byte)'!');
                if (step.Act is 5 or 6) Note(window.Shape());
                if (step.Act == 7) window.Expire(nowMs + 700_000);
                if (step.Act == 8) windows[(step.Station, topic.Name)] = TopicWindows.Load(contexts.Of(topic), window.Save());
            }

            foreach (var (fragment, then) in given) Encoding.UTF8.GetString(fragment.ToJsonObject()).ShouldBe(Encoding.UTF8.GetString(then));

            void Note(InputFragment? fragment)
            {
                if (fragment is not null) given.Add((fragment, fragment.ToJsonObject()));
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(400));

    [Fact]
    public void Windows_that_share_a_pool_hold_what_windows_alone_hold() =>
        Prop.ForAll(Steps.ArrayOf().ToArbitrary(), steps => Run(steps, shares: true).ShouldBe(Run(steps, shares: false))).Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(8)]
    [InlineData(1024)]
    [InlineData(1025)]
    [InlineData(2048)]
    [InlineData(2049)]
    [InlineData(16 * 1024)]
    [InlineData(16 * 1024 + 1)]
    public void An_array_that_was_given_back_is_rented_again_and_to_one_only(int length)
    {
        var pool = new ItemPool();
        var first = pool.Rent(length);
        first.Length.ShouldBeInRange(length, Math.Max(8, length + length / 8));
        pool.Return(first);
        var second = pool.Rent(length);
        ReferenceEquals(first, second).ShouldBe(length <= 16 * 1024);
        pool.Rent(length).ShouldNotBeSameAs(second);
    }

    [Fact]
    public void Lengths_of_one_class_are_as_long_as_they_must_be()
    {
        var pool = new ItemPool();
        for (var length = 1; length <= 16 * 1024; length++)
        {
            var array = pool.Rent(length);
            array.Length.ShouldBeInRange(length, length + Math.Max(7, length / 8));
            pool.Return(array);
        }
    }

    private static List<string> Run(Step[] steps, bool shares)
    {
        var contexts = new WindowContexts(DefaultTopics.Zone, _ => []);
        var windows = new SortedDictionary<(int, string), TopicWindow>();
        var nowMs = BaseMs;
        var number = 0;
        foreach (var step in steps)
        {
            nowMs += step.LaterMs;
            var topic = Configuration(Topics[step.Topic]);
            if (!windows.TryGetValue((step.Station, topic.Name), out var window))
                windows.Add((step.Station, topic.Name), window = shares ? TopicWindows.Create(contexts.Of(topic)) : DefaultTopics.Window(topic));
            window.Apply(Enumerable.Range(0, step.Items).Select(_ => DefaultTopics.Bytes(Item(topic.Name, number++, step.Length))).ToArray(), nowMs, nowMs);
            if (step.Act == 7) window.Expire(nowMs + 700_000);
        }

        return windows.Select(pair => $"{pair.Key} {Convert.ToHexString(pair.Value.Save())}").ToList();
    }

    private static readonly Dictionary<string, TopicConfiguration> Configurations = Topics.Distinct().ToDictionary(
        name => name, name => DefaultTopics.All[name] is { Shape: ShapeKind.Grid } grid ? grid with { Window = 6 } : DefaultTopics.All[name] with { Window = 2 });

    private static TopicConfiguration Configuration(string name) => Configurations[name];

    private static string Item(string topic, int number, int length)
    {
        var text = SampleRecords.Item(topic);
        text = text.Replace("\"H1\"", $"\"H{number % 5}\"").Replace("\"B1\"", $"\"B{number % 3}\"").Replace("12.5", $"{number}.5");
        return $"{{\"n\":{number},\"x\":\"{new string((char)('a' + number % 26), length)}\",{text.TrimStart()[1..]}";
    }
}
