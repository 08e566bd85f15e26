using System.Runtime.CompilerServices;
using System.Text.Json;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>A second that closed: its orders are delivered now, and never again.</summary>
/// <param name="Second">Seconds since 1970 UTC.</param>
/// <param name="Fragment">Its orders; null where they were not asked for.</param>
public readonly record struct ClosedSecond(long Second, InputFragment? Fragment);

/// <summary>What adding a part to a <see cref="SecondsWindow"/> did.</summary>
/// <param name="Closed">The seconds that closed, in the order of their closing.</param>
/// <param name="Joined">The seconds that the part's items joined, ascending, each once; some may be among the closed ones.</param>
/// <param name="Late">How many items belonged to a second that had been delivered, and joined a later one instead.</param>
/// <param name="Rejected">Items that could not be used; Index counts inside the part.</param>
public readonly record struct SecondsChange(Few<ClosedSecond> Closed, Few<long> Joined, int Late, IReadOnlyList<RejectedItem> Rejected);

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

    // The time of items that are rejected: they sort before all others.
    private const long None = long.MinValue + 999;

    private Second open;
    private Second closed;

    // The orders of the closed second, where somebody has asked for them.
    private OrdersFragment? delivered;
    private long? lastDelivered;
    private long lastArrivalMs;

    internal SecondsWindow(WindowContext context) : base(context)
    {
    }

    /// <summary>Orders that came after their second had been delivered, since the window exists.</summary>
    public long LateCount { get; private set; }

    /// <summary>When the open second closes for silence, ms since 1970 UTC; null where none is open.</summary>
    public long? SilenceDueMs => open.IsEmpty ? null : lastArrivalMs + SilenceMs;

    /// <summary>The second that is open, seconds since 1970 UTC.</summary>
    public long? OpenSecond => open.IsEmpty ? null : open.Number;

    /// <summary>A second has been delivered and is not past its ttl.</summary>
    public bool HasClosedSecond => !closed.IsEmpty;

    internal IReadOnlyList<byte[]> OpenItems => open.Items;
    internal IReadOnlyList<byte[]> ClosedItems => closed.Items;

    public override bool IsEmpty => open.IsEmpty && closed.IsEmpty;

    /// <summary>Time of the newest order that was delivered: what is still open is no data yet.</summary>
    public override long? NewestTimeMs => closed.IsEmpty ? null : closed.NewestTimeMs;

    public override long SizeBytes => open.Size + closed.Size;

    /// <summary>Adds a part's items, the older seconds among them first.</summary>
    /// <param name="items">Each one JSON value. What is kept of them is copied.</param>
    /// <param name="recordTimeMs">The record's timestamp, ms since 1970 UTC: the event time of items without their own.</param>
    /// <param name="nowMs">Now, ms since 1970 UTC; an event time in the future counts as now, or it would hold up all others.</param>
    /// <param name="delivers">Somebody wants the orders of the seconds that close.</param>
    [SkipLocalsInit]
    public SecondsChange Add(ReadOnlySpan<ReadOnlyMemory<byte>> items, long recordTimeMs, long nowMs, bool delivers = true)
    {
        List<RejectedItem>? rejected = null;
        Span<long> times = items.Length <= 64 ? stackalloc long[64] : new long[items.Length];
        times = times[..items.Length];
        var accepted = 0;
        for (var i = 0; i < items.Length; i++)
        {
            if (Check(items[i].Span, out var timeMs) is { } reason)
            {
                (rejected ??= []).Add(new RejectedItem(i, reason, items[i]));
                times[i] = None;
                continue;
            }

            times[i] = Math.Min(timeMs ?? recordTimeMs, nowMs);
            accepted++;
        }

        if (accepted == 0) return new SecondsChange(default, default, 0, rejected ?? (IReadOnlyList<RejectedItem>)[]);
        lastArrivalMs = nowMs;
        var closings = default(Few<ClosedSecond>);
        var joined = default(Few<long>);
        var late = 0;
        var order = OrderOf(times);
        for (var from = 0; from < items.Length;)
        {
            // A record's items of one second belong together, wherever they stand in it.
            var number = SecondOf(times[order is null ? from : order[from]]);
            var to = from + 1;
            while (to < items.Length && SecondOf(times[order is null ? to : order[to]]) == number) to++;
            if (number != SecondOf(None))
            {
                var run = new Run(items, times, order is null ? default : order.AsSpan(from, to - from), from, to);
                var isLate = number <= lastDelivered;
                if (isLate) late += to - from;
                var second = AddSecond(number, isLate, run, delivers, ref closings);
                // Seconds come in ascending order; only late ones, which are first, join another than their own.
                if (joined.Count == 0 || (joined[0] != second && joined[^1] != second)) joined.Add(second);
            }

            from = to;
        }

        LateCount += late;
        if (closings.Count > 0) MarkChanged();
        return new SecondsChange(closings, joined.Count > 1 ? Sorted(joined) : joined, late, rejected ?? (IReadOnlyList<RejectedItem>)[]);
    }

    /// <summary>Closes the open second where its silence is over; null where nothing closes.</summary>
    /// <param name="delivers">Somebody wants its orders.</param>
    public ClosedSecond? CloseDue(long nowMs, bool delivers = true)
    {
        if (open.IsEmpty || nowMs < SilenceDueMs) return null;
        var closings = default(Few<ClosedSecond>);
        Deliver(open, delivers, ref closings);
        open = default;
        MarkChanged();
        return closings[0];
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
        if (Topic.TtlMs is not { } ttl || closed.IsEmpty || nowMs - closed.NewestTimeMs <= ttl) return false;
        closed.Orders.GiveBack(Context.Pool);
        (closed, delivered) = (default, null);
        MarkChanged();
        return true;
    }

    private protected override void Save(StateWriter state)
    {
        state.Number(SecondsState.LateCountFieldNumber, LateCount);
        state.Number(SecondsState.LastArrivalMsFieldNumber, lastArrivalMs);
        if (lastDelivered is { } last) state.Present(SecondsState.LastDeliveredFieldNumber, last);
        if (!closed.IsEmpty) Save(SecondsState.ClosedFieldNumber, closed, state);
        if (!open.IsEmpty) Save(SecondsState.OpenFieldNumber, open, state);
        state.Close(WindowState.SecondsFieldNumber, 0);
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

    protected override InputFragment? ShapeCore() => closed.IsEmpty ? null : delivered ??= new OrdersFragment(Context.MemberNames, closed.Orders.Share());

    private long AddSecond(long number, bool isLate, in Run run, bool delivers, ref Few<ClosedSecond> closings)
    {
        if (isLate)
        {
            // Nothing between the delivered seconds and the open one is skipped by this: it is the very next second.
            if (open.IsEmpty) open = new Second(lastDelivered!.Value + 1);
            open.Add(run, Context.Pool);
            return open.Number;
        }

        if (!open.IsEmpty && number < open.Number)
        {
            var older = new Second(number);
            older.Add(run, Context.Pool);
            Deliver(older, delivers, ref closings);
            return number;
        }

        if (!open.IsEmpty && number > open.Number)
        {
            // The orders that were delivered before make room for those that come.
            var emptied = closed.Orders.Emptied(open.Orders.Bytes.Length, Context.Pool);
            closed = default;
            Deliver(open, delivers, ref closings);
            open = new Second(number) { Orders = emptied };
        }

        if (open.IsEmpty) open = new Second(number) { Orders = open.Orders };
        open.Add(run, Context.Pool);
        return number;
    }

    private void Deliver(in Second second, bool delivers, ref Few<ClosedSecond> closings)
    {
        closed.Orders.GiveBack(Context.Pool);
        (closed, delivered) = (second, null);
        lastDelivered = second.Number;
        if (delivers) delivered = new OrdersFragment(Context.MemberNames, closed.Orders.Share());
        closings.Add(new ClosedSecond(second.Number, delivered));
    }

    [SkipLocalsInit]
    private Rejection? Check(ReadOnlySpan<byte> item, out long? timeMs)
    {
        timeMs = null;
        var kind = AppendCheck.Kind(item);
        if (kind != JsonTokenType.StartObject) return new Rejection("item-not-object", $"the item is {JsonText.KindName(kind)}");
        if (Plan.TimeSlot < 0 && !Plan.ChecksFields) return null;
        Span<JsonSlice> found = Plan.Members.SlotCount <= 64 ? stackalloc JsonSlice[64] : new JsonSlice[Plan.Members.SlotCount];
        found = found[..Plan.Members.SlotCount];
        if (!Context.TryLocate(item, found)) return AppendCheck.NotJson;
        if (Plan.TimeSlot >= 0 && AppendCheck.ReadTime(item, found[Plan.TimeSlot], TimeZone, out timeMs) is { } badTime) return badTime;
        return Plan.ChecksFields ? Plan.CheckFields(item, found) : null;
    }

    /// <summary>The items' places by second, and within one as they arrived; null where they are in that order.</summary>
    private static int[]? OrderOf(ReadOnlySpan<long> times)
    {
        for (var i = 1; i < times.Length; i++)
        {
            if (SecondOf(times[i - 1]) <= SecondOf(times[i])) continue;
            var seconds = new long[times.Length];
            for (var item = 0; item < seconds.Length; item++) seconds[item] = SecondOf(times[item]);
            return [.. Enumerable.Range(0, seconds.Length).OrderBy(item => seconds[item])];
        }

        return null;
    }

    private static Few<long> Sorted(Few<long> seconds)
    {
        var sorted = default(Few<long>);
        foreach (var second in seconds.Order()) sorted.Add(second);
        return sorted;
    }

    private static long SecondOf(long timeMs) => timeMs >= 0 ? timeMs / 1000 : (timeMs - 999) / 1000;

    private static void Save(int field, in Second second, StateWriter state)
    {
        var mark = state.Length;
        state.Raw(second.Orders.Bytes.Span);
        state.Number(SecondState.NewestTimeMsFieldNumber, second.NewestTimeMs);
        state.Number(SecondState.SecondFieldNumber, second.Number);
        state.Close(field, mark);
    }

    private Second Restore(SecondState? state)
    {
        if (state is null) return default;
        var second = new Second(state.Second);
        foreach (var item in state.Items) second.Add(item.Span, state.NewestTimeMs, Context.Pool);
        return second;
    }

    /// <summary>The items of a record that are for one second.</summary>
    /// <param name="order">Their places; empty where they stand from one place to another.</param>
    private readonly ref struct Run(ReadOnlySpan<ReadOnlyMemory<byte>> items, ReadOnlySpan<long> times, ReadOnlySpan<int> order, int from, int to)
    {
        private readonly ReadOnlySpan<ReadOnlyMemory<byte>> items = items;
        private readonly ReadOnlySpan<long> times = times;
        private readonly ReadOnlySpan<int> order = order;

        public int Count => to - from;

        public ReadOnlySpan<byte> Item(int index) => items[Place(index)].Span;

        public long TimeMs(int index) => times[Place(index)];

        private int Place(int index) => order.IsEmpty ? from + index : order[index];
    }

    // The default is no second; one that exists has an order at least.
    private struct Second(long number)
    {
        private const int ItemOverhead = 40;

        public OrderBuffer Orders;

        public long Number { get; } = number;
        public long NewestTimeMs { get; private set; } = long.MinValue;

        public readonly bool IsEmpty => Orders.Count == 0;

        public readonly long Size
        {
            get
            {
                long size = 0;
                for (var rest = Orders.Bytes; !rest.IsEmpty;) size += OrderBuffer.TakeFirst(ref rest).Length + ItemOverhead;
                return size;
            }
        }

        public readonly IReadOnlyList<byte[]> Items
        {
            get
            {
                var items = new List<byte[]>(Orders.Count);
                for (var rest = Orders.Bytes; !rest.IsEmpty;) items.Add(OrderBuffer.TakeFirst(ref rest).ToArray());
                return items;
            }
        }

        public void Add(in Run run, ItemPool pool)
        {
            for (var index = 0; index < run.Count; index++) Add(run.Item(index), run.TimeMs(index), pool);
        }

        public void Add(ReadOnlySpan<byte> item, long timeMs, ItemPool pool)
        {
            NewestTimeMs = Math.Max(NewestTimeMs, timeMs);
            Orders.Add(item, pool);
        }
    }
}
