using System.Text.Json;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Google.Protobuf;

namespace Analytics.Actors.Core.Windows;

/// <summary>A second that closed: its orders are delivered now, and never again.</summary>
/// <param name="Second">Seconds since 1970 UTC.</param>
public sealed record ClosedSecond(long Second, InputFragment Fragment);

/// <summary>What adding a part to a <see cref="SecondsWindow"/> did.</summary>
/// <param name="Closed">The seconds that closed, in the order of their closing.</param>
/// <param name="Joined">The seconds that the part's items joined, ascending, each once; some may be among the closed ones.</param>
/// <param name="Late">How many items belonged to a second that had been delivered, and joined a later one instead.</param>
/// <param name="Rejected">Items that could not be used; Index counts inside the part.</param>
public sealed record SecondsChange(
    IReadOnlyList<ClosedSecond> Closed, IReadOnlyList<long> Joined, int Late, IReadOnlyList<RejectedItem> Rejected);

/// <summary>
/// Orders gathered by the second of their event time. One second is open; it closes when an order of a later second
/// arrives, or after a second of silence. Every order is delivered in exactly one closed second: one for an older second
/// that was not delivered gets that second to itself, closed at once; one for a delivered second is counted late and
/// joins the next to close.
/// </summary>
public sealed class SecondsWindow : TopicWindow
{
    /// <summary>How long nothing may arrive before the open second closes, ms of processing time.</summary>
    public const long SilenceMs = 1_000;

    private const int ItemOverhead = 40;

    private readonly WindowPlan plan;
    private Second? open;
    private Second? closed;
    private long? lastDelivered;
    private long lastArrivalMs;

    internal SecondsWindow(Pipeline.TopicConfiguration topic, TimeSpan timeZone) : base(topic, timeZone) => plan = WindowPlan.For(topic);

    /// <summary>Orders that came after their second had been delivered, since the window exists.</summary>
    public long LateCount { get; private set; }

    /// <summary>When the open second closes for silence, ms since 1970 UTC; null where none is open.</summary>
    public long? SilenceDueMs => open is null ? null : lastArrivalMs + SilenceMs;

    /// <summary>The second that is open, seconds since 1970 UTC.</summary>
    public long? OpenSecond => open?.Number;

    /// <summary>A second has been delivered and is not past its ttl.</summary>
    public bool HasClosedSecond => closed is not null;

    internal IReadOnlyList<byte[]> OpenItems => open?.Items ?? [];
    internal IReadOnlyList<byte[]> ClosedItems => closed?.Items ?? [];

    public override bool IsEmpty => open is null && closed is null;

    /// <summary>Time of the newest order that was delivered: what is still open is no data yet.</summary>
    public override long? NewestTimeMs => closed?.NewestTimeMs;

    public override long SizeBytes => Size(open) + Size(closed);

    /// <summary>Adds a part's items, the older seconds among them first.</summary>
    /// <param name="items">Each one JSON value.</param>
    /// <param name="recordTimeMs">The record's timestamp, ms since 1970 UTC: the event time of items without their own.</param>
    /// <param name="nowMs">Now, ms since 1970 UTC; an event time in the future counts as now, or it would hold up all others.</param>
    public SecondsChange Add(ReadOnlySpan<ReadOnlyMemory<byte>> items, long recordTimeMs, long nowMs)
    {
        List<RejectedItem>? rejected = null;
        var accepted = new List<(long TimeMs, byte[] Item)>(items.Length);
        for (var i = 0; i < items.Length; i++)
        {
            var item = items[i];
            if (Check(item.Span, out var timeMs) is { } reason) (rejected ??= []).Add(new RejectedItem(i, reason, item));
            else accepted.Add((Math.Min(timeMs ?? recordTimeMs, nowMs), item.ToArray()));
        }

        if (accepted.Count == 0) return new SecondsChange([], [], 0, rejected ?? (IReadOnlyList<RejectedItem>)[]);
        lastArrivalMs = nowMs;
        Sort(accepted);
        var closings = new List<ClosedSecond>();
        var joined = new List<long>(1);
        var late = 0;
        for (var from = 0; from < accepted.Count;)
        {
            // A record's items of one second belong together, wherever they stand in it.
            var number = SecondOf(accepted[from].TimeMs);
            var to = from + 1;
            while (to < accepted.Count && SecondOf(accepted[to].TimeMs) == number) to++;
            var isLate = number <= lastDelivered;
            if (isLate) late += to - from;
            var second = AddSecond(number, isLate, accepted.GetRange(from, to - from), closings);
            // Seconds come in ascending order; only late ones, which are first, join another than their own.
            if (joined.Count == 0 || (joined[0] != second && joined[^1] != second)) joined.Add(second);
            from = to;
        }

        LateCount += late;
        joined.Sort();
        if (closings.Count > 0) MarkChanged();
        return new SecondsChange(closings, joined, late, rejected ?? (IReadOnlyList<RejectedItem>)[]);
    }

    /// <summary>Closes the open second where its silence is over; null where nothing closes.</summary>
    public ClosedSecond? CloseDue(long nowMs)
    {
        if (open is null || nowMs < SilenceDueMs) return null;
        var second = open;
        open = null;
        var delivered = Deliver(second);
        MarkChanged();
        return delivered;
    }

