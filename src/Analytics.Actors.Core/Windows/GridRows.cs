using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Rows on their way to a grid: each with its time, its keys, and its numbers one behind the other (one per key for each
/// keyed series, then one for each series of single values). A hole is NaN. One object serves one part after another.
/// </summary>
internal sealed class GridRows(WindowPlan plan)
{
    /// <param name="LocalMs">The row's time on the clock of the pipeline's zone.</param>
    /// <param name="WithT">The time was written with a T.</param>
    /// <param name="Keys">Numbers of its keys in <see cref="Keys"/>.</param>
    /// <param name="Start">Where its numbers start in <see cref="Numbers"/>.</param>
    public readonly record struct Row(long LocalMs, bool WithT, int[] Keys, int Start);

    private readonly GridRowLayout layout = new(plan);
    private Row[] rows = [];
    private GridNumber[] numbers = [];
    private GridNumber[] column = [];
    private int rowCount, numberCount;
    private byte[] lastKeyList = [];
    private int[] lastKeys = [];
    private byte[][] keyList = [];

    public ReadOnlySpan<Row> Rows => rows.AsSpan(0, rowCount);
    public KeyTable Keys { get; } = new();
    public ReadOnlySpan<GridNumber> Numbers => numbers.AsSpan(0, numberCount);

    /// <summary>Texts of the numbers that a double does not hold exactly, by index in <see cref="Numbers"/>.</summary>
    public Dictionary<int, byte[]>? Exact { get; private set; }

    /// <summary>So many holes, to put the numbers of one column into before it is made.</summary>
    public Span<GridNumber> Holes(int count)
    {
        if (column.Length < count) Resize(ref column, 0, count);
        var holes = column.AsSpan(0, count);
        holes.Fill(new GridNumber(double.NaN));
        return holes;
    }

    /// <summary>The keys as an array that is never changed: stations with the same guns share one.</summary>
    public byte[][] KeyList(List<byte[]> keys)
    {
        var isLast = keys.Count == keyList.Length;
        for (var i = 0; isLast && i < keyList.Length; i++) isLast = keys[i].AsSpan().SequenceEqual(keyList[i]);
        return isLast ? keyList : keyList = [.. keys];
    }

    /// <summary>Drops all rows and gives their memory back: nothing is held from one part to the next.</summary>
    public void Clear()
    {
        Resize(ref rows, 0, 0);
        Resize(ref numbers, 0, 0);
        Resize(ref column, 0, 0);
        (rowCount, numberCount, Exact) = (0, 0, null);
        (lastKeyList, lastKeys) = ([], []);
        Keys.Clear();
        layout.Forget();
    }

    /// <summary>Adds a row that is known to be right.</summary>
    public void Add(Row row)
    {
        if (rowCount == rows.Length) Resize(ref rows, rowCount, Math.Max(256, rowCount * 2));
        rows[rowCount++] = row;
    }

    /// <summary>Adds a number of a row being put together.</summary>
    public void Add(GridNumber number, byte[]? exactText = null)
    {
        if (exactText is not null) (Exact ??= [])[numberCount] = exactText;
        if (numberCount == numbers.Length) Resize(ref numbers, numberCount, Math.Max(1024, numberCount * 2));
        numbers[numberCount++] = number;
    }

    /// <summary>Reads one item as a row; null where it was added.</summary>
    /// <param name="recordLocalMs">The record's timestamp on the same clock, for topics whose rows have no time of their own.</param>
    public Rejection? Read(ReadOnlySpan<byte> item, TimeSpan timeZone, long recordLocalMs)
    {
        var start = numberCount;
        if (layout.TryRead(item, timeZone, lastKeys.Length, this, out var localMs, out var withT))
        {
            Add(new Row(plan.TimeSlot < 0 ? recordLocalMs : localMs, withT, layout.HasKeys ? lastKeys : [], start));
            return null;
        }

        RollBack(start);
        if (ReadAny(item, timeZone, recordLocalMs) is not { } reason) return null;
        RollBack(start);
        return reason;
    }

    [SkipLocalsInit]
    private Rejection? ReadAny(ReadOnlySpan<byte> item, TimeSpan timeZone, long recordLocalMs)
    {
        layout.Forget();
        var kind = AppendCheck.Kind(item);
        if (kind != JsonTokenType.StartObject) return new Rejection("item-not-object", $"the row is {JsonText.KindName(kind)}");
        Span<JsonSlice> found = plan.Members.SlotCount <= 64 ? stackalloc JsonSlice[64] : new JsonSlice[plan.Members.SlotCount];
        found = found[..plan.Members.SlotCount];
        if (!plan.Members.TryLocate(item, found)) return AppendCheck.NotJson;

        var localMs = recordLocalMs;
        var withT = false;
        if (plan.TimeSlot >= 0)
        {
            var time = found[plan.TimeSlot];
            if (!time.HasValue) return new Rejection("bad-time", $"the row has no {plan.Topic.TimeMember}");
            if (!EventTime.TryReadLocal(time.Of(item), timeZone, out localMs, out withT)) return AppendCheck.BadTime(time.Of(item));
        }

        if (ReadKeys(item, found, out var keys) is { } badKeys) return badKeys;
        var start = numberCount;
        if ((ReadSeries(item, found, keys.Length) ?? ReadRowSeries(item, found)) is { } reason) return reason;
        Add(new Row(localMs, withT, keys, start));
        layout.Learn(item, found);
        return null;
    }

    private Rejection? ReadKeys(ReadOnlySpan<byte> item, ReadOnlySpan<JsonSlice> found, out int[] keys)
    {
        keys = [];
        if (plan.KeysSlot < 0 || !found[plan.KeysSlot].HasValue) return null;
        var slice = found[plan.KeysSlot];
        var path = plan.Topic.Grid!.Keys!;
        if (slice.Kind != JsonTokenType.StartArray) return WindowPlan.WrongType(path, slice.Kind, FieldType.List);
        var list = slice.Of(item);
        if (list.SequenceEqual(lastKeyList))
        {
            keys = lastKeys;
            return null;
        }

        var elements = JsonList.Elements(list);
        keys = new int[elements.Count];
        for (var i = 0; i < keys.Length; i++)
        {
            keys[i] = Keys.IdOf(elements[i].Of(list), elements[i].Kind);
            if (keys[i] < 0)
                return new Rejection("wrong-type", $"{path} holds {JsonText.KindName(elements[i].Kind)} where texts or integers of at most 256 bytes are due");
        }

        (lastKeyList, lastKeys) = (list.ToArray(), keys);
        return null;
    }

    private Rejection? ReadSeries(ReadOnlySpan<byte> item, ReadOnlySpan<JsonSlice> found, int keyCount)
    {
        foreach (var series in plan.Series)
        {
            var slice = found[series.Slot];
            if (!slice.HasValue)
            {
                AddHoles(keyCount);
                continue;
            }

            if (slice.Kind != JsonTokenType.StartArray) return WindowPlan.WrongType(series.Source, slice.Kind, FieldType.List);
            var reader = new Utf8JsonReader(slice.Of(item));
            reader.Read();
            var count = 0;
            for (; reader.Read() && reader.TokenType != JsonTokenType.EndArray; count++)
                if (!TryReadNumber(reader.TokenType, reader.ValueSpan)) return WindowPlan.WrongType(series.Source + "[]", reader.TokenType, FieldType.Number);
            if (count != keyCount) return AppendCheck.WrongLength(series.Source, count, keyCount);
        }

        return null;
    }

    private Rejection? ReadRowSeries(ReadOnlySpan<byte> item, ReadOnlySpan<JsonSlice> found)
    {
        foreach (var series in plan.RowSeries)
        {
            var slice = found[series.Slot];
            if (!slice.HasValue) AddHoles(1);
            else if (!TryReadNumber(slice.Kind, slice.Of(item))) return WindowPlan.WrongType(series.Source, slice.Kind, FieldType.Number);
        }

        return null;
    }

    /// <summary>Adds holes for a series that the row does not carry.</summary>
    public void AddHoles(int count)
    {
        for (var i = 0; i < count; i++) Add(new GridNumber(double.NaN));
    }

    private bool TryReadNumber(JsonTokenType kind, ReadOnlySpan<byte> text)
    {
        if (kind == JsonTokenType.Null)
        {
            AddHoles(1);
            return true;
        }

        if (kind != JsonTokenType.Number) return false;
        Read(text);
        return true;
    }

    /// <summary>Adds a JSON number.</summary>
    public void Read(ReadOnlySpan<byte> text)
    {
        if (GridNumber.TryRead(text, 0, out var number) == text.Length)
        {
            Add(number);
            return;
        }

        var value = JsonText.ReadNumber(text, out var exact);
        Add(new GridNumber(value), exact ? null : text.ToArray());
    }

    private void RollBack(int start)
    {
        for (var index = start; Exact is not null && index < numberCount; index++) Exact.Remove(index);
        numberCount = start;
    }

    private static void Resize<T>(ref T[] array, int used, int length)
    {
        var old = array;
        array = length == 0 ? [] : ArrayPool<T>.Shared.Rent(length);
        old.AsSpan(0, used).CopyTo(array);
        if (old.Length > 0) ArrayPool<T>.Shared.Return(old, RuntimeHelpers.IsReferenceOrContainsReferences<T>());
    }
}
