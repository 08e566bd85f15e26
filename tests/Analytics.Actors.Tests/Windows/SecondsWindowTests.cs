using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Windows;

/// <summary>Orders by the second: when seconds close, and that every order is delivered once.</summary>
public class SecondsWindowTests
{
    private const long BaseMs = 1_763_000_000_000;
    private const long Base = BaseMs / 1000;
    private static readonly TopicConfiguration Order = DefaultTopics.All[DefaultTopics.Order];

    [Fact]
    public void A_later_second_closes_the_open_one()
    {
        var window = Create();
        Describe(Add(window, 0, "a")).ShouldBe("joined 0");
        Describe(Add(window, 900, "b")).ShouldBe("joined 0");
        window.Shape().ShouldBeNull();
        window.NewestTimeMs.ShouldBeNull();
        Describe(Add(window, 5_000, "c")).ShouldBe("closed 0:ab joined 5");
        Serials(window.Shape()).ShouldBe("ab");
        window.NewestTimeMs.ShouldBe(BaseMs + 900);
        window.OpenSecond.ShouldBe(Base + 5);
    }

    [Fact]
    public void A_second_of_silence_closes_the_open_one()
    {
        var window = Create();
        window.SilenceDueMs.ShouldBeNull();
        window.CloseDue(long.MaxValue).ShouldBeNull();
        Add(window, 0, "a", nowMs: BaseMs + 10_000);
        Add(window, 200, "b", nowMs: BaseMs + 10_400);
        window.SilenceDueMs.ShouldBe(BaseMs + 11_400);
        window.CloseDue(BaseMs + 11_399).ShouldBeNull();
        var version = window.Version;
        var closed = window.CloseDue(BaseMs + 11_400).ShouldNotBeNull();
        closed.Second.ShouldBe(Base);
        Serials(closed.Fragment).ShouldBe("ab");
        window.Version.ShouldBeGreaterThan(version);
        window.Shape().ShouldBeSameAs(closed.Fragment);
        window.SilenceDueMs.ShouldBeNull();
        window.CloseDue(long.MaxValue).ShouldBeNull();
    }

    [Fact]
    public void An_order_for_an_older_second_that_was_not_delivered_is_delivered_at_once()
    {
        var window = Create();
        Add(window, 1_000, "a");
        Add(window, 9_000, "b");
        Describe(Add(window, 5_000, "c", "d", nowMs: BaseMs + 9_000)).ShouldBe("closed 5:cd joined 5");
        Serials(window.Shape()).ShouldBe("cd");
        window.LateCount.ShouldBe(0);
        Describe(Add(window, 9_500, "e")).ShouldBe("joined 9");
        Serials(window.CloseDue(BaseMs + 20_000)!.Value.Fragment).ShouldBe("be");
    }

    [Fact]
    public void An_order_for_a_delivered_second_is_late_and_joins_the_next()
    {
        var window = Create();
        Add(window, 0, "a");
        Add(window, 2_000, "b");
        Describe(Add(window, 100, "c", nowMs: BaseMs + 2_100)).ShouldBe("joined 2 late 1");
        window.LateCount.ShouldBe(1);
        Serials(window.CloseDue(BaseMs + 20_000)!.Value.Fragment).ShouldBe("bc");

        // None is open: one opens for it, and silence delivers it.
        Describe(Add(window, 2_000, "d", nowMs: BaseMs + 30_000)).ShouldBe("joined 3 late 1");
        window.SilenceDueMs.ShouldBe(BaseMs + 31_000);
        // What really belongs to that second joins it too.
        Describe(Add(window, 3_000, "e", nowMs: BaseMs + 30_100)).ShouldBe("joined 3");
        Serials(window.CloseDue(BaseMs + 31_100)!.Value.Fragment).ShouldBe("de");
        window.LateCount.ShouldBe(2);
    }

    [Fact]
    public void A_records_items_go_to_their_seconds_in_order_of_time()
    {
        var window = (SecondsWindow)DefaultTopics.Window(Order with { TimeMember = "t" });
        window.Add(Timed("x4"), BaseMs, BaseMs + 100_000);
        var change = window.Add(Timed("a7 b2 c4 d2 e5"), BaseMs, BaseMs + 100_000);
        Describe(change).ShouldBe("closed 2:bd 4:xc 5:e joined 2 4 5 7");
        Serials(window.Shape()).ShouldBe("e");
        Describe(window.Add(Timed("f1 g8"), BaseMs, BaseMs + 100_000)).ShouldBe("closed 7:af joined 7 8 late 1");
    }

    [Fact]
    public void An_order_of_the_future_counts_as_now()
    {
        var window = Create();
        Describe(Add(window, 3_600_000, "a", nowMs: BaseMs + 500)).ShouldBe("joined 0");
        Describe(Add(window, 600, "b", nowMs: BaseMs + 600)).ShouldBe("joined 0");
        Describe(Add(window, 1_000, "c", nowMs: BaseMs + 1_000)).ShouldBe("closed 0:ab joined 1");
    }

    [Fact]
    public void Items_that_are_no_orders_are_rejected_and_open_nothing()
    {
        var window = (SecondsWindow)DefaultTopics.Window(Order with { TimeMember = "t" });
        var change = window.Add(DefaultTopics.Items("1", "null", """{"t":"zzz"}""", "{"), BaseMs, BaseMs);
        change.Rejected.Select(item => item.Reason.Code).ShouldBe(["item-not-object", "item-not-object", "bad-time", "not-json"]);
        change.Joined.ShouldBeEmpty();
        window.IsEmpty.ShouldBeTrue();
        window.SilenceDueMs.ShouldBeNull();
    }