    /// <summary>As <see cref="Add"/>, for those who do not need to know which second closed.</summary>
    public override WindowChange Apply(ReadOnlySpan<ReadOnlyMemory<byte>> items, long recordTimeMs, long nowMs)
    {
        var change = Add(items, recordTimeMs, nowMs);
        return new WindowChange(change.Closed.Count > 0, change.Rejected);
    }

    /// <summary>Drops delivered orders; the open second waits for its delivery, however old it is.</summary>
    public override bool Expire(long nowMs)
    {
        if (Topic.TtlMs is not { } ttl || closed is null || nowMs - closed.NewestTimeMs <= ttl) return false;
        closed = null;
        MarkChanged();
        return true;
    }

    public override byte[] Save()
    {
        var state = new SecondsState { LastArrivalMs = lastArrivalMs, LateCount = LateCount };
        if (open is not null) state.Open = Save(open);
        if (closed is not null) state.Closed = Save(closed);
        if (lastDelivered is { } delivered) state.LastDelivered = delivered;
        return new WindowState { Seconds = state }.ToByteArray();
    }

    internal void Restore(SecondsState state)
    {
        open = Restore(state.Open);
        closed = Restore(state.Closed);
        lastDelivered = state.HasLastDelivered ? state.LastDelivered : null;
        lastArrivalMs = state.LastArrivalMs;
        LateCount = state.LateCount;
        MarkChanged();
    }

    protected override InputFragment? ShapeCore() => closed is null ? null : closed.Fragment ??= Fragment(closed);

    private long AddSecond(long number, bool isLate, IEnumerable<(long TimeMs, byte[] Item)> items, List<ClosedSecond> closings)
    {
        if (isLate)
        {
            // Nothing between the delivered seconds and the open one is skipped by this: it is the very next second.
            open ??= new Second(lastDelivered!.Value + 1);
            open.Add(items);
            return open.Number;
        }

        if (open is not null && number < open.Number)
        {
            var older = new Second(number);
            older.Add(items);
            closings.Add(Deliver(older));
            return number;
        }

        if (open is not null && number > open.Number)
        {
            closings.Add(Deliver(open));
            open = null;
        }

        open ??= new Second(number);
        open.Add(items);
        return number;
    }

    private ClosedSecond Deliver(Second second)
    {
        closed = second;
        lastDelivered = second.Number;
        return new ClosedSecond(second.Number, closed.Fragment = Fragment(second));
    }

    private JsonFragment Fragment(Second second)
    {
        var json = new JsonBuilder().StartList();
        foreach (var item in second.Items) json.Value(item);
        return new JsonFragment([Topic.ShapeMember!], [json.EndList().ToArray()]);
    }

    private Rejection? Check(ReadOnlySpan<byte> item, out long? timeMs)
    {
        timeMs = null;
        var kind = AppendCheck.Kind(item);
        if (kind != JsonTokenType.StartObject) return new Rejection("item-not-object", $"the item is {JsonText.KindName(kind)}");
        if (plan.TimeSlot < 0 && !plan.ChecksFields) return null;
        var found = new JsonSlice[plan.Members.SlotCount];
        if (!plan.Members.TryLocate(item, found)) return AppendCheck.NotJson;
        if (plan.TimeSlot >= 0 && AppendCheck.ReadTime(item, found[plan.TimeSlot], TimeZone, out timeMs) is { } badTime) return badTime;
        return plan.ChecksFields ? plan.CheckFields(item, found) : null;
    }

    /// <summary>By second, and within one as they arrived.</summary>
    private static void Sort(List<(long TimeMs, byte[] Item)> entries)
    {
        for (var i = 1; i < entries.Count; i++)
        {
            if (SecondOf(entries[i - 1].TimeMs) <= SecondOf(entries[i].TimeMs)) continue;
            var sorted = entries.OrderBy(entry => SecondOf(entry.TimeMs)).ToList();
            entries.Clear();
            entries.AddRange(sorted);
            return;
        }
    }

    private static long SecondOf(long timeMs) => timeMs >= 0 ? timeMs / 1000 : (timeMs - 999) / 1000;

    private static long Size(Second? second) => second?.Items.Sum(item => (long)item.Length + ItemOverhead) ?? 0;

    private static SecondState Save(Second second)
    {
        var state = new SecondState { Second = second.Number, NewestTimeMs = second.NewestTimeMs };
        foreach (var item in second.Items) state.Items.Add(UnsafeByteOperations.UnsafeWrap(item));
        return state;
    }

    private static Second? Restore(SecondState? state)
    {
        if (state is null) return null;
        var second = new Second(state.Second);
        second.Add(state.Items.Select(item => (state.NewestTimeMs, item.ToByteArray())));
        return second;
    }

    private sealed class Second(long number)
    {
        public long Number { get; } = number;
        public long NewestTimeMs { get; private set; } = long.MinValue;
        public List<byte[]> Items { get; } = new(1);
        public JsonFragment? Fragment { get; set; }

        public void Add(IEnumerable<(long TimeMs, byte[] Item)> items)
        {
            foreach (var (timeMs, item) in items)
            {
                NewestTimeMs = Math.Max(NewestTimeMs, timeMs);
                Items.Add(item);
            }
        }
    }
}