    [Fact]
    public void Delivered_orders_expire_and_open_ones_wait()
    {
        var window = Create();
        Add(window, 0, "a");
        Add(window, 1_000, "b");
        window.Expire(BaseMs + 3_600_000).ShouldBeFalse();
        window.Expire(BaseMs + 3_600_001).ShouldBeTrue();
        window.Shape().ShouldBeNull();
        window.IsEmpty.ShouldBeFalse();
        Serials(window.CloseDue(BaseMs + 9_000_000)!.Value.Fragment).ShouldBe("b");
        window.Expire(BaseMs + 9_000_000).ShouldBeTrue();
        window.IsEmpty.ShouldBeTrue();
    }

    [Fact]
    public void The_state_survives()
    {
        var window = Create();
        Add(window, 0, "a");
        Add(window, 2_000, "b");
        Add(window, 500, "c", nowMs: BaseMs + 2_500);
        var loaded = (SecondsWindow)TopicWindows.Load(Order, DefaultTopics.Zone, window.Save());
        loaded.Save().ShouldBe(window.Save());
        loaded.SilenceDueMs.ShouldBe(BaseMs + 3_500);
        loaded.LateCount.ShouldBe(1);
        loaded.NewestTimeMs.ShouldBe(BaseMs);
        Serials(loaded.Shape()).ShouldBe("a");
        Describe(Add(loaded, 700, "d", nowMs: BaseMs + 2_600)).ShouldBe("joined 2 late 1");
        Describe(Add(loaded, 3_000, "e")).ShouldBe("closed 2:bcd joined 3");
    }

    [Fact]
    public void Every_order_is_delivered_exactly_once_in_the_second_that_it_joined()
    {
        var step = from second in Gen.Choose(0, 12) from count in Gen.Choose(1, 3) from silence in Gen.Choose(0, 4) from reload in Gen.Choose(0, 5) select (second, count, silence, reload);
        Prop.ForAll(step.ArrayOf().ToArbitrary(), steps =>
        {
            var window = Create();
            var nowMs = BaseMs + 20_000;
            var delivered = new List<(long Second, string Serial)>();
            var joined = new List<(IReadOnlyList<long> Seconds, string Serial)>();
            var next = 0;
            foreach (var (second, count, silence, reload) in steps)
            {
                var serials = Enumerable.Range(next, count).Select(number => $"<{number}>").ToArray();
                next += count;
                var change = Add(window, second * 1000, serials, nowMs);
                foreach (var serial in serials) joined.Add((change.Joined, serial));
                Note(change.Closed, delivered);
                nowMs += silence * 400;
                if (window.CloseDue(nowMs) is { } closed) Note([closed], delivered);
                if (reload == 0) window = (SecondsWindow)TopicWindows.Load(Order, DefaultTopics.Zone, window.Save());
            }

            if (window.CloseDue(nowMs + 1_000) is { } last) Note([last], delivered);
            window.OpenSecond.ShouldBeNull();
            // Once each, and in the second that was reported when it joined.
            delivered.Count.ShouldBe(joined.Count);
            foreach (var (seconds, serial) in joined) delivered.Count(order => order.Serial == serial && seconds.Contains(order.Second)).ShouldBe(1);
            // No second is delivered twice, and later ones later.
            delivered.Select(order => order.Second).Distinct().ShouldBe(delivered.Select(order => order.Second).Distinct().Order());
            var runs = delivered.Select(order => order.Second).Where((second, index) => index == 0 || delivered[index - 1].Second != second).ToList();
            return runs.Distinct().Count() == runs.Count;
        }).QuickCheckThrowOnFailure();
    }

    private static void Note(IEnumerable<ClosedSecond> closings, List<(long, string)> delivered)
    {
        foreach (var closed in closings)
            foreach (var order in JsonNode.Parse(closed.Fragment!.GetJson("car_order").Span)!.AsArray())
                delivered.Add((closed.Second, (string)order!["serial"]!));
    }

    private static SecondsWindow Create() => (SecondsWindow)DefaultTopics.Window(Order);

    private static SecondsChange Add(SecondsWindow window, long atMs, string serial, long? nowMs = null) => Add(window, atMs, [serial], nowMs ?? BaseMs + atMs);
    private static SecondsChange Add(SecondsWindow window, long atMs, string first, string second, long? nowMs = null) => Add(window, atMs, [first, second], nowMs ?? BaseMs + atMs);

    private static SecondsChange Add(SecondsWindow window, long atMs, string[] serials, long nowMs) =>
        window.Add(DefaultTopics.Items(Array.ConvertAll(serials, serial => $$"""{"stationId":"S1","serial":"{{serial}}"}""")), BaseMs + atMs, nowMs);

    /// <summary>Orders with their own times: a letter and a second.</summary>
    private static ReadOnlyMemory<byte>[] Timed(string orders) =>
        DefaultTopics.Items(orders.Split(' ').Select(order => $$"""{"serial":"{{order[0]}}","t":{{Base + int.Parse(order[1..], System.Globalization.CultureInfo.InvariantCulture)}}}""").ToArray());

    private static string Describe(SecondsChange change)
    {
        var closed = change.Closed.Count == 0 ? "" : "closed " + string.Concat(change.Closed.Select(second => $"{second.Second - Base}:{Serials(second.Fragment)} "));
        return $"{closed}joined {string.Join(' ', change.Joined.Select(second => second - Base))}{(change.Late > 0 ? $" late {change.Late}" : "")}";
    }

    private static string Serials(InputFragment? fragment) =>
        string.Concat(JsonNode.Parse(fragment!.GetJson("car_order").Span)!.AsArray().Select(order => (string)order!["serial"]!));
}
